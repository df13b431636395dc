import { TranslationBundle } from '@jupyterlab/translation';
import { Poll } from '@lumino/polling';
import React, { useEffect, useId, useMemo, useState } from 'react';

import { IRow, rowKey } from '../rows';
import { ListRow } from './listrow';
import { ActionName, filtered, Order, sorted } from './rows';
import { ROW_HEIGHT, useWindow } from './window';

/** Milliseconds between two looks at the clock. */
const TICK = 1000;

/** A thing to do with a row, as a button. */
export interface IAction {
  id: ActionName;
  label: string;
  icon: JSX.Element;
}

/** What a list can do with its rows. */
export interface IListActions {
  /** The buttons of a row as it is now. */
  of(row: IRow): IAction[];
  run(id: ActionName, row: IRow): void;
  /** Open a row's menu at a place on the page. */
  menu(row: IRow, x: number, y: number): void;
}

/** Something to do, in words. */
export interface IOffer {
  label: string;
  run(): void;
}

export interface IListProps {
  /** What the list is called, as `Jobs`. */
  label: string;
  /** null while nothing is known. */
  rows: IRow[] | null;
  /** What keeps the list from being up to date, as it is shown; nothing when it is. */
  trouble: React.ReactNode;
  /** The order to begin with. */
  order: Order;
  /** Whether somebody can see the list: ages stand still while nobody does. */
  seen: boolean;
  actions: IListActions;
  /** What to begin with where there are no rows yet. */
  offer?: IOffer | null;
  trans: TranslationBundle;
}

/** A list of any length, live: with a filter, an order, and the keys of a grid. */
export function RowList(props: IListProps): JSX.Element {
  const { label, rows, trouble, seen, actions, offer, trans } = props;
  const [text, setText] = useState('');
  const [order, setOrder] = useState(props.order);
  useEffect(() => setOrder(props.order), [props.order]);
  const shown = useMemo(() => sorted(filtered(rows ?? [], text), order), [rows, text, order]);
  return (
    <section className="cpodLab-list" aria-label={label}>
      <div className="cpodLab-filter">
        <input
          type="search"
          value={text}
          onChange={event => setText(event.target.value)}
          placeholder={trans.__('Filter')}
          aria-label={trans.__('Filter %1 by text', label)}
        />
        <select
          value={order}
          onChange={event => setOrder(event.target.value as Order)}
          aria-label={trans.__('Order of %1', label)}
        >
          <option value="age">{trans.__('newest first')}</option>
          <option value="name">{trans.__('by name')}</option>
          <option value="phase">{trans.__('by status')}</option>
        </select>
        <span className="cpodLab-dim" role="status">
          {rows === null && trouble ? '' : summary(rows, shown.length, trans)}
        </span>
      </div>
      {trouble}
      {offer && rows?.length === 0 && (
        <p>
          <button className="cpodLab-button" onClick={offer.run}>
            {offer.label}
          </button>
        </p>
      )}
      <Grid label={label} rows={shown} seen={seen} actions={actions} trans={trans} />
    </section>
  );
}

function summary(rows: IRow[] | null, shown: number, trans: TranslationBundle): string {
  if (rows === null) {
    return trans.__('not known yet');
  }
  if (rows.length === 0) {
    return trans.__('none yet');
  }
  return shown === rows.length ? String(shown) : trans.__('%1 of %2', shown, rows.length);
}

type IGridProps = Omit<IListProps, 'rows' | 'trouble' | 'order' | 'offer'> & { rows: IRow[] };

/** The rows in sight. One of them is the active one, also when the rows around it change. */
function Grid({ label, rows, seen, actions, trans }: IGridProps): JSX.Element {
  const { box, first, end, page, onScroll, reveal } = useWindow(rows.length);
  const [active, setActive] = useState('');
  const [under, setUnder] = useState('');
  const now = useNow(seen);
  const id = useId();
  const at = useMemo(() => rows.findIndex(row => rowKey(row) === active), [rows, active]);
  const row = at < 0 ? null : rows[at];

  const move = (to: number): void => {
    const index = Math.max(0, Math.min(rows.length - 1, to));
    setActive(rowKey(rows[index]));
    reveal(index);
  };
  const pressed = (event: React.KeyboardEvent): void => {
    if (rows.length > 0 && event.target === event.currentTarget && handled(event.key)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };
  const handled = (key: string): boolean => {
    const to: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at < 0 ? 0 : at - 1,
      PageDown: Math.max(at, 0) + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1
    };
    if (key in to) {
      move(to[key]);
    } else if (row && key === 'Enter') {
      actions.run('open', row);
    } else if (row && key === 'Delete') {
      actions.run('delete', row);
    } else {
      return false;
    }
    return true;
  };
  const menu = (event: React.MouseEvent): void => {
    const key = (event.target as Element).closest<HTMLElement>('[data-key]')?.dataset.key ?? active;
    const found = rows.find(each => rowKey(each) === key);
    if (found) {
      event.preventDefault();
      event.stopPropagation();
      setActive(key);
      const drawn = document.getElementById(`${id}${key}`)?.getBoundingClientRect();
      const byKey = event.target === event.currentTarget;
      actions.menu(
        found,
        byKey ? (drawn?.left ?? 0) : event.clientX,
        byKey ? (drawn?.bottom ?? 0) : event.clientY
      );
    }
  };

  return (
    <div
      ref={box}
      className="cpodLab-rows"
      role="grid"
      aria-label={label}
      aria-rowcount={rows.length}
      aria-activedescendant={at >= first && at < end ? `${id}${active}` : undefined}
      tabIndex={0}
      onScroll={onScroll}
      onKeyDown={pressed}
      onContextMenu={menu}
      onMouseLeave={() => setUnder('')}
    >
      <div role="presentation" style={{ height: rows.length * ROW_HEIGHT }}>
        {rows.slice(first, end).map((each, offset) => {
          const key = rowKey(each);
          return (
            <ListRow
              key={key}
              id={`${id}${key}`}
              row={each}
              index={first + offset}
              active={key === active}
              open={key === active || key === under}
              now={now}
              actions={actions}
              trans={trans}
              onActive={setActive}
              onUnder={setUnder}
            />
          );
        })}
      </div>
    </div>
  );
}

/** The time, once a second while somebody looks. */
function useNow(seen: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!seen) {
      return;
    }
    const poll = new Poll({
      name: 'cpod-jupyter:clock',
      frequency: { interval: TICK, backoff: false },
      standby: 'when-hidden',
      factory: async () => setNow(Date.now())
    });
    return () => poll.dispose();
  }, [seen]);
  return now;
}
