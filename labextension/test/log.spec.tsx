import { nullTranslator } from '@jupyterlab/translation';
import React, { act } from 'react';
import { createRoot, Root } from 'react-dom/client';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { LogPanel } from '../src/pages/log/panel';
import { heightOf, inSight, LINE, scrollTopOf, TALLEST, topOf } from '../src/pages/log/scroll';
import { PAUSE } from '../src/pages/log/search';
import { POLL } from '../src/pages/log/source';
import { ILogFound, ILogQuery, ILogWindow, LogRow } from '../src/server';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;

const trans = nullTranslator.load('');
let node: HTMLElement;
let root: Root;
let count: number;
let whole: boolean;
let places: string[];
let failure: string;
let found: ILogFound | Error;

const asks = {
  window: vi.fn(async (query: ILogQuery, first: number, wanted: number): Promise<ILogWindow> => {
    if (failure) {
      throw new Error(failure);
    }
    const start = first < 0 ? Math.max(0, count - wanted) : Math.min(first, count);
    const rows = Array.from({ length: Math.min(wanted, count - start) }, (_, at): LogRow => {
      const number = start + at;
      const marks: [number, number][] = query.text ? [[0, 4]] : [];
      return [number, query.place || places[number % places.length], `line ${number} <b>`, marks];
    });
    return { first: start, rows, count, places, whole, note: '', found: null };
  }),
  find: vi.fn(async () => {
    if (found instanceof Error) {
      throw found;
    }
    return found;
  }),
  download: vi.fn(async () => undefined)
};

beforeEach(() => {
  vi.useFakeTimers();
  Object.values(asks).forEach(each => each.mockClear());
  node = document.body.appendChild(document.createElement('div'));
  root = createRoot(node);
  [count, whole, places, failure] = [1_000_000, true, ['worker-10', 'worker-2'], ''];
  found = { row: 500, at: 3, count: 1200, more: false };
  return async () => {
    await act(async () => root.unmount());
    node.remove();
    vi.useRealTimers();
  };
});

const render = async (): Promise<void> =>
  act(async () => root.render(<LogPanel asks={asks} trans={trans} />));
const passes = async (time: number): Promise<void> => act(async () => vi.advanceTimersByTimeAsync(time));
const lines = (): HTMLElement[] => [...node.querySelectorAll<HTMLElement>('.cpodLog-line')];
const first = (): string | undefined => lines()[0].dataset.number;
const box = (): HTMLElement => node.querySelector('[role=log]')!;
const key = async (where: HTMLElement, name: string, more: KeyboardEventInit = {}): Promise<void> =>
  act(async () => {
    where.dispatchEvent(
      new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true, ...more })
    );
  });
const button = (name: string): HTMLButtonElement =>
  [...node.querySelectorAll('button')].find(
    each => (each.getAttribute('aria-label') ?? each.textContent) === name
  )!;
const input = (): HTMLInputElement => node.querySelector('input')!;
const type = async (text: string): Promise<void> => {
  await act(async () => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(input(), text);
    input().dispatchEvent(new Event('input', { bubbles: true }));
  });
  await passes(PAUSE);
};

describe('scrolling', () => {
  it('gives a box no more height than browsers draw, and reaches both ends', () => {
    expect(heightOf(100)).toBe(100 * LINE);
    expect(heightOf(100_000_000)).toBe(TALLEST);
    for (const rows of [10, 1000, 1_000_000, 100_000_000]) {
      const most = Math.max(0, heightOf(rows) - 480);
      expect(topOf(0, rows, 480)).toBe(0);
      expect(topOf(most, rows, 480)).toBeCloseTo(Math.max(0, rows * LINE - 480), 3);
      expect(scrollTopOf(topOf(most / 3, rows, 480), rows, 480)).toBeCloseTo(most / 3, 3);
    }
  });

  it('draws what is in sight', () => {
    expect(inSight(0, 180, 1_000_000)).toEqual([0, 11]);
    expect(inSight(999_990 * LINE, 180, 1_000_000)).toEqual([999_990, 1_000_000]);
    expect(inSight(0, 180, 0)).toEqual([0, 0]);
  });
});

describe('LogPanel', () => {
  it('shows the end of a million lines in few elements, as text', async () => {
    await render();
    expect(lines().length).toBeLessThan(200);
    const last = lines()[lines().length - 1];
    expect(last.dataset.number).toBe('1000000');
    expect(last.textContent).toContain('line 999999 <b>');
    expect(box().getAttribute('aria-live')).toBe('off');
    expect(node.textContent).toContain('1,000,000 lines');
  });

  it('goes by keys, lets the end go, and follows it again', async () => {
    await render();
    const follow = (): string | null => button('Follow the end').getAttribute('aria-pressed');
    expect(follow()).toBe('true');
    await key(box(), 'Home');
    expect([first(), follow()]).toEqual(['1', 'false']);
    await key(box(), 'ArrowDown');
    expect(first()).toBe('2');
    await key(box(), 'PageDown');
    expect(Number(first())).toBeGreaterThan(20);
    await key(box(), 'End');
    expect(follow()).toBe('true');
    await key(box(), 'PageUp');
    expect(follow()).toBe('false');
    await act(async () => button('Follow the end').click());
    expect(lines()[lines().length - 1].dataset.number).toBe('1000000');
  });

  it('goes on with a log that goes on, and asks no more when it is whole', async () => {
    [count, whole] = [50, false];
    await render();
    count = 60;
    await passes(POLL);
    expect(lines()[lines().length - 1].dataset.number).toBe('60');
    whole = true;
    await passes(POLL);
    const asked = asks.window.mock.calls.length;
    await passes(10 * POLL);
    expect(asks.window.mock.calls.length).toBe(asked);
  });

  it('finds by Ctrl+F, goes there, marks it, and tells how many there are', async () => {
    await render();
    await key(box(), 'f', { ctrlKey: true });
    expect(document.activeElement).toBe(input());
    await type('line');
    expect(asks.find).toHaveBeenLastCalledWith(
      { text: 'line', regex: false, case: false, place: '' },
      expect.any(Number),
      false
    );
    const current = node.querySelector<HTMLElement>('[aria-current]')!;
    expect(current.dataset.number).toBe('501');
    expect(current.querySelector('mark')!.textContent).toBe('line');
    expect(node.querySelector('[role=status]')!.textContent).toBe('3 of 1,200 matching lines');
    await key(input(), 'Enter');
    expect(asks.find).toHaveBeenLastCalledWith(expect.anything(), 501, false);
    await key(input(), 'Enter', { shiftKey: true });
    expect(asks.find).toHaveBeenLastCalledWith(expect.anything(), 499, true);
    await act(async () => button('Match case').click());
    await passes(PAUSE);
    expect(asks.find).toHaveBeenLastCalledWith(
      { text: 'line', regex: false, case: true, place: '' },
      500,
      false
    );
  });

  it('says that an expression is none, and that nothing is found', async () => {
    await render();
    found = new Error('this is no regular expression: missing )');
    await type('(');
    expect(node.querySelector('[role=alert]')!.textContent).toContain('no regular expression');
    expect(input().getAttribute('aria-invalid')).toBe('true');
    found = { row: null, at: 0, count: 0, more: false };
    await type('nowhere');
    expect(node.querySelector('[role=alert]')).toBeNull();
    expect(node.querySelector('[role=status]')!.textContent).toBe('not found');
  });

  it('shows one rank alone, which is what is downloaded then', async () => {
    count = 20;
    await render();
    const select = node.querySelector('select')!;
    expect([...select.options].map(each => each.value)).toEqual(['', 'worker-2', 'worker-10']);
    await act(async () => button('Download the whole log').click());
    expect(asks.download).toHaveBeenLastCalledWith({ ranks: 'all' });
    await act(async () => {
      select.value = 'worker-2';
      select.dispatchEvent(new Event('change', { bubbles: true }));
    });
    expect(new Set(lines().map(line => line.querySelector('.cpodLab-rank')!.textContent))).toEqual(
      new Set(['worker-2'])
    );
    await act(async () => button('Download the log of worker-2').click());
    expect(asks.download).toHaveBeenLastCalledWith({ place: 'worker-2' });
  });

  it('keeps what it knew while the server is away, says so, and asks again at its own pace', async () => {
    [count, whole] = [50, false];
    await render();
    failure = 'Jupyter does not answer';
    await passes(POLL);
    expect(node.querySelector('[role=alert]')!.textContent).toBe('Jupyter does not answer');
    expect(lines().length).toBeGreaterThan(10);
    const asked = asks.window.mock.calls.length;
    await passes(3 * POLL);
    expect(asks.window.mock.calls.length).toBe(asked + 3);
    failure = '';
    await passes(POLL);
    expect(node.querySelector('[role=alert]')).toBeNull();
  });
});
