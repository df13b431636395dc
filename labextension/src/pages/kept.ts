import { AXES, Axis } from './metrics/series';

export type Tab = 'overview' | 'metrics' | 'log' | 'events' | 'plan' | 'yaml';
const TABS: Tab[] = ['overview', 'metrics', 'log', 'events', 'plan', 'yaml'];

/** A job of the page's namespace. */
export interface IRunName {
  kind: string;
  name: string;
}

/** How the metrics are looked at. */
export interface IMetricsView {
  /** The runs beside the page's own. */
  runs: IRunName[];
  /** '' for the one that most want to see. */
  metric: string;
  axis: Axis;
  log: boolean;
  /** 0 to under 1. */
  smoothing: number;
  /** The part of the axis that is seen; null for all. */
  zoom: [number, number] | null;
}

/** What a page keeps over a reload. */
export interface IKept {
  tab: Tab;
  metrics: IMetricsView;
}

export const PLAIN_VIEW: IMetricsView = {
  runs: [],
  metric: '',
  axis: 'step',
  log: false,
  smoothing: 0,
  zoom: null
};

/** What was kept, by whatever version of ours; what cannot be read is as in a new page. */
export function readKept(value: unknown): IKept {
  const found = (value ?? {}) as { tab?: unknown; metrics?: Partial<Record<keyof IMetricsView, unknown>> };
  const { runs, metric, axis, log, smoothing, zoom } = found.metrics ?? {};
  const isRun = (run: any): boolean => typeof run?.kind === 'string' && typeof run?.name === 'string';
  const isZoom = Array.isArray(zoom) && zoom.length === 2 && zoom.every(Number.isFinite);
  return {
    tab: TABS.find(tab => tab === found.tab) ?? 'overview',
    metrics: {
      runs: Array.isArray(runs) ? runs.filter(isRun).map(({ kind, name }) => ({ kind, name })) : [],
      metric: typeof metric === 'string' ? metric : '',
      axis: AXES.find(each => each === axis) ?? 'step',
      log: log === true,
      smoothing: typeof smoothing === 'number' && smoothing > 0 && smoothing < 1 ? smoothing : 0,
      zoom: isZoom ? [zoom[0], zoom[1]] : null
    }
  };
}
