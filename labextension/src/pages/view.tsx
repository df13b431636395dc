import { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useId, useState } from 'react';

import { sentence } from '../errors';
import { Block, IBlockActions } from '../block/block';
import { Log } from '../block/log';
import { IAddress, IBlockState, keyOf } from '../block/state';
import { IEvent } from '../server';
import type { IAction } from '../sidebar/list';
import { ActionName } from '../sidebar/rows';
import { INews } from '../stream';
import { Asked, EventTable } from './asked';

export type Tab = 'overview' | 'events' | 'yaml' | 'log';
export const TABS: Tab[] = ['overview', 'events', 'yaml', 'log'];

export interface IPageProps {
  address: IAddress;
  tab: Tab;
  onTab: (tab: Tab) => void;
  /** Changes when everything is to be asked again. */
  round: number;
  subscribe: (listener: (news: INews) => void) => () => void;
  yaml: () => Promise<string>;
  events: () => Promise<IEvent[]>;
  download: () => Promise<void>;
  block: IBlockActions;
  /** The buttons of the page for how its object is now. */
  buttons: (state: IBlockState) => IAction[];
  run: (id: ActionName) => void;
  trans: TranslationBundle;
}

/** An object in a tab of its own: how it is, live, and all that can be asked about it. */
export function Page(props: IPageProps): JSX.Element {
  const { address, tab, trans } = props;
  const { state, trouble } = useObject(props);
  const id = useId();
  return (
    <section className="cpodLab-pageBody" aria-label={`${address.kind}/${address.name}`}>
      <Tabs tab={tab} onTab={props.onTab} id={id} trans={trans} />
      {state && (
        <div className="cpodLab-pageTools" role="toolbar" aria-label={trans.__('Actions')}>
          {props.buttons(state).map(action => (
            <button key={action.id} className="cpodLab-button" onClick={() => props.run(action.id)}>
              {action.icon} {action.label}
            </button>
          ))}
        </div>
      )}
      <div role="tabpanel" id={`${id}panel`} aria-labelledby={`${id}${tab}`} tabIndex={0}>
        {trouble && (tab !== 'overview' || !state) && <p className="cpodLab-trouble">{trouble}</p>}
        <Panel {...props} state={state} trouble={trouble} />
      </div>
    </section>
  );
}

type IPanelProps = IPageProps & { state: IBlockState | null; trouble: string };

function Panel(props: IPanelProps): JSX.Element | null {
  const { tab, state, trouble, trans, round } = props;
  // Both are asked again when the object has come further.
  const asked = `${round} ${state?.phase ?? ''}`;
  switch (tab) {
    case 'events':
      return (
        <Asked key="events" ask={props.events} again={asked} often={state?.final !== true} trans={trans}>
          {events => <EventTable events={events} trans={trans} />}
        </Asked>
      );
    case 'yaml':
      return (
        <Asked key="yaml" ask={props.yaml} again={asked} often={false} trans={trans}>
          {text => (
            <pre className="cpodLab-yaml" aria-label={trans.__('Manifest')}>
              {text}
            </pre>
          )}
        </Asked>
      );
    case 'log':
      return <LogPanel {...props} />;
    default:
      if (state) {
        return <Block state={state} trouble={trouble} actions={props.block} trans={trans} />;
      }
      return trouble ? null : <p className="cpodLab-dim">{trans.__('Asking how it is …')}</p>;
  }
}

function LogPanel({ state, download, trans }: IPanelProps): JSX.Element {
  const [failure, setFailure] = useState('');
  const load = (): void => {
    setFailure('');
    download().catch(error => setFailure(sentence(error)));
  };
  const lines = state?.log ?? [];
  return (
    <>
      <Log lines={lines} places={(state?.pods ?? []).map(pod => pod.place)} trans={trans} />
      <button className="cpodLab-link" onClick={load}>
        {trans.__('Download the whole log')}
      </button>
      {failure && (
        <p className="cpodLab-trouble" role="alert">
          {failure}
        </p>
      )}
    </>
  );
}

function Tabs({
  tab,
  onTab,
  id,
  trans
}: Pick<IPageProps, 'tab' | 'onTab' | 'trans'> & { id: string }): JSX.Element {
  const labels: Record<Tab, string> = {
    overview: trans.__('Overview'),
    events: trans.__('Events'),
    yaml: trans.__('YAML'),
    log: trans.__('Log')
  };
  const pressed = (event: React.KeyboardEvent<HTMLElement>): void => {
    const step = { ArrowRight: 1, ArrowLeft: TABS.length - 1 }[event.key];
    if (step) {
      const next = TABS[(TABS.indexOf(tab) + step) % TABS.length];
      event.preventDefault();
      onTab(next);
      document.getElementById(`${id}${next}`)?.focus();
    }
  };
  return (
    <div className="cpodLab-tabs" role="tablist" onKeyDown={pressed}>
      {TABS.map(each => (
        <button
          key={each}
          id={`${id}${each}`}
          role="tab"
          aria-selected={each === tab}
          aria-controls={each === tab ? `${id}panel` : undefined}
          tabIndex={each === tab ? 0 : -1}
          onClick={() => onTab(each)}
        >
          {labels[each]}
        </button>
      ))}
    </div>
  );
}

/** How an object is, from the server; the last that was known stays while there is trouble. */
function useObject({ address, round, subscribe }: IPageProps): {
  state: IBlockState | null;
  trouble: string;
} {
  const [found, setFound] = useState<{ state: IBlockState | null; trouble: string }>({
    state: null,
    trouble: ''
  });
  const key = keyOf(address);
  useEffect(
    () =>
      subscribe(news => setFound(before => ({ state: news.state ?? before.state, trouble: news.trouble }))),
    // `subscribe` is another function each time, for the same object.
    [key, round]
  );
  return found;
}
