import { sentence } from '../../errors';
import { ILogQuery, ILogWindow, LogRow } from '../../server';

/** Milliseconds between two questions about a log that goes on. */
export const POLL = 1000;
/** Rows that are asked for beyond those in sight, on each side. */
const SPARE = 100;

export type AskWindow = (query: ILogQuery, first: number, count: number) => Promise<ILogWindow>;

/** Which rows are to be shown. */
export interface IWanted {
  query: ILogQuery;
  first: number;
  end: number;
  /** Whether the last rows are wanted, wherever they are. */
  following: boolean;
}

/** The rows of a log around those in sight: one question at a time, again while it goes on and somebody looks. */
export class LogSource {
  /** null while nothing is known. */
  window: ILogWindow | null = null;
  /** Why it is not up to date; empty when it is. */
  trouble = '';

  constructor(
    private _ask: AskWindow,
    private _changed: () => void,
    /** Whether somebody can see it. */
    private _seen: () => boolean
  ) {
    this._timer = window.setInterval(() => this._poll(), POLL);
  }

  /** These rows are to be shown from now on. */
  want(wanted: IWanted): void {
    if (wanted.query.place !== this._wanted?.query.place) {
      this.window = null; // the same numbers are other rows there
    }
    this._wanted = wanted;
    void this._run();
  }

  /** The row of a number; undefined while it is not known. */
  row(number: number): LogRow | undefined {
    return this.window?.rows[number - this.window.first];
  }

  dispose(): void {
    window.clearInterval(this._timer);
    this._disposed = true;
  }

  private _poll(): void {
    if (this._seen() && (this.trouble || !this.window?.whole)) {
      this._due = true;
      void this._run();
    }
  }

  private async _run(): Promise<void> {
    if (this._asking) {
      return; // whoever is under way looks for what is wanted then
    }
    this._asking = true;
    while (this._wanted && !this._disposed && (this._due || this._lacks(this._wanted))) {
      this._due = false;
      const wanted = this._wanted;
      const { query, first, end, following } = wanted;
      const count = end - first + 2 * SPARE;
      this._of = query;
      try {
        const found = await this._ask(query, following ? -1 : Math.max(0, first - SPARE), count);
        if (query.place !== this._wanted.query.place) {
          continue;
        }
        this.window = found;
        this.trouble = '';
      } catch (error) {
        this.trouble = sentence(error);
      }
      if (!this._disposed) {
        this._changed();
      }
    }
    this._asking = false;
  }

  private _lacks({ query, first, end, following }: IWanted): boolean {
    const known = this.window;
    if (query !== this._of) {
      return true;
    }
    if (!known || this.trouble) {
      return !this.trouble; // after trouble the next poll asks again
    }
    const last = known.first + known.rows.length;
    return following ? last < known.count : first < known.first || Math.min(end, known.count) > last;
  }

  private _wanted: IWanted | null = null;
  private _of: ILogQuery | null = null;
  private _asking = false;
  private _due = false;
  private _disposed = false;
  private _timer: number;
}
