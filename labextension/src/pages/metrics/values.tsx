import { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { IAddress, keyOf } from '../../block/state';
import { metricLabel } from './controls';
import { cornersOf, IPoint, nearest, short, Table } from './series';
import { ILine, Swatch } from './strokes';

export interface IValuesProps {
  lines: ILine[];
  table: Table;
  /** Where in the table the pointer is. */
  cursor: number | null;
  /** The page's own run, which cannot be taken out. */
  own: IAddress;
  /** Whether there are several metrics in the plot. */
  several: boolean;
  /** What the x axis is called. */
  axis: string;
  onRemove: (address: IAddress) => void;
  trans: TranslationBundle;
}

/** The legend: which curve is which, its value under the pointer, and where it has got to. */
export function Values(props: IValuesProps): JSX.Element {
  const { lines, table, cursor, own, several, axis, onRemove, trans } = props;
  const at = cursor === null ? undefined : table[0][cursor];
  return (
    <table className="cpodLab-table cpodMetrics-values">
      <caption className="cpodLab-dim">{trans.__('Values by run')}</caption>
      <thead>
        <tr>
          <th scope="col">{trans.__('Run')}</th>
          <th scope="col" className="cpodMetrics-cursor">
            {at === undefined ? trans.__('Under the pointer') : `${axis} ${short(at)}`}
          </th>
          <th scope="col">{trans.__('Last')}</th>
          <th scope="col">{trans.__('Lowest')}</th>
          <th scope="col">{trans.__('First')}</th>
          <th />
        </tr>
      </thead>
      <tbody>
        {lines.map((line, index) => {
          const corners = cornersOf(line.curve);
          const value = cursor === null ? null : nearest(table[index + 1] ?? [], cursor);
          const { address, metric } = line;
          const name = `${address.kind}/${address.name}`;
          return (
            <tr key={`${keyOf(address)} ${metric}`} data-run={name}>
              <th scope="row">
                <Swatch stroke={line.stroke} /> {name}
                {several && <span className="cpodLab-dim"> {metricLabel(metric, trans)}</span>}
              </th>
              <td>{value === null ? '–' : short(value)}</td>
              <td>{pointWords(corners?.last, axis)}</td>
              <td>{pointWords(corners?.lowest, axis)}</td>
              <td>{pointWords(corners?.first, axis)}</td>
              <td>
                {keyOf(address) !== keyOf(own) && line.stroke.dots === false && (
                  <button
                    className="cpodLab-link"
                    aria-label={trans.__('Remove %1', name)}
                    onClick={() => onRemove(address)}
                  >
                    {trans.__('Remove')}
                  </button>
                )}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function pointWords(point: IPoint | undefined, axis: string): string {
  return point ? `${short(point.y)} (${axis.toLowerCase()} ${short(point.x)})` : '–';
}
