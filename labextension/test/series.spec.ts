import { describe, expect, it } from 'vitest';

import { PLAIN_VIEW, readKept } from '../src/pages/kept';
import {
  axesOf,
  BOTH,
  cornersOf,
  curveOf,
  metricsOf,
  moved,
  nearest,
  short,
  smoothed,
  tableOf
} from '../src/pages/metrics/series';
import { MOST_RUNS, strokeOf } from '../src/pages/metrics/strokes';
import { IMetrics } from '../src/server';
import { tabsOf } from '../src/pages/tabs';

const run = (steps: number[], series: IMetrics['series']): IMetrics => ({ steps, series, over: false });
const facts = run([1, 2, 3, 4], {
  zeal: [1, 1, 1, 1],
  eval_loss: [null, 3, null, 2],
  loss: [4, 2, 0, 1],
  epoch: [0.25, 0.5, 0.75, 1],
  elapsed_seconds: [1, 2, 1, 2]
});
const other = run([2, 4, 6], { loss: [5, null, 3] });

describe('metricsOf', () => {
  it('has what most want to see first, training and evaluation together before all', () => {
    expect(metricsOf([facts, other])).toEqual([BOTH, 'loss', 'eval_loss', 'zeal']);
    expect(metricsOf([other])).toEqual(['loss']);
    expect(metricsOf([])).toEqual([]);
  });
});

describe('axesOf', () => {
  it('has those that all runs have, and does not mind a run that has told nothing', () => {
    expect(axesOf([facts, run([], {})])).toEqual(['step', 'epoch', 'time']);
    expect(axesOf([facts, other])).toEqual(['step']);
    expect(axesOf([])).toEqual(['step', 'epoch', 'time']);
  });
});

describe('curveOf', () => {
  it('leaves out steps without a value', () => {
    expect(curveOf(facts, 'eval_loss', 'step')).toEqual({ x: [2, 4], y: [3, 2] });
    expect(curveOf(facts, 'eval_loss', 'epoch')).toEqual({ x: [0.5, 1], y: [3, 2] });
    expect(curveOf(facts, 'missing', 'step')).toEqual({ x: [], y: [] });
    expect(curveOf(other, 'loss', 'time')).toEqual({ x: [], y: [] });
  });

  it('goes on with the time of a run that was resumed and counts anew', () => {
    expect(curveOf(facts, 'loss', 'time').x).toEqual([1, 2, 3, 4]);
  });
});

describe('tableOf', () => {
  it('has each place of any curve once, in order, and what a logarithm cannot show left out', () => {
    const curves = [curveOf(facts, 'loss', 'step'), curveOf(other, 'loss', 'step')];
    expect(tableOf(curves, false)).toEqual([
      [1, 2, 3, 4, 6],
      [4, 2, 0, 1, null],
      [null, 5, null, null, 3]
    ]);
    expect(tableOf(curves, true)[1]).toEqual([4, 2, null, 1, null]);
    expect(tableOf([], false)).toEqual([[]]);
  });
});

describe('smoothed', () => {
  it('begins at the first value and forgets', () => {
    expect(smoothed({ x: [1, 2, 3], y: [4, 4, 4] }, 0.9).y.map(value => value!.toFixed(6))).toEqual(
      Array(3).fill('4.000000')
    );
    const [first, second] = smoothed({ x: [1, 2], y: [0, 3] }, 0.5).y;
    expect([first, second]).toEqual([0, 2]);
  });
});

describe('nearest', () => {
  it('is the value at a place, or the next one to it', () => {
    expect(nearest([1, null, null, 4], 0)).toBe(1);
    expect(nearest([1, null, null, 4], 2)).toBe(4);
    expect(nearest([null, 0], 0)).toBe(0);
    expect(nearest([null, null], 1)).toBeNull();
  });
});

describe('cornersOf', () => {
  it('tells where a curve begins, ends and is lowest', () => {
    expect(cornersOf(curveOf(facts, 'loss', 'step'))).toEqual({
      first: { x: 1, y: 4 },
      last: { x: 4, y: 1 },
      lowest: { x: 3, y: 0 }
    });
    expect(cornersOf({ x: [], y: [] })).toBeNull();
  });
});

describe('moved', () => {
  it('goes closer and aside, stays within the whole, and ends in it', () => {
    expect(moved([0, 100], [0, 100], 0.5, 0)).toEqual([25, 75]);
    expect(moved([25, 75], [0, 100], 1, 0.5)).toEqual([50, 100]);
    expect(moved([50, 100], [0, 100], 1, 0.5)).toEqual([50, 100]);
    expect(moved([0, 50], [0, 100], 1, -0.5)).toEqual([0, 50]);
    expect(moved([25, 75], [0, 100], 2, 0)).toBeNull();
  });
});

describe('short', () => {
  it.each([
    [0, '0'],
    [0.39324, '0.3932'],
    [0.0001, '1.00e-4'],
    [12345, '12,345'],
    [-4.5, '-4.5'],
    [2e9, '2.00e+9']
  ])('writes %s as %s', (value, text) => expect(short(value)).toBe(text));
});

describe('strokeOf', () => {
  it('has dashes of its own for each run', () => {
    const dashes = Array.from({ length: MOST_RUNS }, (_, at) => String(strokeOf(at, 0).dash));
    expect(new Set(dashes).size).toBe(MOST_RUNS);
    expect(strokeOf(1, 1)).toEqual({ ...strokeOf(1, 0), dots: true });
  });
});

describe('readKept', () => {
  it('reads what was kept', () => {
    const kept = {
      tab: 'metrics',
      metrics: {
        runs: [{ kind: 'job', name: 'other' }],
        metric: 'loss',
        axis: 'epoch',
        log: true,
        smoothing: 0.5,
        zoom: [1, 2]
      }
    };
    expect(readKept(JSON.parse(JSON.stringify(kept)))).toEqual(kept);
  });

  it.each([
    [null],
    ['x'],
    [{ tab: 'none', metrics: { runs: [3], axis: 'x', smoothing: 1, zoom: [1, null], log: 1 } }]
  ])('begins anew with what cannot be read: %s', value =>
    expect(readKept(value)).toEqual({ tab: 'overview', metrics: PLAIN_VIEW })
  );
});

describe('tabsOf', () => {
  it('has metrics for jobs, and a plan for what is planned', () => {
    expect(tabsOf('finetune')).toEqual(['overview', 'metrics', 'log', 'events', 'plan', 'yaml']);
    expect(tabsOf('pytorchjob')).toEqual(['overview', 'metrics', 'log', 'events', 'yaml']);
    expect(tabsOf('inference')).toEqual(['overview', 'log', 'events', 'yaml']);
  });
});
