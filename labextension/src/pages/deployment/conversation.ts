import { sentence } from '../../errors';
import { IAddress } from '../../block/state';

/** Milliseconds between two drawings of an answer that is being written. */
const PAUSE = 50;
/** Messages that are kept; the oldest go. */
const MOST = 200;

export interface IMessage {
  role: 'user' | 'assistant';
  content: string;
  /** What became of an answer: being written, whole, stopped by the person, or broken off for a reason. */
  state: 'writing' | 'whole' | 'stopped' | 'failed';
  /** The reason. */
  failure: string;
}

export interface IParameters {
  temperature?: number;
  max_tokens?: number;
}

/** What answers: a part of `Server`. */
export interface IChatServer {
  chat(
    address: IAddress,
    request: { messages: { role: string; content: string }[] } & IParameters,
    onText: (piece: string) => void,
    signal?: AbortSignal
  ): Promise<void>;
}

/** A conversation with one deployment. */
export class Conversation {
  constructor(
    private _server: IChatServer,
    readonly address: IAddress,
    private _changed: () => void
  ) {}

  get messages(): readonly IMessage[] {
    return this._messages;
  }

  get busy(): boolean {
    return this._abort !== null;
  }

  /** Ask, and take in the answer as it is written. Resolves when it is whole, stopped or failed. */
  async ask(prompt: string, parameters: IParameters): Promise<void> {
    if (this._abort) {
      return;
    }
    const abort = (this._abort = new AbortController());
    const answer: IMessage = { role: 'assistant', content: '', state: 'writing', failure: '' };
    this._messages = [
      ...this._messages,
      { role: 'user', content: prompt, state: 'whole', failure: '' } as IMessage,
      answer
    ].slice(-MOST);
    const messages = this._told();
    this._draw();
    const take = (piece: string): void => {
      if (!abort.signal.aborted) {
        answer.content += piece;
        this._drawSoon();
      }
    };
    try {
      await this._server.chat(this.address, { messages, ...parameters }, take, abort.signal);
      answer.state = abort.signal.aborted ? 'stopped' : 'whole';
    } catch (error) {
      answer.state = abort.signal.aborted ? 'stopped' : 'failed';
      answer.failure = abort.signal.aborted ? '' : sentence(error);
    } finally {
      if (this._abort === abort) {
        this._abort = null;
      }
      this._draw();
    }
  }

  /** Break off the answer that is being written; what has come of it stays. */
  stop(): void {
    this._abort?.abort();
  }

  /** Begin anew. */
  clear(): void {
    this.stop();
    this._messages = [];
    this._draw();
  }

  /** What the model is told: whole exchanges, and the newest question. One without an answer would confuse it. */
  private _told(): { role: string; content: string }[] {
    const past = this._messages.slice(0, -1);
    const told = past.filter(
      (message, at) =>
        message.content !== '' && (message.role === 'assistant' || past[at + 1]?.content !== '')
    );
    const first = told.findIndex(({ role }) => role === 'user');
    return told.slice(Math.max(first, 0)).map(({ role, content }) => ({ role, content }));
  }

  private _drawSoon(): void {
    this._timer ||= window.setTimeout(() => this._draw(), PAUSE);
  }

  private _draw(): void {
    window.clearTimeout(this._timer);
    this._timer = 0;
    this._changed();
  }

  private _messages: IMessage[] = [];
  private _abort: AbortController | null = null;
  private _timer = 0;
}
