import { Tone } from './block/state';

/** A line of a live list: the JSON that `cpod_jupyter/sdk/view/listrow.py` makes of an object. */
export interface IRow {
  /** The kind's word: `finetune`, `job`, `pytorchjob`, … */
  kind: string;
  name: string;
  namespace: string;
  phase: string;
  tone: Tone;
  /** Whether it has come to an end, or, of a deployment, is ready. */
  final: boolean;
  /** RFC 3339. */
  created: string;
  /** `16 NVIDIA-H100`, of all its pods; empty where it asks for none. */
  gpus: string;
  detail: string;
  reason: string;
}

/** Of which list: all objects of a kind, or of a group of kinds, in a namespace. */
export interface IListPlace {
  context: string;
  namespace: string;
  /** A kind's word, or `jobs`, `deployments`, `models`, `datasets`. */
  kind: string;
}

/** A list as it is now; `trouble` says why it may be out of date or incomplete, and is empty when all is well. */
export interface IList {
  rows: IRow[];
  trouble: string;
}

/** Where in a list a line is one of a kind; no two lines of a list have the same. */
export function rowKey(row: Pick<IRow, 'kind' | 'name'>): string {
  return `${row.kind}/${row.name}`;
}

/** What the server says of a list: first all `rows`, then what `changed` and the keys of what is `gone`. */
export interface IListMessage {
  rows?: IRow[];
  changed?: IRow[];
  gone?: string[];
  trouble?: string;
}

/**
 * A live list for those who listen: lines come in pieces, and are handed on whole, at most once in `pause`
 * milliseconds, the first at once.
 */
export class LiveList {
  constructor(private _pause: number) {}

  readonly listeners = new Set<(list: IList) => void>();

  /** Hear of the list from now on; also of what is known already. */
  listen(listener: (list: IList) => void): void {
    this.listeners.add(listener);
    if (this._known || this._trouble) {
      listener(this._list());
    }
  }

  /** Take what came of it. */
  take(message: IListMessage): void {
    if (message.rows) {
      this._rows = new Map(message.rows.map(row => [rowKey(row), row]));
      this._known = true;
    }
    for (const key of message.gone ?? []) {
      this._rows.delete(key);
    }
    for (const row of message.changed ?? []) {
      this._rows.set(rowKey(row), row);
    }
    this._trouble = message.trouble ?? '';
    this._tell();
  }

  /** Nobody listens any more. */
  dispose(): void {
    window.clearTimeout(this._timer);
    this._timer = 0;
    this.listeners.clear();
  }

  private _tell(): void {
    if (this._timer) {
      this._due = true;
      return;
    }
    this._due = false;
    this._timer = window.setTimeout(() => {
      this._timer = 0;
      if (this._due) {
        this._tell();
      }
    }, this._pause);
    const list = this._list();
    for (const listener of [...this.listeners]) {
      listener(list);
    }
  }

  private _list(): IList {
    return { rows: [...this._rows.values()], trouble: this._trouble };
  }

  private _rows = new Map<string, IRow>();
  private _known = false;
  private _trouble = '';
  private _timer = 0;
  private _due = false;
}
