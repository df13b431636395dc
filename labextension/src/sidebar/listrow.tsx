import { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { Tone } from '../block/state';
import { IRow, rowKey } from '../rows';
import type { IListActions } from './list';
import { ageOf } from './rows';
import { ROW_HEIGHT } from './window';

/** Marks that can be told apart without their colours. */
const MARKS: Record<Tone, string> = {
  good: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm-1.2 10.3L3.7 8.2l1.1-1.1 2 2 4.4-4.4 1.1 1.1z',
  bad: 'M8 1 .5 15h15zm-.8 5h1.6v4.5H7.2zm0 5.5h1.6v1.6H7.2z',
  busy: 'M4 2v12l9-6z',
  wait: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm0 1.6a5.4 5.4 0 1 1 0 10.8A5.4 5.4 0 0 1 8 2.6zM7.2 4v4.5l3.2 1.9.7-1.2-2.5-1.5V4z'
};

/** A status as a mark and a word. */
export function Status({ phase, tone }: { phase: string; tone: Tone }): JSX.Element {
  return (
    <span className={`cpodLab-pill cpodLab-status cpodLab-${tone}`}>
      <svg viewBox="0 0 16 16" width="11" height="11" aria-hidden="true" data-tone={tone}>
        <path d={MARKS[tone]} />
      </svg>
      {phase}
    </span>
  );
}

interface IRowProps {
  id: string;
  row: IRow;
  index: number;
  /** Whether the keys mean this row. */
  active: boolean;
  /** Whether it shows its buttons. */
  open: boolean;
  now: number;
  actions: IListActions;
  trans: TranslationBundle;
  onActive: (key: string) => void;
  onUnder: (key: string) => void;
}

/** A line of a list: name and age, status and what it is about; its buttons while it is pointed at. */
export function ListRow(props: IRowProps): JSX.Element {
  const { id, row, index, active, open, now, actions, trans, onActive, onUnder } = props;
  const key = rowKey(row);
  return (
    <div
      id={id}
      className={`cpodLab-listRow${active ? ' cpodLab-active' : ''}`}
      style={{ height: ROW_HEIGHT, top: index * ROW_HEIGHT }}
      role="row"
      aria-rowindex={index + 1}
      aria-selected={active}
      data-key={key}
      data-phase={row.phase}
      title={[key, row.reason || row.detail].filter(Boolean).join('\n')}
      onClick={() => onActive(key)}
      onDoubleClick={() => actions.run('open', row)}
      onMouseEnter={() => onUnder(key)}
    >
      <div role="gridcell" className="cpodLab-listName">
        <span className="cpodLab-name">{row.name}</span>
        <span className="cpodLab-dim">{row.kind}</span>
        <span className="cpodLab-dim cpodLab-end cpodLab-age">{ageOf(row.created, now, trans)}</span>
      </div>
      <div role="gridcell" className="cpodLab-listState">
        <Status phase={row.phase} tone={row.tone} />
        {row.gpus && <span className="cpodLab-dim">{gpusIn(row.gpus, trans)}</span>}
        <span className="cpodLab-dim cpodLab-listDetail">{row.reason || row.detail}</span>
        {open && (
          <span className="cpodLab-listActions">
            {actions.of(row).map(action => (
              <button
                key={action.id}
                title={action.label}
                aria-label={trans.__('%1: %2', action.label, row.name)}
                tabIndex={active ? 0 : -1}
                onClick={event => {
                  event.stopPropagation();
                  actions.run(action.id, row);
                }}
                onDoubleClick={event => event.stopPropagation()}
              >
                {action.icon}
              </button>
            ))}
          </span>
        )}
      </div>
    </div>
  );
}

/** GPUs as a person says it; those of any type are only a number. */
function gpusIn(gpus: string, trans: TranslationBundle): string {
  return /^\d+$/.test(gpus) ? trans._n('%1 GPU', '%1 GPUs', Number(gpus)) : gpus;
}
