import { useEffect, useReducer, useRef } from 'react';

import { IAddress, keyOf } from '../../block/state';
import { sentence } from '../../errors';
import { IMetrics } from '../../server';
import { INews } from '../../stream';

/** Milliseconds between two questions about a run that goes on. */
export const PAUSE = 2000;

/** Whom to ask about runs. */
export interface IRunSource {
  subscribe(address: IAddress, listener: (news: INews) => void): () => void;
  metrics(address: IAddress): Promise<IMetrics>;
}

/** The metrics of a run: asked when it is known to have come further, and not more often than every few seconds. */
export class Feed {
  metrics: IMetrics | null = null;
  /** Why they are not up to date; empty when they are. */
  trouble = '';

  constructor(
    readonly address: IAddress,
    private _source: IRunSource,
    private _changed: () => void
  ) {
    this._unsubscribe = _source.subscribe(address, news => this._hear(news));
  }

  dispose(): void {
    this._disposed = true;
    this._unsubscribe();
  }

  private _hear(news: INews): void {
    if (!news.state) {
      this.trouble = news.trouble;
      return this._changed();
    }
    this._moved = true;
    void this._ask();
  }

  private async _ask(): Promise<void> {
    if (this._asking) {
      return; // whoever is under way looks whether the run has moved
    }
    this._asking = true;
    while (this._moved && !this._disposed) {
      this._moved = false;
      try {
        this.metrics = await this._source.metrics(this.address);
        this.trouble = '';
      } catch (error) {
        this.trouble = sentence(error);
      }
      if (!this._disposed) {
        this._changed();
        await new Promise(resolve => window.setTimeout(resolve, PAUSE));
      }
    }
    this._asking = false;
  }

  private _unsubscribe: () => void;
  private _moved = false;
  private _asking = false;
  private _disposed = false;
}

/** A feed for each of these runs, for as long as it is among them. */
export function useFeeds(addresses: IAddress[], source: IRunSource): Feed[] {
  const [, changed] = useReducer((count: number) => count + 1, 0);
  const feeds = useRef(new Map<string, Feed>());
  const keys = addresses.map(keyOf).join(' ');
  useEffect(() => {
    const known = feeds.current;
    for (const [key, feed] of known) {
      if (!addresses.some(address => keyOf(address) === key)) {
        feed.dispose();
        known.delete(key);
      }
    }
    for (const address of addresses) {
      if (!known.has(keyOf(address))) {
        known.set(keyOf(address), new Feed(address, source, changed));
      }
    }
    changed();
  }, [keys]);
  useEffect(
    () => () => {
      feeds.current.forEach(feed => feed.dispose());
      feeds.current.clear();
    },
    []
  );
  return addresses.flatMap(address => feeds.current.get(keyOf(address)) ?? []);
}
