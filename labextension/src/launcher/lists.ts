import { TranslationBundle } from '@jupyterlab/translation';
import { useEffect, useState } from 'react';

import { sentence } from '../errors';
import { IPick } from './field';
import { withNames } from './named';
import { IFormServer } from './service';
import { ISchema, Kind } from './spec';

type Picks = Record<'models' | 'datasets' | 'gpus', IPick[]>;

/** The contexts and namespaces there are, and those that are chosen. */
export function usePlaces(server: IFormServer, context: string, namespace: string) {
  const [contexts, setContexts] = useState<{ name: string; namespace: string }[]>([]);
  const [namespaces, setNamespaces] = useState<string[]>([]);
  const [place, setPlace] = useState({ context, namespace });
  const [trouble, setTrouble] = useState('');
  useEffect(
    () =>
      ask(
        server.contexts(),
        found => {
          setContexts(found.contexts);
          const chosen =
            found.contexts.find(each => each.name === context) ?? found.contexts.find(each => each.current);
          setPlace(old => ({
            context: old.context || (chosen?.name ?? ''),
            namespace: old.namespace || (chosen?.namespace ?? '')
          }));
        },
        setTrouble
      ),
    [server]
  );
  useEffect(() => {
    setNamespaces([]);
    return place.context ? ask(server.namespaces(place.context), setNamespaces, () => undefined) : undefined;
  }, [server, place.context]); // who may not list namespaces types one
  const names = contexts.map(each => each.name);
  return {
    ...place,
    contexts: place.context && !names.includes(place.context) ? [place.context, ...names] : names,
    namespaces,
    trouble,
    setContext: (next: string) =>
      setPlace({
        context: next,
        namespace: contexts.find(each => each.name === next)?.namespace ?? place.namespace
      }),
    setNamespace: (next: string) => setPlace({ ...place, namespace: next })
  };
}

/** The schema of a kind's spec, as the cluster has it. */
export function useSchema(
  server: IFormServer,
  context: string,
  kind: Kind,
  trans: TranslationBundle
): { schema: ISchema | null; trouble: string } {
  const [found, setFound] = useState<{ key: string; schema: ISchema | null; trouble: string } | null>(null);
  const key = `${context} ${kind}`;
  useEffect(
    () =>
      context
        ? ask(
            server.schema(context, kind),
            schema => setFound({ key, schema: withNames(kind, schema, trans), trouble: '' }),
            trouble => setFound({ key, schema: null, trouble })
          )
        : undefined,
    [server, context, kind]
  );
  return found?.key === key ? found : { schema: null, trouble: '' };
}

/** What can be picked in a namespace. Fields can be filled in without, so that a list which fails is empty. */
export function usePicks(
  server: IFormServer,
  context: string,
  namespace: string,
  trans: TranslationBundle
): Picks {
  const [picks, setPicks] = useState<Picks>({ models: [], datasets: [], gpus: [] });
  useEffect(() => {
    setPicks({ models: [], datasets: [], gpus: [] });
    if (!context || !namespace) {
      return undefined;
    }
    const put = (some: Partial<Picks>): void => setPicks(old => ({ ...old, ...some }));
    const named = (found: { name: string; detail: string; state: string }[]): IPick[] =>
      found.map(({ name, detail, state }) => ({ name, detail: [state, detail].filter(Boolean).join(', ') }));
    const nothing = (): void => undefined;
    const pause = window.setTimeout(() => {
      stops.push(
        ask(server.models(context, namespace), found => put({ models: named(found) }), nothing),
        ask(server.datasets(context, namespace), found => put({ datasets: named(found) }), nothing),
        ask(server.gpus(context, namespace), ({ nodes }) => put({ gpus: byType(nodes, trans) }), nothing)
      );
    }, 200); // a namespace is typed letter by letter
    const stops: (() => void)[] = [() => window.clearTimeout(pause)];
    return () => stops.forEach(stop => stop());
  }, [server, context, namespace]);
  return picks;
}

/** The types of GPU there are, each with how many of all its nodes' are free. */
export function byType(
  nodes: { type: string; total: number; free: number }[],
  trans: TranslationBundle
): IPick[] {
  const sums = new Map<string, [free: number, total: number]>();
  for (const { type, total, free } of nodes) {
    const [freeSoFar, totalSoFar] = sums.get(type) ?? [0, 0];
    sums.set(type, [freeSoFar + free, totalSoFar + total]);
  }
  return [...sums].map(([name, [free, total]]) => ({ name, detail: trans.__('%1 of %2 free', free, total) }));
}

/** Hand on what is answered, unless nobody wants it any more: that is what the returned function says. */
function ask<T>(answer: Promise<T>, done: (value: T) => void, failed: (message: string) => void): () => void {
  let wanted = true;
  answer.then(
    value => wanted && done(value),
    error => wanted && failed(sentence(error))
  );
  return () => {
    wanted = false;
  };
}
