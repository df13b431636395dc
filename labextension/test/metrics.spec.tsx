import { nullTranslator } from '@jupyterlab/translation';
import React, { act } from 'react';
import { createRoot, Root } from 'react-dom/client';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { IAddress } from '../src/block/state';
import { IMetricsView, PLAIN_VIEW } from '../src/pages/kept';
import { PAUSE } from '../src/pages/metrics/feed';
import { Metrics } from '../src/pages/metrics/panel';
import { IList } from '../src/rows';
import { IMetrics } from '../src/server';
import { INews } from '../src/stream';
import { row } from './rows';
import { running } from './states';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;

const trans = nullTranslator.load('');
const facts: IAddress = { context: 'engine', namespace: 'default', kind: 'job', name: 'facts' };
let node: HTMLElement;
let root: Root;
let view: IMetricsView;
let answers: Record<string, IMetrics | Error>;
let says: Record<string, (news: INews) => void>;
const asked = vi.fn();

const source = {
  subscribe: (address: IAddress, listener: (news: INews) => void) => {
    says[address.name] = listener;
    return () => void delete says[address.name];
  },
  metrics: async ({ name }: IAddress) => {
    asked(name);
    const answer = answers[name];
    if (answer instanceof Error) {
      throw answer;
    }
    return answer;
  },
  jobs: (listener: (list: IList) => void) => {
    listener({ rows: ['facts', 'other', 'third'].map(name => row(name)), trouble: '' });
    return () => undefined;
  }
};

beforeEach(async () => {
  vi.useFakeTimers();
  asked.mockClear();
  node = document.body.appendChild(document.createElement('div'));
  root = createRoot(node);
  view = PLAIN_VIEW;
  says = {};
  answers = {
    facts: { steps: [1, 2], series: { loss: [4, 2], learning_rate: [1, 0.5] }, over: false },
    other: { steps: [1, 2, 3], series: { loss: [5, null, 0.5] }, over: true }
  };
  await render();
  return async () => {
    await act(async () => root.unmount());
    node.remove();
    vi.useRealTimers();
    expect(says).toEqual({});
  };
});

async function render(): Promise<void> {
  const onView = (next: IMetricsView): void => {
    view = next;
    void render();
  };
  await act(async () =>
    root.render(<Metrics address={facts} view={view} onView={onView} source={source} trans={trans} />)
  );
}
const moves = async (name: string): Promise<void> =>
  act(async () => says[name]({ state: running({ name }), bundle: null, trouble: '', over: false }));
const passes = async (): Promise<void> => act(async () => vi.advanceTimersByTimeAsync(PAUSE));
const plot = (): string => node.querySelector('[role=img]')!.getAttribute('aria-label')!;
const choose = async (label: string, value: string): Promise<void> =>
  act(async () => {
    const found = [...node.querySelectorAll('label')].find(each => each.textContent!.startsWith(label))!;
    const select = found.querySelector('select')!;
    select.value = value;
    select.dispatchEvent(new Event('change', { bubbles: true }));
  });
const button = (name: string): HTMLButtonElement =>
  [...node.querySelectorAll('button')].find(
    each => (each.getAttribute('aria-label') ?? each.textContent) === name
  )!;
const press = async (name: string): Promise<void> => act(async () => button(name).click());

describe('Metrics', () => {
  it('says what the curves show, and goes on with the run without asking all the time', async () => {
    expect(node.textContent).toContain('Asking');
    await moves('facts');
    expect(plot()).toBe('Loss by Step. facts: first 4 (Step 1), last 2 (Step 2), lowest 2 (Step 2).');
    answers.facts = { steps: [1, 2, 3], series: { loss: [4, 2, 1] }, over: false };
    await moves('facts');
    await moves('facts');
    expect(asked).toHaveBeenCalledTimes(1);
    await passes();
    expect(asked).toHaveBeenCalledTimes(2);
    expect(plot()).toContain('last 1 (Step 3)');
    await passes();
    await passes();
    expect(asked).toHaveBeenCalledTimes(2);
  });

  it('compares with other jobs, each with a line of its own, and takes them out again', async () => {
    await moves('facts');
    await choose('Compare with', 'job/other');
    await moves('other');
    expect(view.runs).toEqual([{ kind: 'job', name: 'other' }]);
    expect(plot()).toContain('other: first 5 (Step 1), last 0.5 (Step 3), lowest 0.5 (Step 3).');
    const rows = (): string[] => [...node.querySelectorAll('tbody tr')].map(each => each.textContent!.trim());
    expect(rows()[1]).toContain('job/other');
    const options = [...node.querySelectorAll('option')].map(each => each.value);
    expect(options).toContain('job/third');
    expect(options).not.toContain('job/facts');
    expect(options).not.toContain('job/other');
    expect(button('Remove job/facts')).toBeUndefined();
    await press('Remove job/other');
    expect(rows()).toHaveLength(1);
    expect(Object.keys(says)).toEqual(['facts']);
  });

  it('shows another metric, against what all have, on a scale and in a part that is chosen', async () => {
    await moves('facts');
    await choose('Metric', 'learning_rate');
    expect(plot()).toContain('Learning rate by Step');
    await press('Zoom in');
    expect(view.zoom).toEqual([1.25, 1.75]);
    await press('Whole curve');
    expect(view.zoom).toBeNull();
    await act(async () => node.querySelector<HTMLElement>('input[type=checkbox]')!.click());
    expect(view).toMatchObject({ metric: 'learning_rate', log: true });
  });

  it('is drawn anew, in other colours, when the theme changes', async () => {
    await moves('facts');
    const drawn = node.querySelector('canvas');
    await act(async () => void (document.body.dataset.jpThemeName = 'JupyterLab Dark'));
    await passes();
    expect(node.querySelectorAll('canvas')).toHaveLength(1);
    expect(node.querySelector('canvas')).not.toBe(drawn);
  });

  it('says why there is nothing to see', async () => {
    answers.facts = { steps: [], series: {}, over: false };
    await moves('facts');
    expect(node.textContent).toContain('No numbers yet');
    answers.facts = new Error('the engine does not run');
    await moves('facts');
    await passes();
    expect(node.querySelector('[role=alert]')!.textContent).toBe('job/facts: the engine does not run');
  });
});
