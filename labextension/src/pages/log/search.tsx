import { TranslationBundle } from '@jupyterlab/translation';
import React, { RefObject, useEffect, useRef, useState } from 'react';

import { sentence } from '../../errors';
import { ILogFound, ILogQuery } from '../../server';

/** Milliseconds after the last key before it is looked for. */
export const PAUSE = 300;

/** What is looked for, apart from in which lines. */
export type Wording = Omit<ILogQuery, 'place'>;
export const NOTHING: Wording = { text: '', regex: false, case: false };

export interface ISearchProps {
  input: RefObject<HTMLInputElement>;
  place: string;
  /** The row from which it is looked for. */
  from: number;
  /** The row that was found last; null for none. */
  current: number | null;
  /** How many are known by now of what was looked for last; null where that is not known. */
  counted: { count: number; more: boolean } | null;
  find: (query: ILogQuery, row: number, back: boolean) => Promise<ILogFound>;
  /** Something else is looked for, and can be. */
  onWording: (wording: Wording) => void;
  onFound: (row: number | null) => void;
  trans: TranslationBundle;
}

/** A field to look for a text or an expression with, and buttons to the next and the one before. */
export function Search(props: ISearchProps): JSX.Element {
  const { input, place, from, current, counted, trans } = props;
  const [wording, setWording] = useState<Wording>(NOTHING);
  const [answer, setAnswer] = useState<ILogFound | null>(null);
  const [failure, setFailure] = useState('');
  const [looking, setLooking] = useState(false);
  const asked = useRef(0);
  const told = useRef(props);
  told.current = props;

  const look = async (row: number, back: boolean): Promise<void> => {
    const number = ++asked.current;
    setFailure('');
    if (!wording.text) {
      setLooking(false);
      setAnswer(null);
      told.current.onWording(NOTHING);
      return told.current.onFound(null);
    }
    setLooking(true);
    try {
      const found = await told.current.find({ ...wording, place }, row, back);
      if (number === asked.current) {
        setAnswer(found);
        told.current.onWording(wording);
        told.current.onFound(found.row);
      }
    } catch (error) {
      if (number === asked.current) {
        setAnswer(null);
        setFailure(sentence(error));
        told.current.onWording(NOTHING);
        told.current.onFound(null);
      }
    }
    if (number === asked.current) {
      setLooking(false);
    }
  };
  const next = (back: boolean): void => {
    void look(current === null ? from : back ? current - 1 : current + 1, back);
  };

  useEffect(() => {
    const timer = window.setTimeout(() => void look(current ?? from, false), wording.text ? PAUSE : 0);
    return () => window.clearTimeout(timer);
  }, [wording, place]);

  const pressed = (event: React.KeyboardEvent): void => {
    if (event.key === 'Enter') {
      event.preventDefault();
      next(event.shiftKey);
    }
  };
  const toggle = (key: 'case' | 'regex', sign: string, label: string): JSX.Element => (
    <button
      className="cpodLab-button"
      aria-pressed={wording[key]}
      title={label}
      aria-label={label}
      onClick={() => setWording({ ...wording, [key]: !wording[key] })}
    >
      {sign}
    </button>
  );
  const step = (back: boolean, sign: string, label: string): JSX.Element => (
    <button
      className="cpodLab-button"
      title={label}
      aria-label={label}
      disabled={!wording.text}
      onClick={() => next(back)}
    >
      {sign}
    </button>
  );
  return (
    <div className="cpodLog-search" role="search">
      <input
        ref={input}
        type="search"
        value={wording.text}
        onChange={event => setWording({ ...wording, text: event.target.value })}
        onKeyDown={pressed}
        placeholder={trans.__('Find in the log')}
        aria-label={trans.__('Find in the log')}
        aria-invalid={failure !== ''}
      />
      {toggle('case', trans.__('Aa'), trans.__('Match case'))}
      {toggle('regex', '.*', trans.__('Regular expression'))}
      {step(true, '↑', trans.__('Previous match'))}
      {step(false, '↓', trans.__('Next match'))}
      <span className="cpodLab-dim" role="status">
        {looking ? trans.__('Searching …') : words(answer, counted, trans)}
      </span>
      {failure && (
        <span className="cpodLab-trouble" role="alert">
          {failure}
        </span>
      )}
    </div>
  );
}

function words(found: ILogFound | null, counted: ISearchProps['counted'], trans: TranslationBundle): string {
  if (!found) {
    return '';
  }
  const { count, more } = counted && counted.count > found.count ? counted : found;
  if (count === 0 || found.row === null) {
    return trans.__('not found');
  }
  const all = `${count.toLocaleString('en')}${more ? '+' : ''}`;
  return trans.__('%1 of %2 matching lines', found.at.toLocaleString('en'), all);
}
