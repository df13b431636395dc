import { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useState } from 'react';

import { sentence } from '../errors';
import { IEvent } from '../server';

/** Milliseconds between two questions about what changes without a word. */
export const OFTEN = 5000;

export interface IAskedProps<T> {
  ask: () => Promise<T>;
  /** Asks again when it changes. */
  again: string;
  /** Whether to ask every few seconds too, while the page can be seen. */
  often: boolean;
  children: (answer: T) => JSX.Element;
  trans: TranslationBundle;
}

/** What the server answers to a question, with the last answer while the next is on its way. */
export function Asked<T>({ ask, again, often, children, trans }: IAskedProps<T>): JSX.Element {
  const [answer, setAnswer] = useState<{ value: T } | null>(null);
  const [failure, setFailure] = useState('');
  useEffect(() => {
    let current = true;
    let asking = false;
    const go = async (): Promise<void> => {
      if (asking || document.hidden) {
        return;
      }
      asking = true;
      try {
        const value = await ask();
        if (current) {
          setAnswer({ value });
          setFailure('');
        }
      } catch (error) {
        if (current) {
          setFailure(sentence(error));
        }
      }
      asking = false;
    };
    void go();
    const timer = often ? window.setInterval(() => void go(), OFTEN) : 0;
    const seen = (): void => void go();
    document.addEventListener('visibilitychange', seen);
    return () => {
      current = false;
      window.clearInterval(timer);
      document.removeEventListener('visibilitychange', seen);
    };
  }, [again, often]);
  return (
    <>
      {failure && (
        <p className="cpodLab-trouble" role="alert">
          {failure}
        </p>
      )}
      {answer ? children(answer.value) : !failure && <p className="cpodLab-dim">{trans.__('Asking …')}</p>}
    </>
  );
}

/** What the cluster tells about an object and its pods. */
export function EventTable({ events, trans }: { events: IEvent[]; trans: TranslationBundle }): JSX.Element {
  if (events.length === 0) {
    return (
      <p className="cpodLab-dim">{trans.__('No events about it; a cluster forgets them after an hour.')}</p>
    );
  }
  return (
    <table className="cpodLab-table">
      <thead>
        <tr>
          <th scope="col">{trans.__('When')}</th>
          <th scope="col">{trans.__('Type')}</th>
          <th scope="col">{trans.__('Event')}</th>
        </tr>
      </thead>
      <tbody>
        {events.map((event, index) => (
          <tr key={index} className={event.type === 'Warning' ? 'cpodLab-wait' : ''}>
            <td>
              <time dateTime={event.time}>{whenOf(event.time)}</time>
            </td>
            <td className="cpodLab-eventType">{event.type}</td>
            <td>{event.text}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A time as people here write it. */
function whenOf(time: string): string {
  const found = new Date(time);
  return Number.isNaN(found.getTime()) ? time : found.toLocaleString();
}
