import { nullTranslator } from '@jupyterlab/translation';
import React, { act } from 'react';
import { createRoot, Root } from 'react-dom/client';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { IRow } from '../src/rows';
import { IListActions, RowList } from '../src/sidebar/list';
import { actionsFor, Order } from '../src/sidebar/rows';
import { ROW_HEIGHT, span } from '../src/sidebar/window';
import { done, failed, row } from './rows';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;

const trans = nullTranslator.load('');
const NOW = Date.UTC(2026, 0, 1, 0, 0, 30);
let node: HTMLElement;
let root: Root;
let actions: IListActions;
let order: Order;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  node = document.body.appendChild(document.createElement('div'));
  root = createRoot(node);
  order = 'age';
  actions = {
    of: each => actionsFor(each).map(id => ({ id, label: id, icon: <i /> })),
    run: vi.fn(),
    menu: vi.fn()
  };
  return async () => {
    await act(async () => root.unmount());
    node.remove();
    vi.useRealTimers();
  };
});

async function show(rows: IRow[] | null, trouble = '', seen = true): Promise<void> {
  await act(async () =>
    root.render(
      <RowList
        label="Jobs"
        rows={rows}
        trouble={trouble && <p className="cpodLab-trouble">{trouble}</p>}
        order={order}
        seen={seen}
        actions={actions}
        trans={trans}
      />
    )
  );
}

const grid = (): HTMLElement => node.querySelector('[role=grid]')!;
const drawn = (): string[] =>
  [...node.querySelectorAll('[role=row]')].map(each => each.querySelector('.cpodLab-name')!.textContent!);
const active = (): string | undefined =>
  node.querySelector('[aria-selected=true] .cpodLab-name')?.textContent ?? undefined;
const status = (): string => node.querySelector('[role=status]')!.textContent!;

async function press(...keys: string[]): Promise<void> {
  for (const key of keys) {
    await act(async () => {
      grid().dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    });
  }
}

async function set(element: HTMLInputElement | HTMLSelectElement, value: string): Promise<void> {
  await act(async () => {
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(element), 'value')!.set!.call(element, value);
    element.dispatchEvent(new Event(element.tagName === 'SELECT' ? 'change' : 'input', { bubbles: true }));
  });
}

const many = (count: number): IRow[] => Array.from({ length: count }, (_, index) => row(`job-${index}`));

describe('span', () => {
  it('holds what is in sight and stays within the list', () => {
    expect(span(0, 460, 10000)).toEqual([0, 16]);
    expect(span(5000 * ROW_HEIGHT, 460, 10000)).toEqual([4994, 5016]);
    expect(span(9990 * ROW_HEIGHT, 460, 10000)).toEqual([9984, 10000]);
    expect(span(9990 * ROW_HEIGHT, 460, 3)).toEqual([2, 3]); // before the browser has scrolled back
    expect(span(0, 460, 0)).toEqual([0, 0]);
  });
});

describe('RowList', () => {
  it('shows status as mark and word, age, GPUs and the reason', async () => {
    await show([row('a', { gpus: '4 A100' }), row('b', failed)]);
    const [a, b] = [...node.querySelectorAll('[role=row]')];
    expect(a.textContent).toContain('Running4 A100general, python');
    expect(b.querySelector('.cpodLab-status')!.textContent).toBe('Failed');
    expect(b.querySelector('svg')!.dataset.tone).toBe('bad');
    expect(b.textContent).toContain('exit code 1');
    expect(a.querySelector('.cpodLab-age')!.textContent).toBe('30 s');
    await act(async () => void (await vi.advanceTimersByTimeAsync(31000)));
    expect(a.querySelector('.cpodLab-age')!.textContent).toBe('1 min');
  });

  it('lets ages stand still while nobody sees them', async () => {
    await show([row('a')], '', false);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('draws of 10,000 rows those in sight, wherever one scrolls, and knows of all', async () => {
    await show(many(10000));
    expect(grid().getAttribute('aria-rowcount')).toBe('10000');
    expect(drawn().length).toBeLessThan(30);
    await act(async () => {
      grid().scrollTop = 7000 * ROW_HEIGHT + 3;
      grid().dispatchEvent(new Event('scroll'));
    });
    expect(drawn().length).toBeLessThan(40);
    expect(drawn()).toContain('job-7000');
    const found = node.querySelector<HTMLElement>('[data-key="job/job-7000"]')!;
    expect(found.getAttribute('aria-rowindex')).toBe('7001');
    expect(found.style.top).toBe(`${7000 * ROW_HEIGHT}px`);
  });

  it('goes by keys to any row, and opens or deletes it', async () => {
    await show(many(1000));
    await press('ArrowDown', 'ArrowDown', 'ArrowUp', 'ArrowDown');
    expect(active()).toBe('job-1');
    expect(document.getElementById(grid().getAttribute('aria-activedescendant')!)!.textContent).toContain(
      'job-1'
    );
    await press('End');
    expect(active()).toBe('job-999');
    await press('ArrowDown', 'PageUp');
    expect(Number(active()!.slice(4))).toBeLessThan(995);
    await press('Home', 'ArrowUp', 'Enter', 'Delete', 'x');
    expect(active()).toBe('job-0');
    expect((actions.run as any).mock.calls.map(([id, each]: any) => [id, each.name])).toEqual([
      ['open', 'job-0'],
      ['delete', 'job-0']
    ]);
  });

  it('keeps to the active row when others come before it and when it changes', async () => {
    await show([row('a'), row('b')]);
    await press('End');
    await show([row('c', { created: '2026-01-02T00:00:00Z' }), row('a'), row('b', failed)]);
    expect(drawn()).toEqual(['c', 'a', 'b']);
    expect(active()).toBe('b');
    await press('Enter');
    expect((actions.run as any).mock.calls[0][1].phase).toBe('Failed');
    await show([row('a')]);
    expect(active()).toBeUndefined();
    expect(grid().getAttribute('aria-activedescendant')).toBeNull();
    await press('Enter');
    expect(actions.run).toHaveBeenCalledTimes(1);
  });

  it('filters and orders, and says how many are left', async () => {
    await show([row('b', done), row('a1'), row('a2', failed)]);
    expect(status()).toBe('3');
    await set(node.querySelector('select')!, 'phase');
    expect(drawn()).toEqual(['a2', 'a1', 'b']);
    await set(node.querySelector('input')!, 'a');
    await set(node.querySelector('input')!, 'A1');
    expect(drawn()).toEqual(['a1']);
    expect(status()).toBe('1 of 3');
  });

  it('stands in the order that is set, until another is chosen or set', async () => {
    const rows = [row('b', done), row('a1'), row('a2', failed)];
    order = 'name';
    await show(rows);
    expect(drawn()).toEqual(['a1', 'a2', 'b']);
    await set(node.querySelector('select')!, 'phase');
    await show(rows);
    expect(drawn()).toEqual(['a2', 'a1', 'b']);
    order = 'age';
    await show(rows);
    expect(node.querySelector('select')!.value).toBe('age');
  });

  it('tells what is not known, what is empty, and what is wrong', async () => {
    await show(null);
    expect(status()).toBe('not known yet');
    await show(null, 'no server answers');
    expect(status()).toBe('');
    await show([], 'no server answers');
    expect(status()).toBe('none yet');
    expect(node.querySelector('.cpodLab-trouble')!.textContent).toBe('no server answers');
  });

  it('has the buttons of the row one points at, each with a name of its own', async () => {
    await show([row('a'), row('b', done)]);
    expect(node.querySelectorAll('button')).toHaveLength(0);
    await act(async () => node.querySelectorAll<HTMLElement>('[role=row]')[1].click());
    const buttons = [...node.querySelectorAll('button')];
    expect(buttons.map(each => each.getAttribute('aria-label'))).toEqual([
      'open: b',
      'logs: b',
      'rerun: b',
      'clone: b',
      'delete: b'
    ]);
    await act(async () => buttons[2].click());
    expect((actions.run as any).mock.calls.map(([id, each]: any) => [id, each.name])).toEqual([
      ['rerun', 'b']
    ]);
    expect(active()).toBe('b');
  });

  it('opens the menu of the row under the pointer, or of the active one by keys', async () => {
    await show([row('a'), row('b')]);
    const menu = async (target: Element): Promise<void> =>
      act(async () => {
        const where = { bubbles: true, cancelable: true, clientX: 7, clientY: 9 };
        target.dispatchEvent(new MouseEvent('contextmenu', where));
      });
    await menu(grid());
    expect(actions.menu).not.toHaveBeenCalled();
    await menu(node.querySelector('[data-key="job/b"] .cpodLab-name')!);
    await menu(grid());
    expect((actions.menu as any).mock.calls.map(([each, x, y]: any) => [each.name, x, y])).toEqual([
      ['b', 7, 9],
      ['b', 0, 0]
    ]);
  });
});
