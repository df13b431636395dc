import { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useMemo, useReducer, useRef, useState } from 'react';

import { sentence } from '../../errors';
import { ILogFound, ILogQuery, ILogWindow } from '../../server';
import { Line } from './line';
import { heightOf, LINE, useScroll } from './scroll';
import { NOTHING, Search, Wording } from './search';
import { LogSource } from './source';

/** Whom to ask for a log. */
export interface ILogAsks {
  window(query: ILogQuery, first: number, count: number): Promise<ILogWindow>;
  find(query: ILogQuery, row: number, back: boolean): Promise<ILogFound>;
  download(of: { place?: string; ranks?: 'all' }): Promise<void>;
}

export interface ILogProps {
  asks: ILogAsks;
  trans: TranslationBundle;
}

const RANKS = new Intl.Collator('en', { numeric: true });

/** A log of any length: the rows in sight, followed, filtered by rank, and searched. */
export function LogPanel({ asks, trans }: ILogProps): JSX.Element {
  const [place, setPlace] = useState('');
  const [wording, setWording] = useState<Wording>(NOTHING);
  const [following, setFollowing] = useState(true);
  const [current, setCurrent] = useState<number | null>(null);
  const query = useMemo(() => ({ ...wording, place }), [wording, place]);
  const section = useRef<HTMLElement>(null);
  const source = useSource(asks, section);
  const known = source.window;
  const count = known?.count ?? 0;
  const scroll = useScroll(count, setFollowing);
  const input = useRef<HTMLInputElement>(null);
  const places = useMemo(() => [...(known?.places ?? [])].sort(RANKS.compare), [known?.places.join(' ')]);

  useEffect(() => {
    source.want({
      query,
      first: scroll.first,
      end: Math.max(scroll.end, scroll.first + scroll.page),
      following
    });
  });
  useEffect(() => {
    if (following) {
      scroll.to(count);
    }
  }, [following, count, scroll.page]);
  const found = (row: number | null): void => {
    setCurrent(row);
    if (row !== null) {
      setFollowing(false);
      if (row < scroll.first || row >= scroll.first + scroll.page - 1) {
        scroll.to(row - Math.floor(scroll.page / 2));
      }
    }
  };
  const pressed = (event: React.KeyboardEvent): void => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'f') {
      event.preventDefault();
      event.stopPropagation();
      input.current?.focus();
      input.current?.select();
    }
  };
  const keys = (event: React.KeyboardEvent): void => {
    const page = scroll.page * LINE;
    const all = count * LINE;
    const by = { Home: -all, End: all, PageUp: -page, PageDown: page, ArrowUp: -LINE, ArrowDown: LINE }[
      event.key
    ];
    if (by && !event.ctrlKey && !event.metaKey && !event.altKey && event.target === event.currentTarget) {
      event.preventDefault();
      scroll.by(by);
    }
  };
  const rows = Array.from({ length: scroll.end - scroll.first }, (_, at) => scroll.first + at);
  const digits = String(Math.max(count, known?.rows[known.rows.length - 1]?.[0] ?? 0)).length;
  return (
    <section ref={section} className="cpodLog" aria-label={trans.__('Log')} onKeyDown={pressed}>
      <div className="cpodLab-filter">
        <Search
          input={input}
          place={place}
          from={scroll.first}
          current={current}
          counted={known?.found ?? null}
          find={asks.find}
          onWording={setWording}
          onFound={found}
          trans={trans}
        />
        {places.length > 1 && (
          <select
            value={place}
            aria-label={trans.__('Rank')}
            onChange={event => {
              setPlace(event.target.value);
              setCurrent(null);
            }}
          >
            <option value="">{trans.__('all ranks')}</option>
            {places.map(each => (
              <option key={each}>{each}</option>
            ))}
          </select>
        )}
        <button className="cpodLab-button" aria-pressed={following} onClick={() => setFollowing(!following)}>
          {trans.__('Follow the end')}
        </button>
        <Download asks={asks} place={place} several={places.length > 1} trans={trans} />
        <span className="cpodLab-dim">{summary(known, trans)}</span>
      </div>
      {(source.trouble || known?.note) && (
        <p className="cpodLab-trouble" role="alert">
          {source.trouble || known?.note}
        </p>
      )}
      <div
        ref={scroll.box}
        className="cpodLog-box"
        role="log"
        aria-live="off"
        aria-label={trans.__('Lines of the log')}
        tabIndex={0}
        style={{ '--cpod-digits': digits } as React.CSSProperties}
        onScroll={scroll.onScroll}
        onKeyDown={keys}
      >
        <div className="cpodLog-content" style={{ height: heightOf(count) }}>
          <div className="cpodLog-rows" style={{ transform: `translateY(${scroll.offset}px)` }}>
            {rows.map(row => (
              <Line
                key={row}
                row={source.row(row)}
                current={row === current}
                rank={places.length > 1 ? places.indexOf(source.row(row)?.[1] ?? '') : -1}
              />
            ))}
          </div>
        </div>
      </div>
    </section>
  );
}

/** What is known of the log; the component is drawn anew when that changes. */
function useSource(asks: ILogAsks, section: React.RefObject<HTMLElement>): LogSource {
  const [, changed] = useReducer((times: number) => times + 1, 0);
  const told = useRef(asks);
  told.current = asks;
  const [source] = useState(() => {
    const seen = (): boolean => !document.hidden && !section.current?.closest('.lm-mod-hidden');
    return new LogSource((query, first, count) => told.current.window(query, first, count), changed, seen);
  });
  useEffect(() => () => source.dispose(), []);
  return source;
}

function summary(known: ILogWindow | null, trans: TranslationBundle): string {
  if (!known) {
    return trans.__('Asking …');
  }
  const lines = trans._n('%2 line', '%2 lines', known.count, known.count.toLocaleString('en'));
  return known.whole ? lines : trans.__('%1 so far', lines);
}

function Download({
  asks,
  place,
  several,
  trans
}: ILogProps & { place: string; several: boolean }): JSX.Element {
  const [failure, setFailure] = useState('');
  const load = (): void => {
    setFailure('');
    asks
      .download(place ? { place } : several ? { ranks: 'all' } : {})
      .catch(error => setFailure(sentence(error)));
  };
  return (
    <>
      <button className="cpodLab-link" onClick={load}>
        {place ? trans.__('Download the log of %1', place) : trans.__('Download the whole log')}
      </button>
      {failure && (
        <span className="cpodLab-trouble" role="alert">
          {failure}
        </span>
      )}
    </>
  );
}
