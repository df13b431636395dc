import { sentence } from '../errors';
import { IFormServer, IRequest, IVerdict } from './service';
import { IFault } from '../server';

/** Milliseconds after the last key before the server is asked. */
export const PAUSE = 400;

/** What the server says about what is in the form. */
export interface IOpinion {
  faults: IFault[];
  verdict: IVerdict | null;
  /** Why the server could not be asked; empty when it could. */
  trouble: string;
  /** Whether an answer about the newest text is still to come. */
  pending: boolean;
}

export const NO_OPINION: IOpinion = { faults: [], verdict: null, trouble: '', pending: false };

/**
 * Asks the server about a manifest while it is typed: for faults after a pause, and where there are none for preflight's
 * verdict. One question at a time; answers about an older text are dropped.
 */
export class Checker {
  constructor(
    private _server: Pick<IFormServer, 'check' | 'judge'>,
    private _tell: (opinion: IOpinion) => void
  ) {}

  /** Ask about this text, unless another comes soon. */
  ask(request: IRequest): void {
    window.clearTimeout(this._timer);
    this._newest = request;
    this._put({ ...this._opinion, pending: true });
    this._timer = window.setTimeout(() => void this._run(), PAUSE);
  }

  /** Ask no more, and tell nobody of what is under way. */
  stop(): void {
    window.clearTimeout(this._timer);
    this._newest = null;
  }

  private async _run(): Promise<void> {
    if (this._busy) {
      return; // whoever is under way looks for a newer text when it is done
    }
    this._busy = true;
    try {
      for (let asked: IRequest | null = null; this._newest && this._newest !== asked;) {
        asked = this._newest;
        await this._about(asked);
      }
    } finally {
      this._busy = false;
    }
  }

  private async _about(asked: IRequest): Promise<void> {
    const isNewest = (): boolean => this._newest === asked;
    try {
      const { faults } = await this._server.check(asked);
      if (!isNewest()) {
        return;
      }
      if (faults.length) {
        return this._put({ ...NO_OPINION, faults });
      }
      this._put({ ...this._opinion, faults, trouble: '' });
      const verdict = await this._server.judge(asked);
      if (isNewest()) {
        this._put({ ...NO_OPINION, verdict });
      }
    } catch (error) {
      if (isNewest()) {
        this._put({ ...NO_OPINION, trouble: sentence(error) });
      }
    }
  }

  private _put(opinion: IOpinion): void {
    this._opinion = opinion;
    this._tell(opinion);
  }

  private _newest: IRequest | null = null;
  private _opinion = NO_OPINION;
  private _timer = 0;
  private _busy = false;
}
