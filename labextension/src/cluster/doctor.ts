import { ISignal, Signal } from '@lumino/signaling';

import { sentence } from '../errors';
import { IFinding, Server } from '../server';

/** The part of the server that examines. */
export type IDoctorServer = Pick<Server, 'doctor'>;

/** The last examination of a context. */
export class Doctor {
  constructor(private _server: IDoctorServer) {}

  /** The context that was examined last, or is being examined; empty before. */
  get context(): string {
    return this._context;
  }

  /** null while they are not known. */
  get findings(): IFinding[] | null {
    return this._findings;
  }

  get busy(): boolean {
    return this._busy;
  }

  /** Why it could not be examined; empty when it could. */
  get failure(): string {
    return this._failure;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Examine a context. Never rejects: `failure` tells. An answer about a context left meanwhile is not taken. */
  async examine(context: string): Promise<void> {
    this._take(context, null, '', true);
    let findings: IFinding[] | null = null;
    let failure = '';
    try {
      findings = await this._server.doctor(context);
    } catch (error) {
      failure = sentence(error);
    }
    if (context === this._context) {
      this._take(context, findings, failure, false);
    }
  }

  private _take(context: string, findings: IFinding[] | null, failure: string, busy: boolean): void {
    this._context = context;
    this._findings = findings;
    this._failure = failure;
    this._busy = busy;
    this._changed.emit();
  }

  private _context = '';
  private _findings: IFinding[] | null = null;
  private _failure = '';
  private _busy = false;
  private _changed = new Signal<this, void>(this);
}
