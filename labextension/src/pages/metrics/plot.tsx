import React, { useEffect, useLayoutEffect, useRef, useState } from 'react';
import uPlot from 'uplot';

import { short, Table } from './series';
import { IStroke } from './strokes';

const HEIGHT = 340;
/** Of a plot that is in no page yet. */
const WIDTH = 640;
/** Pixels that a drag must be wide to be one. */
const DRAG = 5;

export interface IPlotProps {
  table: Table;
  /** Of each curve, in the order of the table. */
  strokes: IStroke[];
  xLabel: string;
  log: boolean;
  /** The part of the x axis that is seen; null for all. */
  zoom: [number, number] | null;
  onZoom: (zoom: [number, number] | null) => void;
  /** Where in the table the pointer is; null when it is not on the plot. */
  onCursor: (at: number | null) => void;
  /** What is to be seen, for who does not see it. */
  words: string;
}

/** Curves that can be looked into: a drag shows a part, a double click all of them again. */
export function Plot(props: IPlotProps): JSX.Element {
  const { table, strokes, xLabel, log, zoom, words } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const told = useRef(props);
  told.current = props;
  const theme = useTheme();

  // Before it is painted, so that what is told in words and what is drawn are never apart.
  useLayoutEffect(() => {
    const made = new uPlot(
      options(box.current!, strokes, xLabel, log, told),
      table as uPlot.AlignedData,
      box.current!
    );
    plot.current = made;
    show(made, told.current.zoom, table[0]);
    const resize = (): void => made.setSize({ width: box.current!.clientWidth || WIDTH, height: HEIGHT });
    const observer = typeof ResizeObserver === 'undefined' ? null : new ResizeObserver(resize);
    observer?.observe(box.current!);
    return () => {
      observer?.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [JSON.stringify(strokes), xLabel, log, theme]);

  useLayoutEffect(() => {
    if (plot.current!.series.length === table.length) {
      plot.current!.setData(table as uPlot.AlignedData, false);
      show(plot.current!, zoom, table[0]);
    }
  }, [table, zoom?.[0], zoom?.[1]]);

  return <div ref={box} className="cpodPlot" role="img" aria-label={words} />;
}

/** Show a part of the x axis, or all of it; the y axis fits itself to what is seen. */
function show(plot: uPlot, zoom: [number, number] | null, x: number[]): void {
  const [min, max] = zoom ?? [x[0] ?? 0, x[x.length - 1] ?? 1];
  plot.setScale('x', { min, max: max > min ? max : min + 1 });
}

function options(
  box: HTMLElement,
  strokes: IStroke[],
  xLabel: string,
  log: boolean,
  told: React.RefObject<IPlotProps>
): uPlot.Options {
  const style = getComputedStyle(box);
  const colour = (name: string): string => style.getPropertyValue(name).trim() || 'gray';
  const axis: uPlot.Axis = {
    stroke: colour('--jp-ui-font-color1'),
    font: `12px ${colour('--jp-ui-font-family')}`,
    grid: { stroke: colour('--jp-border-color2'), width: 1, dash: [2, 4] },
    ticks: { stroke: colour('--jp-border-color1'), width: 1 }
  };
  return {
    width: box.clientWidth || WIDTH,
    height: HEIGHT,
    legend: { show: false },
    scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
    axes: [
      { ...axis, label: xLabel, labelFont: axis.font, labelSize: 20, values: (_, ticks) => ticks.map(words) },
      { ...axis, size: 70, values: (_, ticks) => ticks.map(words) }
    ],
    series: [
      {},
      ...strokes.map(stroke => ({
        stroke: colour(stroke.colour),
        width: 2,
        dash: stroke.dash,
        spanGaps: true,
        points: { show: stroke.dots, size: 6, fill: colour(stroke.colour) }
      }))
    ],
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false, dist: DRAG },
      bind: {
        dblclick: () => () => {
          told.current!.onZoom(null);
          return null;
        }
      }
    },
    hooks: {
      setSelect: [plot => selected(plot, told.current!.onZoom)],
      setCursor: [plot => told.current!.onCursor(plot.cursor.idx ?? null)]
    }
  };
}

/** A tick of an axis; a logarithmic one leaves some out. */
function words(tick: number | null): string {
  return tick === null ? '' : short(tick);
}

function selected(plot: uPlot, onZoom: (zoom: [number, number]) => void): void {
  const { left, width } = plot.select;
  if (width > 0) {
    onZoom([plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')]);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }
}

/** JupyterLab's theme: what is drawn takes its colours anew when it changes. */
function useTheme(): string {
  const name = (): string => document.body.dataset.jpThemeName ?? '';
  const [theme, setTheme] = useState(name);
  useEffect(() => {
    const observer = new MutationObserver(() => setTheme(name()));
    observer.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-name'] });
    return () => observer.disconnect();
  }, []);
  return theme;
}
