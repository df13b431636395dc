import { IMetrics } from '../../server';

/** What the curves stand against. */
export type Axis = 'step' | 'epoch' | 'time';
export const AXES: Axis[] = ['step', 'epoch', 'time'];

/** The choice that shows training and evaluation in one plot. */
export const BOTH = 'loss+eval_loss';

/** Where in the records an axis is; steps are in all of them. */
const AXIS_METRIC: Record<Axis, string> = { step: '', epoch: 'epoch', time: 'elapsed_seconds' };
/** Metrics that most want to see, in this order, before the others. */
const FIRST = [BOTH, 'loss', 'eval_loss', 'learning_rate', 'grad_norm', 'tokens_per_second'];

/** Values of one metric of one run. */
export interface ICurve {
  x: number[];
  y: (number | null)[];
}

/** The curves in one table, as uPlot takes it: all places of the x axis, then for each curve its values there. */
export type Table = [x: number[], ...y: (number | null)[][]];

/** The metrics that there are to choose from. */
export function metricsOf(runs: IMetrics[]): string[] {
  const found = new Set(runs.flatMap(run => Object.keys(run.series)));
  for (const axis of AXES) {
    found.delete(AXIS_METRIC[axis]);
  }
  if (found.has('loss') && found.has('eval_loss')) {
    found.add(BOTH);
  }
  const first = FIRST.filter(name => found.has(name));
  return [...first, ...[...found].filter(name => !FIRST.includes(name)).sort()];
}

/** The axes that all runs can be drawn against. */
export function axesOf(runs: IMetrics[]): Axis[] {
  const told = runs.filter(run => run.steps.length > 0);
  return AXES.filter(axis => axis === 'step' || told.every(run => AXIS_METRIC[axis] in run.series));
}

/** The values of a metric against an axis, from the left to the right; rows without one of the two are left out. */
export function curveOf(run: IMetrics, metric: string, axis: Axis): ICurve {
  const along = axis === 'step' ? run.steps : (run.series[AXIS_METRIC[axis]] ?? []);
  const values = run.series[metric] ?? [];
  const found: ICurve = { x: [], y: [] };
  let before = 0;
  let last = -Infinity;
  values.forEach((value, at) => {
    const here = along[at];
    if (value === null || here === null || here === undefined) {
      return;
    }
    let x = here + before;
    if (x < last && axis === 'time') {
      before = last; // a run that was resumed counts its seconds anew
      x = here + before;
    }
    if (x >= last) {
      last = x;
      found.x.push(x);
      found.y.push(value);
    }
  });
  return found;
}

/** What a run has made of itself: a mean that forgets, `weight` (0 to 1) of it the past, without a start at zero. */
export function smoothed(curve: ICurve, weight: number): ICurve {
  let sum = 0;
  let all = 0;
  const y = curve.y.map(value => {
    if (value === null) {
      return null;
    }
    sum = sum * weight + value * (1 - weight);
    all = all * weight + (1 - weight);
    return sum / all;
  });
  return { x: curve.x, y };
}

/** Curves with places of their own in one table; what a logarithm has no place for is left out on such a scale. */
export function tableOf(curves: ICurve[], log: boolean): Table {
  const x = [...new Set(curves.flatMap(curve => curve.x))].sort((a, b) => a - b);
  const columns = curves.map(curve => {
    const known = new Map(curve.x.map((place, at) => [place, curve.y[at]]));
    return x.map(place => {
      const value = known.get(place) ?? null;
      return value === null || (log && value <= 0) ? null : value;
    });
  });
  return [x, ...columns];
}

/** The value of a column that is nearest to a place in it; null where there is none. */
export function nearest(column: (number | null)[], at: number): number | null {
  for (let away = 0; away < column.length; away++) {
    const value = column[at - away] ?? column[at + away] ?? null;
    if (value !== null) {
      return value;
    }
  }
  return null;
}

export interface IPoint {
  x: number;
  y: number;
}

/** First, last and lowest point of a curve; null for one without. */
export function cornersOf({ x, y }: ICurve): { first: IPoint; last: IPoint; lowest: IPoint } | null {
  const points = x
    .map((place, at) => ({ x: place, y: y[at] }))
    .filter((point): point is IPoint => point.y !== null);
  if (points.length === 0) {
    return null;
  }
  const lowest = points.reduce((low, point) => (point.y < low.y ? point : low));
  return { first: points[0], last: points[points.length - 1], lowest };
}

/** Which part of the axis is seen after a step to a side (in parts of what is seen), or a closer look. */
export function moved(
  seen: [number, number],
  whole: [number, number],
  factor: number,
  step: number
): [number, number] | null {
  const width = (seen[1] - seen[0]) * factor;
  if (width >= whole[1] - whole[0]) {
    return null;
  }
  const middle = (seen[0] + seen[1]) / 2 + step * (seen[1] - seen[0]);
  const left = Math.max(whole[0], Math.min(whole[1] - width, middle - width / 2));
  return [left, left + width];
}

/** A number in four digits, short however large or small. */
export function short(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e7)
    ? value.toExponential(2)
    : new Intl.NumberFormat('en', { maximumSignificantDigits: size >= 1000 ? 7 : 4 }).format(value);
}
