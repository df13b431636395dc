import { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useState } from 'react';

import { IAddress } from '../../block/state';
import { IList, IRow, rowKey } from '../../rows';
import { sorted } from '../../sidebar/rows';
import { IRunName } from '../kept';
import { MOST_RUNS } from './strokes';

/** Whom to ask for the jobs of the page's namespace. */
export interface IJobs {
  jobs(listener: (list: IList) => void): () => void;
}

export interface ICompareProps {
  address: IAddress;
  runs: IRunName[];
  source: IJobs;
  onRuns: (runs: IRunName[]) => void;
  trans: TranslationBundle;
}

/** Puts other jobs of the namespace beside this one. */
export function Compare({ address, runs, source, onRuns, trans }: ICompareProps): JSX.Element {
  const [rows, setRows] = useState<IRow[]>([]);
  useEffect(() => source.jobs(list => setRows(list.rows ?? [])), []);
  const taken = new Set([address, ...runs].map(({ kind, name }) => `${kind}/${name}`));
  const others = sorted(rows, 'age').filter(row => !taken.has(rowKey(row)));
  const full = runs.length + 1 >= MOST_RUNS;
  const add = (key: string): void => {
    const row = others.find(each => rowKey(each) === key);
    if (row) {
      onRuns([...runs, { kind: row.kind, name: row.name }]);
    }
  };
  return (
    <>
      <label>
        {trans.__('Compare with')}{' '}
        <select value="" disabled={full || others.length === 0} onChange={event => add(event.target.value)}>
          <option value="">
            {others.length ? trans.__('another job …') : trans.__('no other jobs here')}
          </option>
          {others.map(row => (
            <option key={rowKey(row)} value={rowKey(row)}>
              {rowKey(row)} ({row.phase})
            </option>
          ))}
        </select>
      </label>
      {full && <span className="cpodLab-dim">{trans.__('no more than %1 runs at a time', MOST_RUNS)}</span>}
    </>
  );
}
