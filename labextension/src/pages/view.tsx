import { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useId, useState } from 'react';

import { Block, IBlockActions } from '../block/block';
import { IAddress, IBlockState, keyOf } from '../block/state';
import { PlanTable } from '../plantable';
import { IEvent, IPlan } from '../server';
import type { IAction } from '../sidebar/list';
import { ActionName } from '../sidebar/rows';
import { INews } from '../stream';
import { Asked, EventTable } from './asked';
import { IKept } from './kept';
import { ILogAsks, LogPanel } from './log/panel';
import { IJobs } from './metrics/compare';
import { IRunSource } from './metrics/feed';
import { Metrics } from './metrics/panel';
import { Tabs, tabsOf } from './tabs';

export interface IPageProps {
  address: IAddress;
  kept: IKept;
  onKept: (kept: IKept) => void;
  /** Changes when everything is to be asked again. */
  round: number;
  subscribe: (listener: (news: INews) => void) => () => void;
  yaml: () => Promise<string>;
  events: () => Promise<IEvent[]>;
  plan: () => Promise<IPlan>;
  log: ILogAsks;
  runs: IRunSource & IJobs;
  block: IBlockActions;
  /** The buttons of the page for how its object is now. */
  buttons: (state: IBlockState) => IAction[];
  run: (id: ActionName) => void;
  trans: TranslationBundle;
}

/** An object in a tab of its own: how it is, live, and all that can be asked about it. */
export function Page(props: IPageProps): JSX.Element {
  const { address, kept, onKept, trans } = props;
  const tab = tabOf(props);
  const { state, trouble } = useObject(props);
  const id = useId();
  return (
    <section className="cpodLab-pageBody" data-tab={tab} aria-label={`${address.kind}/${address.name}`}>
      <Tabs
        kind={address.kind}
        tab={tab}
        onTab={next => onKept({ ...kept, tab: next })}
        id={id}
        trans={trans}
      />
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

/** The tab that is shown: one that was kept may be none of this kind's. */
function tabOf({ address, kept }: IPageProps): IKept['tab'] {
  return tabsOf(address.kind).includes(kept.tab) ? kept.tab : 'overview';
}

type IPanelProps = IPageProps & { state: IBlockState | null; trouble: string };

function Panel(props: IPanelProps): JSX.Element | null {
  const { address, kept, onKept, state, trouble, trans, round } = props;
  // Both are asked again when the object has come further.
  const asked = `${round} ${state?.phase ?? ''}`;
  switch (tabOf(props)) {
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
            <pre className="cpodLab-yaml" tabIndex={0} role="region" aria-label={trans.__('Manifest')}>
              {text}
            </pre>
          )}
        </Asked>
      );
    case 'metrics':
      return (
        <Metrics
          address={address}
          view={kept.metrics}
          onView={metrics => onKept({ ...kept, metrics })}
          source={props.runs}
          trans={trans}
        />
      );
    case 'log':
      return <LogPanel key={round} asks={props.log} trans={trans} />;
    case 'plan':
      return (
        <Asked key="plan" ask={props.plan} again={asked} often={state?.final !== true} trans={trans}>
          {plan =>
            plan.rows.length > 0 ? (
              <PlanTable plan={plan} trans={trans} />
            ) : (
              <p className="cpodLab-dim">{trans.__('It is not planned yet.')}</p>
            )
          }
        </Asked>
      );
    default:
      if (state) {
        return <Block state={state} trouble={trouble} actions={props.block} trans={trans} />;
      }
      return trouble ? null : <p className="cpodLab-dim">{trans.__('Asking how it is …')}</p>;
  }
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
