import { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useId, useMemo, useRef, useState } from 'react';

import { sentence } from '../errors';
import { IAddress } from '../block/state';
import { cellLikeManifest } from './comments';
import { Checker, IOpinion, NO_OPINION } from './checker';
import { Fields, FormContext, Frame, IFormContext } from './field';
import { usePlaces, usePicks, useSchema } from './lists';
import { Opinion } from './opinion';
import { IFormServer, IRequest } from './service';
import {
  faultsOf,
  Fields as Values,
  fromYaml,
  homeless,
  IManifest,
  Kind,
  KINDS,
  Path,
  specFields,
  toYaml,
  Value,
  withValue
} from './spec';

/** What a form begins with. */
export interface IStart {
  kind: Kind;
  /** Empty for the one that is current. */
  context: string;
  namespace: string;
  /** A manifest of this kind to begin with; empty for an empty form. */
  text: string;
}

export interface IFormActions {
  /** Show what was submitted. */
  open(address: IAddress): void;
  /** Put a cell into the notebook; null where there is none. */
  insert: ((text: string) => void) | null;
  /** Put a cell back to where it came from; null where it came from none. */
  putBack: ((text: string) => void) | null;
  /** What is in the form now, to be kept for a reload. */
  keep(start: IStart): void;
}

export interface IFormProps {
  server: IFormServer;
  start: IStart;
  actions: IFormActions;
  trans: TranslationBundle;
}

/** A new object from its kind's schema: filled in, checked as it is typed, submitted or put into a cell. */
export function Form({ server, start, actions, trans }: IFormProps): JSX.Element {
  const id = useId();
  const places = usePlaces(server, start.context, start.namespace);
  const [kind, setKind] = useState<Kind>(start.kind);
  const { schema, trouble } = useSchema(server, places.context, kind, trans);
  const [drafts, setDrafts] = useState<Partial<Record<Kind, IManifest>>>({});
  const [unread, setUnread] = useState('');
  const [touched, setTouched] = useState(start.text !== '');
  const picks = usePicks(server, places.context, places.namespace, trans);

  useEffect(() => {
    if (schema && start.text && start.kind === kind && !drafts[kind]) {
      try {
        const found = fromYaml(start.text, schema, trans);
        setDrafts({ ...drafts, ...(found && { [kind]: found }) });
      } catch (error) {
        setUnread(sentence(error));
      }
    }
  }, [schema]);

  const manifest = drafts[kind] ?? { kind, metadata: {}, spec: {} };
  const source = start.kind === kind && !unread ? start.text : '';
  const text = useMemo(() => toYaml(manifest, source), [drafts[kind], kind, source]);
  const { context, namespace } = places;
  const opinion = useOpinion(server, { context, namespace, text }, touched && schema !== null);
  // What could not be read yet, or not at all, is kept as it came.
  const worth = drafts[kind] ? text : start.kind === kind ? start.text : '';
  useEffect(() => actions.keep({ kind, context, namespace, text: worth }), [worth, kind, context, namespace]);

  const change = (path: Path, value: Value | undefined): void => {
    setTouched(true);
    setDrafts(old => {
      const { metadata, spec } = old[kind] ?? { metadata: {}, spec: {} };
      const next = (withValue({ metadata, spec }, path, value) ?? {}) as Record<string, Values>;
      return { ...old, [kind]: { kind, metadata: next.metadata ?? {}, spec: next.spec ?? {} } };
    });
  };
  const form: IFormContext = { trans, id, faults: opinion.faults, picks, change };
  const waits = start.text !== '' && start.kind === kind && !drafts[kind] && !unread;
  return (
    <FormContext.Provider value={form}>
      <form
        className="cpodForm"
        aria-label={trans.__('New %1', KINDS[kind])}
        onSubmit={event => event.preventDefault()}
      >
        <div className="cpodForm-left">
          <Place
            {...{ places, kind, setKind, trans, id, name: String(manifest.metadata.name ?? ''), change }}
            faults={[['metadata'], ['metadata', 'name']].flatMap(path => faultsOf(opinion.faults, path))}
          />
          {[places.trouble, trouble, unread].filter(Boolean).map(each => (
            <p key={each} role="alert" className="cpodForm-fault">
              {each}
            </p>
          ))}
          {schema && !waits && (
            <Fields
              key={`${context} ${kind}`}
              schema={schema}
              path={['spec']}
              value={manifest.spec}
              order={specFields(kind, schema)}
            />
          )}
          {(['models', 'datasets', 'gpus'] as const).map(list => (
            <datalist key={list} id={`${id}-${list}`}>
              {picks[list].map(pick => (
                <option key={pick.name} value={pick.name} label={`${pick.name}: ${pick.detail}`} />
              ))}
            </datalist>
          ))}
        </div>
        <div className="cpodForm-right">
          <Opinion
            opinion={opinion}
            touched={touched}
            above={schema ? homeless(opinion.faults, schema) : opinion.faults}
            trans={trans}
          >
            <Ends {...{ server, actions, opinion, trans }} request={{ context, namespace, text }} />
          </Opinion>
          <h3 id={`${id}-manifest`}>{trans.__('Manifest')}</h3>
          <pre className="cpodForm-manifest" tabIndex={0} role="region" aria-labelledby={`${id}-manifest`}>
            {text}
          </pre>
        </div>
      </form>
    </FormContext.Provider>
  );
}

/** What the server says about a request, which is asked again whenever it has changed. */
function useOpinion(server: IFormServer, request: IRequest, wanted: boolean): IOpinion {
  const [opinion, setOpinion] = useState(NO_OPINION);
  const checker = useMemo(() => new Checker(server, setOpinion), [server]);
  useEffect(() => () => checker.stop(), [checker]);
  useEffect(() => {
    if (wanted) {
      checker.ask(request);
    }
  }, [checker, request.context, request.namespace, request.text, wanted]);
  return opinion;
}

interface IPlaceProps {
  places: ReturnType<typeof usePlaces>;
  kind: Kind;
  setKind(kind: Kind): void;
  name: string;
  faults: string[];
  change: IFormContext['change'];
  trans: TranslationBundle;
  id: string;
}

/** Of which kind it is, under which name, and where. */
function Place({ places, kind, setKind, name, faults, change, trans, id }: IPlaceProps): JSX.Element {
  const first = useRef<HTMLSelectElement>(null);
  useEffect(() => first.current?.focus(), []);
  const fault = (
    <>
      {faults.length > 0 && (
        <p id={`${id}-name-fault`} className="cpodForm-fault">
          {faults.join('; ')}
        </p>
      )}
    </>
  );
  return (
    <div className="cpodForm-place">
      <Frame id={`${id}-kind`} label={trans.__('Kind')} said={<></>}>
        <select
          id={`${id}-kind`}
          ref={first}
          value={kind}
          onChange={event => setKind(event.target.value as Kind)}
        >
          {Object.entries(KINDS).map(([word, title]) => (
            <option key={word} value={word}>
              {title}
            </option>
          ))}
        </select>
      </Frame>
      <Frame id={`${id}-name`} label={trans.__('Name')} required said={fault}>
        <input
          id={`${id}-name`}
          type="text"
          required
          value={name}
          autoComplete="off"
          spellCheck={false}
          aria-invalid={faults.length > 0}
          aria-describedby={faults.length ? `${id}-name-fault` : undefined}
          onChange={event => change(['metadata', 'name'], event.target.value || undefined)}
        />
      </Frame>
      <Frame id={`${id}-context`} label={trans.__('Context')} said={<></>}>
        <select
          id={`${id}-context`}
          value={places.context}
          onChange={event => places.setContext(event.target.value)}
        >
          {places.contexts.map(each => (
            <option key={each}>{each}</option>
          ))}
        </select>
      </Frame>
      <Frame id={`${id}-namespace`} label={trans.__('Namespace')} said={<></>}>
        <input
          id={`${id}-namespace`}
          type="text"
          list={`${id}-namespaces`}
          value={places.namespace}
          autoComplete="off"
          spellCheck={false}
          onChange={event => places.setNamespace(event.target.value)}
        />
        <datalist id={`${id}-namespaces`}>
          {places.namespaces.map(each => (
            <option key={each} value={each} />
          ))}
        </datalist>
      </Frame>
    </div>
  );
}

interface IEndsProps {
  server: IFormServer;
  actions: IFormActions;
  opinion: IOpinion;
  request: IRequest;
  trans: TranslationBundle;
}

/** What can be done with a manifest. */
function Ends({ server, actions, opinion, request, trans }: IEndsProps): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState('');
  const [failure, setFailure] = useState('');
  const doing = (action: () => Promise<string>) => async (): Promise<void> => {
    setBusy(true);
    setSaid('');
    setFailure('');
    try {
      setSaid(await action());
    } catch (error) {
      setFailure(sentence(error));
    } finally {
      setBusy(false);
    }
  };
  const submit = async (): Promise<string> => {
    const made = await server.submit(request);
    made.slice(0, 1).forEach(({ address }) => actions.open(address));
    return made.map(({ address, outcome }) => `${address.kind}/${address.name}: ${outcome}`).join('; ');
  };
  const put = (into: (text: string) => void) => async (): Promise<string> => {
    const cell = await server.cell(request);
    into(cellLikeManifest(cell, request.text, trans));
    return trans.__('The cell is in the notebook.');
  };
  const doubtful = opinion.verdict !== null && !opinion.verdict.ok;
  return (
    <div className="cpodForm-ends">
      <button
        type="button"
        className="cpodLab-button cpodForm-main"
        disabled={busy || !request.namespace}
        onClick={doing(submit)}
      >
        {doubtful ? trans.__('Submit all the same') : trans.__('Submit')}
      </button>
      {actions.putBack && (
        <button
          type="button"
          className="cpodLab-button"
          disabled={busy}
          onClick={doing(put(actions.putBack))}
        >
          {trans.__('Put back into the cell')}
        </button>
      )}
      {actions.insert && (
        <button type="button" className="cpodLab-button" disabled={busy} onClick={doing(put(actions.insert))}>
          {trans.__('Insert as cell')}
        </button>
      )}
      <span role="status">{said}</span>
      {failure && (
        <p role="alert" className="cpodForm-fault">
          {failure}
        </p>
      )}
    </div>
  );
}
