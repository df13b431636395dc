import { TranslationBundle } from '@jupyterlab/translation';
import React, { useLayoutEffect, useMemo, useRef, useState } from 'react';

import { LogLine } from './state';

/** Colours that ranks take in turn. */
const COLOURS = 8;
/** How far from the end, in pixels, still counts as being at the end. */
const NEAR = 24;

export interface ILogProps {
  lines: LogLine[];
  /** The places of the pods, in the order of their ranks. */
  places: string[];
  trans: TranslationBundle;
}

/** The lines that one wants to see: of a rank, with a text in them, whatever its case. */
export function chosen(lines: LogLine[], text: string, place: string): LogLine[] {
  const wanted = text.toLowerCase();
  return lines.filter(
    ([of, line]) => (!place || of === place || !of) && (!wanted || line.toLowerCase().includes(wanted))
  );
}

/** The last lines of log, coloured by rank, with a filter; they stay at the end unless one has scrolled up. */
export function Log({ lines, places, trans }: ILogProps): JSX.Element {
  const [text, setText] = useState('');
  const [place, setPlace] = useState('');
  const box = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);
  const shown = useMemo(() => chosen(lines, text, place), [lines, text, place]);
  const several = places.length > 1;

  useLayoutEffect(() => {
    if (box.current && atEnd.current) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  });

  const scrolled = (): void => {
    const { scrollTop, scrollHeight, clientHeight } = box.current!;
    atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR;
  };

  return (
    <div className="cpodLab-log">
      <div className="cpodLab-filter">
        <input
          type="search"
          value={text}
          onChange={event => setText(event.target.value)}
          placeholder={trans.__('Filter the log')}
          aria-label={trans.__('Filter the log by text')}
        />
        {several && (
          <select
            value={place}
            onChange={event => setPlace(event.target.value)}
            aria-label={trans.__('Rank')}
          >
            <option value="">{trans.__('all ranks')}</option>
            {places.map((each, rank) => (
              <option key={each} value={each}>
                {trans.__('rank %1: %2', rank, each)}
              </option>
            ))}
          </select>
        )}
        <span className="cpodLab-dim">
          {text || place
            ? trans.__('%1 of the last %2 lines', shown.length, lines.length)
            : trans._n('%1 line', 'the last %1 lines', lines.length)}
        </span>
      </div>
      <pre ref={box} role="log" aria-label={trans.__('Log')} tabIndex={0} onScroll={scrolled}>
        {shown.map(([of, line], index) => (
          <div key={index}>
            {several && of && (
              <span className={`cpodLab-rank cpodLab-rank-${Math.max(0, places.indexOf(of)) % COLOURS}`}>
                {of}{' '}
              </span>
            )}
            {line}
          </div>
        ))}
      </pre>
    </div>
  );
}
