import { ISignal, Signal } from '@lumino/signaling';

import { sentence } from '../errors';
import { IContext, Server } from '../server';

/** What tells where one can work. */
export type IPlaces = Pick<Server, 'contexts' | 'namespaces'>;

/** Where one works: what lists show. */
export interface IPlace {
  context: string;
  namespace: string;
}

/** Something that keeps a text from one day to the next: the browser's storage. */
export type Memory = Pick<Storage, 'getItem' | 'setItem'>;

/** The context and the namespace that the sidebar shows; the last choice is taken up again. */
export class Place {
  constructor(
    private _server: IPlaces,
    private _memory: Memory,
    /** Under which name the choice is kept: another one for each Jupyter. */
    private _key: string
  ) {}

  /** null while it is not known. */
  get current(): IPlace | null {
    return this._current;
  }

  get contexts(): IContext[] {
    return this._contexts;
  }

  /** The namespaces of the context; the current one at least. */
  get namespaces(): string[] {
    return this._namespaces;
  }

  /** Why the above is not up to date; empty when it is. */
  get trouble(): string {
    return this._trouble;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Ask again what there is; the choice stays while it is there. Never rejects: `trouble` tells. */
  async refresh(): Promise<void> {
    try {
      this._contexts = (await this._server.contexts()).contexts;
    } catch (error) {
      return this._changes(this._current, sentence(error));
    }
    const wanted = this._current ?? this._remembered();
    const kept = this._contexts.find(each => each.name === wanted?.context);
    const found = kept ?? this._contexts.find(each => each.current) ?? this._contexts[0];
    if (!found) {
      return this._changes(null, '');
    }
    await this._go({ context: found.name, namespace: kept ? wanted!.namespace : found.namespace });
  }

  /** A list of this place has come: what kept the above from being up to date is over. */
  heard(): void {
    if (this._trouble && !this._asking) {
      this._asking = true;
      void this.refresh().finally(() => (this._asking = false));
    }
  }

  /** Go to a context: to the namespace it has of itself. */
  async chooseContext(name: string): Promise<void> {
    const found = this._contexts.find(each => each.name === name);
    if (found) {
      this._namespaces = [];
      await this._go({ context: name, namespace: found.namespace });
    }
  }

  chooseNamespace(namespace: string): void {
    if (this._current) {
      this._changes({ context: this._current.context, namespace }, this._trouble);
    }
  }

  private async _go(place: IPlace): Promise<void> {
    this._changes(place, '');
    let names: string[] = [];
    let trouble = '';
    try {
      names = await this._server.namespaces(place.context);
    } catch (error) {
      trouble = sentence(error);
    }
    if (this._current?.context === place.context) {
      this._namespaces = names;
      this._changes(this._current, trouble);
    }
  }

  private _changes(place: IPlace | null, trouble: string): void {
    this._trouble = trouble;
    this._current = place;
    if (place && !this._namespaces.includes(place.namespace)) {
      this._namespaces = [place.namespace, ...this._namespaces];
    }
    if (place) {
      this._memory.setItem(this._key, JSON.stringify(place));
    }
    this._changed.emit();
  }

  private _remembered(): IPlace | null {
    try {
      const found = JSON.parse(this._memory.getItem(this._key) ?? 'null');
      const whole = typeof found?.context === 'string' && typeof found?.namespace === 'string';
      return whole ? { context: found.context, namespace: found.namespace } : null;
    } catch {
      return null; // not ours, or damaged
    }
  }

  private _current: IPlace | null = null;
  private _contexts: IContext[] = [];
  private _namespaces: string[] = [];
  private _trouble = '';
  private _asking = false;
  private _changed = new Signal<this, void>(this);
}
