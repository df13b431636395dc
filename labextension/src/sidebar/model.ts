import { ISignal, Signal } from '@lumino/signaling';

import { IAddress } from '../block/state';
import { IRow } from '../rows';
import { Stream } from '../stream';
import { Place } from './place';
import { ended, Group } from './rows';

/** What hands out live lists. */
export type ILists = Pick<Stream, 'subscribeList'>;

/** A live list of the place that the sidebar shows: subscribed while somebody has it open. */
export class RowsModel {
  constructor(
    private _lists: ILists,
    private _place: Place,
    readonly group: Group
  ) {
    _place.changed.connect(() => this._follow(false));
  }

  /** null while nothing is known. */
  get rows(): IRow[] | null {
    return this._rows;
  }

  /** Why the rows are not up to date; empty when they are. */
  get trouble(): string {
    return this._trouble;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The jobs that ended just now; not those that had when the list was opened. */
  get ended(): ISignal<this, IRow[]> {
    return this._ended;
  }

  /** Keep the list up to date until the returned function is called. */
  open(): () => void {
    this._opened += 1;
    this._follow(false);
    let closed = false;
    return () => {
      if (!closed) {
        closed = true;
        this._opened -= 1;
        this._follow(false);
      }
    };
  }

  /** Ask for the whole list again. */
  refresh(): void {
    this._follow(true);
  }

  address(row: { kind: string; name: string; namespace: string }): IAddress {
    const { kind, name, namespace } = row;
    return { context: this._place.current?.context ?? '', namespace, kind, name };
  }

  private _follow(anew: boolean): void {
    const place = this._opened > 0 ? this._place.current : null;
    const wanted = place ? JSON.stringify([place.context, place.namespace]) : '';
    if (wanted === this._followed && !anew) {
      return;
    }
    this._unsubscribe?.();
    this._unsubscribe = null;
    this._followed = wanted;
    if (!place) {
      return;
    }
    if (wanted !== this._known) {
      this._rows = null;
      this._trouble = '';
      this._known = wanted;
      this._changed.emit();
    }
    this._unsubscribe = this._lists.subscribeList({ ...place, kind: this.group }, ({ rows, trouble }) => {
      const before = this._rows;
      // With a trouble and no rows nothing is known about them: those seen last stay.
      if (!trouble || rows.length > 0) {
        this._rows = rows;
      }
      const news = trouble !== this._trouble;
      this._trouble = trouble;
      this._changed.emit();
      if (!trouble) {
        this._place.heard();
      } else if (news) {
        this._place.doubt();
      }
      const over = ended(before ?? [], this._rows ?? []);
      if (over.length > 0) {
        this._ended.emit(over);
      }
    });
  }

  private _rows: IRow[] | null = null;
  private _trouble = '';
  private _opened = 0;
  /** The place that is followed now, and the one that the rows are of. */
  private _followed = '';
  private _known = '';
  private _unsubscribe: (() => void) | null = null;
  private _changed = new Signal<this, void>(this);
  private _ended = new Signal<this, IRow[]>(this);
}
