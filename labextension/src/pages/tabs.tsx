import { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { groupOf } from '../sidebar/rows';
import { Tab } from './kept';

/** The kinds that the operator plans. */
const PLANNED = ['finetune'];

/** The tabs of an object of a kind, in their order. */
export function tabsOf(kind: string): Tab[] {
  const metrics: Tab[] = groupOf(kind) === 'jobs' ? ['metrics'] : [];
  const plan: Tab[] = PLANNED.includes(kind) ? ['plan'] : [];
  return ['overview', ...metrics, 'log', 'events', ...plan, 'yaml'];
}

export interface ITabsProps {
  kind: string;
  tab: Tab;
  onTab: (tab: Tab) => void;
  /** Before the ids of the tabs and of their panel. */
  id: string;
  trans: TranslationBundle;
}

/** Tabs, gone through by arrow keys. */
export function Tabs({ kind, tab, onTab, id, trans }: ITabsProps): JSX.Element {
  const labels: Record<Tab, string> = {
    overview: trans.__('Overview'),
    metrics: trans.__('Metrics'),
    log: trans.__('Log'),
    events: trans.__('Events'),
    plan: trans.__('Plan'),
    yaml: trans.__('YAML')
  };
  const tabs = tabsOf(kind);
  const pressed = (event: React.KeyboardEvent<HTMLElement>): void => {
    const step = { ArrowRight: 1, ArrowLeft: tabs.length - 1 }[event.key];
    if (step) {
      const next = tabs[(tabs.indexOf(tab) + step) % tabs.length];
      event.preventDefault();
      onTab(next);
      document.getElementById(`${id}${next}`)?.focus();
    }
  };
  return (
    <div className="cpodLab-tabs" role="tablist" onKeyDown={pressed}>
      {tabs.map(each => (
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
