import { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useId, useState } from 'react';

import { Pill } from '../../block/block';
import { IAddress, IBlockState } from '../../block/state';
import { IRow } from '../../rows';
import { Stream } from '../../stream';
import { Playground } from './chat';
import { IChatServer, IParameters } from './conversation';
import { curlSnippet, pythonSnippet } from './snippets';

export interface IDeploymentProps {
  address: IAddress;
  server: IChatServer;
  stream: Pick<Stream, 'subscribe' | 'subscribeList'>;
  /** What a chat begins with. */
  start: IParameters;
  trans: TranslationBundle;
  copy(text: string): void;
}

/** One deployment: how it is, where it answers, code that asks it, and a place to ask it oneself. */
export function DeploymentPage(props: IDeploymentProps): JSX.Element {
  const { address, server, stream, start, trans, copy } = props;
  const id = useId();
  const { rows, trouble: lost } = useDeployments(stream, address);
  const own = rows.find(row => row.name === address.name && row.kind === address.kind);
  const { state, trouble } = useFollowed(stream, address, own?.phase ?? '');
  const [other, setOther] = useState('');
  const others = rows.filter(row => row !== own && row.kind === address.kind).map(row => row.name);
  const addresses = other && others.includes(other) ? [address, { ...address, name: other }] : [address];
  const shown = own ?? state;
  return (
    <div className="cpodDeployment" role="region" aria-label={trans.__('Deployment %1', address.name)}>
      <div className="cpodLab-head">
        <h2 className="cpodLab-name">{address.name}</h2>
        <span role="status">
          {shown && (
            <span className={`cpodLab-${shown.tone}`}>
              <Pill word={shown.phase} tone={shown.tone} />
            </span>
          )}
        </span>
        <span className="cpodLab-dim">
          {trans.__('in namespace %1 of %2', address.namespace, address.context)}
        </span>
      </div>
      {[trouble || lost, shown?.reason].filter(Boolean).map(each => (
        <p key={each} className="cpodLab-dim">
          {each}
        </p>
      ))}
      {state?.advice && <p className="cpodLab-dim">{trans.__('What to do: %1', state.advice)}</p>}
      {state?.url && <Address url={state.url} trans={trans} copy={copy} />}
      <div className="cpodDeployment-compare">
        <label htmlFor={`${id}-other`}>{trans.__('Side by side with')}</label>
        <select id={`${id}-other`} value={other} onChange={event => setOther(event.target.value)}>
          <option value="">{trans.__('no other')}</option>
          {others.map(name => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </div>
      <Playground server={server} addresses={addresses} start={start} trans={trans} />
    </div>
  );
}

interface IAddressProps {
  url: string;
  trans: TranslationBundle;
  copy(text: string): void;
}

function Address({ url, trans, copy }: IAddressProps): JSX.Element {
  const [said, setSaid] = useState('');
  const button = (text: string, label: string): JSX.Element => (
    <button
      type="button"
      className="cpodLab-button"
      aria-label={label}
      onClick={() => {
        copy(text);
        setSaid(trans.__('Copied'));
      }}
    >
      {trans.__('Copy')}
    </button>
  );
  const snippet = (title: string, code: string): JSX.Element => (
    <details>
      <summary>{title}</summary>
      <pre tabIndex={0}>{code}</pre>
      {button(code, trans.__('Copy the code: %1', title))}
    </details>
  );
  return (
    <section aria-label={trans.__('Where it answers')}>
      <p>
        <code className="cpodDeployment-url">{url}</code> {button(url, trans.__('Copy the URL'))}{' '}
        <span role="status">{said}</span>
      </p>
      {snippet(trans.__('Python, with openai'), pythonSnippet(url))}
      {snippet(trans.__('curl'), curlSnippet(url))}
    </section>
  );
}

/** All deployments of the namespace, live. */
function useDeployments(
  stream: IDeploymentProps['stream'],
  { context, namespace }: IAddress
): { rows: IRow[]; trouble: string } {
  const [list, setList] = useState<{ rows: IRow[]; trouble: string }>({ rows: [], trouble: '' });
  useEffect(
    () => stream.subscribeList({ context, namespace, kind: 'deployments' }, setList),
    [stream, context, namespace]
  );
  return list;
}

/** How a deployment is. Following ends when it is ready, and begins anew when the list says that it has changed. */
function useFollowed(
  stream: IDeploymentProps['stream'],
  address: IAddress,
  phase: string
): { state: IBlockState | null; trouble: string } {
  const [found, setFound] = useState<{ state: IBlockState | null; trouble: string }>({
    state: null,
    trouble: ''
  });
  const { context, namespace, kind, name } = address;
  useEffect(
    () =>
      stream.subscribe({ context, namespace, kind, name }, ({ state, trouble }) =>
        setFound(old => ({ state: state ?? old.state, trouble }))
      ),
    [stream, context, namespace, kind, name, phase]
  );
  return found;
}
