import { TranslationBundle } from '@jupyterlab/translation';
import React, { useMemo, useState } from 'react';

import { IAddress, keyOf } from '../../block/state';
import { IMetrics } from '../../server';
import { IMetricsView } from '../kept';
import { Compare, IJobs } from './compare';
import { Controls, metricLabel, Zoom } from './controls';
import { Feed, IRunSource, useFeeds } from './feed';
import { Plot } from './plot';
import { Axis, axesOf, BOTH, cornersOf, curveOf, metricsOf, short, smoothed, tableOf } from './series';
import { ILine, strokeOf } from './strokes';
import { Values } from './values';

export interface IMetricsProps {
  address: IAddress;
  view: IMetricsView;
  onView: (view: IMetricsView) => void;
  source: IRunSource & IJobs;
  trans: TranslationBundle;
}

/** The numbers that a job has told of its steps, as curves, beside those of other jobs. */
export function Metrics({ address, view, onView, source, trans }: IMetricsProps): JSX.Element {
  const addresses = useMemo(
    () => [address, ...view.runs.map(run => ({ ...address, kind: run.kind, name: run.name }))],
    [keyOf(address), view.runs]
  );
  const feeds = useFeeds(addresses, source);
  const [cursor, setCursor] = useState<number | null>(null);
  const told = feeds.flatMap(feed => feed.metrics ?? []);
  const axis = axesOf(told).includes(view.axis) ? view.axis : 'step';
  const choices = metricsOf(told);
  const metric = choices.includes(view.metric) ? view.metric : (choices[0] ?? '');
  const lines = useLines(addresses, feeds, metric, axis);
  const drawn = lines.map(line => (view.smoothing ? smoothed(line.curve, view.smoothing) : line.curve));
  const table = useMemo(() => tableOf(drawn, view.log), [lines, view.smoothing, view.log]);
  const change = (changes: Partial<IMetricsView>): void => onView({ ...view, ...changes });
  const troubles = feeds.filter(feed => feed.trouble);
  return (
    <div className="cpodMetrics">
      <Controls
        view={{ ...view, metric, axis }}
        metrics={choices}
        axes={axesOf(told)}
        onChange={change}
        trans={trans}
      />
      <div className="cpodLab-filter">
        <Zoom
          view={view}
          whole={[table[0][0] ?? 0, table[0][table[0].length - 1] ?? 0]}
          onChange={change}
          trans={trans}
        />
        <Compare
          address={address}
          runs={view.runs}
          source={source}
          onRuns={runs => change({ runs })}
          trans={trans}
        />
      </div>
      {troubles.map(({ address: of, trouble }) => (
        <p key={keyOf(of)} className="cpodLab-trouble" role="alert">
          {of.kind}/{of.name}: {trouble}
        </p>
      ))}
      {table[0].length > 0 ? (
        <Plot
          table={table}
          strokes={lines.map(line => line.stroke)}
          xLabel={axisLabel(axis, trans)}
          log={view.log}
          zoom={view.zoom}
          onZoom={zoom => change({ zoom })}
          onCursor={setCursor}
          words={wordsOf(lines, metric, axis, trans)}
        />
      ) : (
        <p className="cpodLab-dim">
          {emptyWords(
            feeds.map(feed => feed.metrics),
            trans
          )}
        </p>
      )}
      <Values
        lines={lines}
        table={table}
        cursor={cursor}
        own={address}
        several={metric === BOTH}
        onRemove={of =>
          change({ runs: view.runs.filter(run => run.kind !== of.kind || run.name !== of.name) })
        }
        axis={axisLabel(axis, trans)}
        trans={trans}
      />
    </div>
  );
}

/** The curves of all runs; the same ones as long as nothing new has come. */
function useLines(addresses: IAddress[], feeds: Feed[], metric: string, axis: Axis): ILine[] {
  const parts = metric === BOTH ? ['loss', 'eval_loss'] : [metric];
  return useMemo(
    () =>
      addresses.flatMap((address, run) => {
        const feed = feeds.find(each => keyOf(each.address) === keyOf(address));
        return parts.map((part, number) => ({
          address,
          metric: part,
          stroke: strokeOf(run, number),
          curve: feed?.metrics ? curveOf(feed.metrics, part, axis) : { x: [], y: [] }
        }));
      }),
    [addresses, metric, axis, ...useFixed(feeds.map(feed => feed.metrics))]
  );
}

/** A list that is new only when something in it is; of one length, as the dependencies of a hook must be. */
function useFixed(values: (IMetrics | null)[]): [(IMetrics | null)[]] {
  const [kept] = useState<{ list: (IMetrics | null)[] }>({ list: values });
  if (kept.list.length !== values.length || kept.list.some((value, at) => value !== values[at])) {
    kept.list = values;
  }
  return [kept.list];
}

function axisLabel(axis: Axis, trans: TranslationBundle): string {
  return { step: trans.__('Step'), epoch: trans.__('Epoch'), time: trans.__('Seconds') }[axis];
}

function emptyWords(told: (IMetrics | null)[], trans: TranslationBundle): string {
  return told.some(metrics => metrics !== null)
    ? trans.__('No numbers yet: they come with the first step that is logged.')
    : trans.__('Asking …');
}

/** The curves in a sentence each. */
function wordsOf(lines: ILine[], metric: string, axis: Axis, trans: TranslationBundle): string {
  const along = axisLabel(axis, trans);
  const sentences = lines.map(line => {
    const corners = cornersOf(line.curve);
    const name =
      metric === BOTH ? `${line.address.name}, ${metricLabel(line.metric, trans)}` : line.address.name;
    if (!corners) {
      return trans.__('%1: no values.', name);
    }
    const [first, last, lowest] = [corners.first, corners.last, corners.lowest].map(
      ({ x, y }) => `${short(y)} (${along} ${short(x)})`
    );
    return trans.__('%1: first %2, last %3, lowest %4.', name, first, last, lowest);
  });
  return [trans.__('%1 by %2.', metricLabel(metric, trans), along), ...sentences].join(' ');
}
