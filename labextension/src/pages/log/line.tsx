import React from 'react';

import { LogRow } from '../../server';

/** Colours that ranks take in turn. */
const COLOURS = 8;

export interface ILineProps {
  /** undefined while it is not known. */
  row: LogRow | undefined;
  /** Whether it is the one that was found last. */
  current: boolean;
  /** Which of the ranks has written it; -1 where there is only one. */
  rank: number;
}

/** A line with its number, which is not copied with it, and with what was looked for marked. */
export const Line = React.memo(function Line({ row, current, rank }: ILineProps): JSX.Element {
  if (!row) {
    return <div className="cpodLog-line" aria-busy="true" />;
  }
  const [number, place, text, marks = []] = row;
  return (
    <div
      className={`cpodLog-line${current ? ' cpodLog-current' : ''}`}
      aria-current={current || undefined}
      data-number={number + 1}
    >
      {rank >= 0 && <span className={`cpodLab-rank cpodLab-rank-${rank % COLOURS}`}>{place}</span>}
      <span className="cpodLog-text">{marked(text, marks)}</span>
    </div>
  );
});

/** A text with pieces of it marked. */
export function marked(text: string, marks: [number, number][]): React.ReactNode[] {
  const found: React.ReactNode[] = [];
  let at = 0;
  for (const [from, to] of marks) {
    found.push(text.slice(at, from), <mark key={from}>{text.slice(from, to)}</mark>);
    at = to;
  }
  return [...found, text.slice(at)];
}
