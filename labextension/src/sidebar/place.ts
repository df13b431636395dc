import { ISignal, Signal } from '@lumino/signaling';

import { sentence } from '../errors';
import { IContext, IEngine, Server } from '../server';

/** What tells where one can work. */
export type IPlaces = Pick<Server, 'contexts' | 'namespaces'>;

/** Where one works: what lists show. */
export interface IPlace {
  context: string;
  namespace: string;
}

/** Where a choice is kept from one day to the next: JupyterLab's state of a workspace. */
export interface Memory {
  fetch(key: string): Promise<unknown>;
  save(key: string, value: { context: string; namespace: string }): Promise<unknown>;
}

/** Under which name it is kept. */
export const PLACE_KEY = 'cpod-jupyter:place';
/** The context that means the engine on the server's machine. */
const ENGINE = 'engine';

/** The context and the namespace that the sidebar shows; the last choice is taken up again. */
export class Place {
  constructor(
    private _server: IPlaces,
    /** null where nothing can be kept. */
    private _memory: Memory | null,
    /** Where to begin when nothing was chosen yet; what is empty is left to the server. */
    private _first: () => IPlace
  ) {}

  /** null while it is not known. */
  get current(): IPlace | null {
    return this._current;
  }

  get contexts(): IContext[] {
    return this._contexts;
  }

  /** The engine on the server's machine; null while nothing is known of it. */
  get engine(): IEngine | null {
    return this._engine;
  }

  /** Whether one works in that engine, and it does not run. */
  get engineDown(): boolean {
    return this._current?.context === ENGINE && this._engine?.running === false;
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
    const kept = this._current ?? (await this._remembered());
    try {
      const { contexts, engine } = await this._server.contexts();
      this._contexts = contexts;
      this._engine = engine;
    } catch (error) {
      return this._changes(this._current, sentence(error));
    }
    // What was chosen while the answer was on its way counts.
    const wanted = this._current ?? kept;
    const known = this._contexts.some(each => each.name === wanted?.context);
    const found = known ? wanted : this._beginning();
    if (!found) {
      return this._changes(null, '');
    }
    await this._go(found);
  }

  /** Go where one begins, whatever was chosen before. */
  async begin(): Promise<void> {
    const found = this._beginning();
    if (found) {
      await this._go(found);
    }
  }

  /** A list of this place has come: what kept the above from being up to date is over. */
  heard(): void {
    if (this._trouble || this.engineDown) {
      this.doubt();
    }
  }

  /** Something of this place does not answer: look what is. */
  doubt(): void {
    if (!this._asking) {
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
    if (this.engineDown) {
      return; // nobody there to ask
    }
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
    if (place && (place.context !== this._saved?.context || place.namespace !== this._saved.namespace)) {
      this._saved = place;
      // What cannot be kept is chosen again another day.
      this._memory?.save(PLACE_KEY, { ...place }).catch(() => undefined);
    }
    this._changed.emit();
  }

  private async _remembered(): Promise<IPlace | null> {
    try {
      const found = (await this._memory?.fetch(PLACE_KEY)) as Partial<IPlace> | null | undefined;
      const { context, namespace } = found ?? {};
      return typeof context === 'string' && typeof namespace === 'string' ? { context, namespace } : null;
    } catch {
      return null; // it cannot be read
    }
  }

  private _beginning(): IPlace | null {
    const { context, namespace } = this._first();
    const named = this._contexts.find(each => each.name === context);
    const found = named ?? this._contexts.find(each => each.current) ?? this._contexts[0];
    if (!found) {
      return null;
    }
    // A namespace is one of the context that it was given with.
    const own = named || !context ? namespace : '';
    return { context: found.name, namespace: own || found.namespace };
  }

  private _current: IPlace | null = null;
  private _saved: IPlace | null = null;
  private _contexts: IContext[] = [];
  private _engine: IEngine | null = null;
  private _namespaces: string[] = [];
  private _trouble = '';
  private _asking = false;
  private _changed = new Signal<this, void>(this);
}
