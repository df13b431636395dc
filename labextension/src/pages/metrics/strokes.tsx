import React from 'react';

import { IAddress } from '../../block/state';
import { ICurve } from './series';

/** How a curve is drawn: runs differ by colour and by dashes, so that colours need not be told apart. */
export interface IStroke {
  /** The CSS variable of the colour. */
  colour: string;
  dash: number[];
  /** Whether each value is a dot too: a second metric of the same run. */
  dots: boolean;
}

/** A curve with all that is said of it. */
export interface ILine {
  address: IAddress;
  metric: string;
  stroke: IStroke;
  curve: ICurve;
}

const COLOURS = [
  '--jp-brand-color1',
  '--jp-error-color1',
  '--jp-success-color1',
  '--jp-warn-color1',
  '--jp-ui-font-color1',
  '--jp-info-color1'
];
const DASHES = [[], [9, 4], [2, 3], [10, 3, 2, 3], [16, 5], [5, 2], [2, 7], [12, 3, 2, 3, 2, 3]];

/** As many runs can be told apart. */
export const MOST_RUNS = DASHES.length;

export function strokeOf(run: number, metric: number): IStroke {
  return { colour: COLOURS[run % COLOURS.length], dash: DASHES[run % DASHES.length], dots: metric > 0 };
}

/** A piece of the curve, to stand beside its name. */
export function Swatch({ stroke }: { stroke: IStroke }): JSX.Element {
  const colour = `var(${stroke.colour})`;
  return (
    <svg className="cpodPlot-swatch" width="44" height="10" aria-hidden="true">
      <line
        x1="0"
        y1="5"
        x2="44"
        y2="5"
        stroke={colour}
        strokeWidth="2"
        strokeDasharray={stroke.dash.join(' ')}
      />
      {stroke.dots && <circle cx="22" cy="5" r="3.5" fill={colour} />}
    </svg>
  );
}
