import { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { IMetricsView } from '../kept';
import { Axis, BOTH, moved } from './series';

export interface IControlsProps {
  view: IMetricsView;
  metrics: string[];
  axes: Axis[];
  onChange: (changes: Partial<IMetricsView>) => void;
  trans: TranslationBundle;
}

/** What is drawn, and how. */
export function Controls({ view, metrics, axes, onChange, trans }: IControlsProps): JSX.Element {
  const axisWords: Record<Axis, string> = {
    step: trans.__('steps'),
    epoch: trans.__('epochs'),
    time: trans.__('time')
  };
  return (
    <div className="cpodLab-filter cpodMetrics-controls" role="toolbar" aria-label={trans.__('Plot')}>
      <label>
        {trans.__('Metric')}{' '}
        <select
          value={view.metric}
          disabled={metrics.length === 0}
          onChange={event => onChange({ metric: event.target.value })}
        >
          {metrics.map(name => (
            <option key={name} value={name}>
              {metricLabel(name, trans)}
            </option>
          ))}
        </select>
      </label>
      <label>
        {trans.__('Against')}{' '}
        <select
          value={view.axis}
          onChange={event => onChange({ axis: event.target.value as Axis, zoom: null })}
        >
          {axes.map(axis => (
            <option key={axis} value={axis}>
              {axisWords[axis]}
            </option>
          ))}
        </select>
      </label>
      <label>
        <input
          type="checkbox"
          checked={view.log}
          onChange={event => onChange({ log: event.target.checked })}
        />{' '}
        {trans.__('Log scale')}
      </label>
      <label>
        {trans.__('Smoothing')}{' '}
        <input
          type="range"
          min="0"
          max="0.99"
          step="0.01"
          value={view.smoothing}
          onChange={event => onChange({ smoothing: Number(event.target.value) })}
        />
      </label>
    </div>
  );
}

export interface IZoomProps extends Pick<IControlsProps, 'view' | 'onChange' | 'trans'> {
  /** From where to where there are values. */
  whole: [number, number];
}

/** Which part of the curves is seen: what dragging does, as buttons. */
export function Zoom({ view, whole, onChange, trans }: IZoomProps): JSX.Element {
  const seen = view.zoom ?? whole;
  const go = (factor: number, step: number) => () => onChange({ zoom: moved(seen, whole, factor, step) });
  const buttons: [string, string, () => void, boolean][] = [
    ['+', trans.__('Zoom in'), go(0.5, 0), whole[0] < whole[1]],
    ['−', trans.__('Zoom out'), go(2, 0), view.zoom !== null],
    ['←', trans.__('Earlier'), go(1, -0.5), view.zoom !== null],
    ['→', trans.__('Later'), go(1, 0.5), view.zoom !== null]
  ];
  return (
    <span className="cpodMetrics-zoom" role="group" aria-label={trans.__('Part of the curve')}>
      {buttons.map(([sign, label, press, can]) => (
        <button
          key={label}
          className="cpodLab-button"
          title={label}
          aria-label={label}
          disabled={!can}
          onClick={press}
        >
          {sign}
        </button>
      ))}
      <button
        className="cpodLab-button"
        disabled={view.zoom === null}
        onClick={() => onChange({ zoom: null })}
      >
        {trans.__('Whole curve')}
      </button>
    </span>
  );
}

/** What a metric is called; one that we have no words for is called as the program called it. */
export function metricLabel(name: string, trans: TranslationBundle): string {
  const words: Record<string, string> = {
    [BOTH]: trans.__('Loss and evaluation loss'),
    loss: trans.__('Loss'),
    eval_loss: trans.__('Evaluation loss'),
    learning_rate: trans.__('Learning rate'),
    grad_norm: trans.__('Gradient norm'),
    tokens_per_second: trans.__('Tokens/s'),
    samples_per_second: trans.__('Samples/s'),
    eta_seconds: trans.__('Seconds left'),
    memory_bytes: trans.__('Memory (bytes)')
  };
  return words[name] ?? name;
}
