import { ISignal, Signal } from '@lumino/signaling';

import { sentence } from '../errors';
import { Server } from '../server';
import { Place } from '../sidebar/place';

/** The part of the server that starts and stops. */
export type IEngineServer = Pick<Server, 'engineUp' | 'engineDown'>;

/** The engine on the server's machine: whether it runs, and its start and stop. */
export class EngineModel {
  constructor(
    private _server: IEngineServer,
    private _place: Place
  ) {
    _place.changed.connect(() => this._changed.emit());
  }

  /** null while it is not known. */
  get running(): boolean | null {
    return this._place.engine?.running ?? null;
  }

  /** Empty while it does not run. */
  get url(): string {
    return this._place.engine?.url ?? '';
  }

  /** What is being done to it now. */
  get doing(): 'start' | 'stop' | null {
    return this._doing;
  }

  /** What came of what was done last, in a sentence; empty before. */
  get said(): string {
    return this._said;
  }

  /** Whether that went wrong. */
  get failed(): boolean {
    return this._failed;
  }

  /** Whether the lists need it and it does not run. */
  get missed(): boolean {
    return this._place.engineDown;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Start it, or find that it runs. The sentence that tells of it; rejects with the one that tells why not. */
  async start(): Promise<string> {
    return this._do('start', () => this._server.engineUp());
  }

  /** Stop it; its pods go on. */
  async stop(): Promise<string> {
    return this._do('stop', () => this._server.engineDown());
  }

  private async _do(doing: 'start' | 'stop', act: () => Promise<{ message: string }>): Promise<string> {
    this._doing = doing;
    this._said = '';
    this._changed.emit();
    try {
      this._said = (await act()).message;
      this._failed = false;
      return this._said;
    } catch (error) {
      this._said = sentence(error);
      this._failed = true;
      throw error;
    } finally {
      // Whatever was answered: how it is now, only the server can tell.
      await this._place.refresh();
      this._doing = null;
      this._changed.emit();
    }
  }

  private _doing: 'start' | 'stop' | null = null;
  private _said = '';
  private _failed = false;
  private _changed = new Signal<this, void>(this);
}
