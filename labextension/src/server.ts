import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';

import { IAddress } from './block/state';

/** Where our server extension answers, below the base URL. */
const ROOT = 'cpod';

/** What comes behind an answer that is written piece by piece: from here on, what went wrong, if it did. */
const END = '\0';

export interface IContext {
  name: string;
  server: string;
  namespace: string;
  current: boolean;
}

export interface IEngine {
  running: boolean;
  url: string;
}

/** A job or a deployment that runs on the engine. */
export interface IWork {
  kind: string;
  name: string;
  namespace: string;
}

/** A text of manifests, and where it is meant for. */
export interface IText {
  context: string;
  namespace: string;
  text: string;
}

export interface IFault {
  /** From 1; null when it is about no place in the text. */
  line: number | null;
  column: number | null;
  /** `spec.args[0]`; empty when it is about no field. */
  path: string;
  message: string;
}

/** What, how, and why or with what. */
export interface IPlan {
  title: string;
  rows: [string, string, string][];
}

export interface IVerdict {
  ok: boolean;
  findings: { level: string; about: string; text: string }[];
  plan: IPlan | null;
}

export interface ISubmitted {
  address: IAddress;
  /** `created`, `configured` or `unchanged`. */
  outcome: string;
}

export interface INode {
  node: string;
  type: string;
  total: number;
  free: number;
}

/** A model or a dataset that can be named. */
export interface IChoice {
  name: string;
  detail: string;
  state: string;
}

export interface IFinding {
  level: string;
  text: string;
  advice: string;
}

export interface IEvent {
  /** RFC 3339. */
  time: string;
  type: string;
  text: string;
}

/** What is looked for in a log: a text, or a regular expression of Python, in the lines of a place ('' for all). */
export interface ILogQuery {
  text: string;
  regex: boolean;
  case: boolean;
  place: string;
}

/** A line: its number in the whole log from 0, its place, its text, and from where to where what is looked for stands. */
export type LogRow = [number: number, place: string, text: string, marks?: [number, number][]];

/** Some rows of a log; a row is a line's number among those of the query's place. */
export interface ILogWindow {
  first: number;
  rows: LogRow[];
  /** How many rows there are. */
  count: number;
  places: string[];
  /** Whether nothing more will come. */
  whole: boolean;
  /** Why there are no lines yet, or not all; mostly empty. */
  note: string;
  found: { count: number; more: boolean } | null;
}

export interface ILogFound {
  /** null where there is none. */
  row: number | null;
  /** Which one it is, from 1. */
  at: number;
  count: number;
  /** Whether there may be more than are counted. */
  more: boolean;
}

/** What a job has told of each step; null where a step has no such value. */
export interface IMetrics {
  steps: number[];
  series: Record<string, (number | null)[]>;
  /** Whether nothing more will come. */
  over: boolean;
}

export interface IConversation {
  messages: { role: string; content: string }[];
  temperature?: number;
  max_tokens?: number;
}

/**
 * What the server extension does for a page: all of it under the user's own login.
 *
 * Every method rejects with an Error whose message is the server's sentence.
 */
export class Server {
  constructor(
    readonly settings: ServerConnection.ISettings,
    private _trans: TranslationBundle
  ) {}

  /** The version of the server extension. */
  async version(): Promise<string> {
    return (await this._get('version')).version;
  }

  /** Where one can work, and whether the engine on the server's machine runs. */
  async contexts(): Promise<{ contexts: IContext[]; engine: IEngine }> {
    return this._get('contexts');
  }

  async namespaces(context: string): Promise<string[]> {
    return this._get('namespaces', { context });
  }

  /** The JSON schema of the `spec` of a kind. */
  async schema(context: string, kind: string): Promise<any> {
    return this._get('schema', { context, kind });
  }

  /** What is wrong with a text of manifests; nothing is stored. */
  async check(request: IText): Promise<{ faults: IFault[] }> {
    return this._post('check', request);
  }

  /** Whether it can go well, and what the operator will make of it; nothing is stored. */
  async judge(request: IText): Promise<IVerdict> {
    return this._post('judge', request);
  }

  /** Submit it; `fresh` runs again what has run before. */
  async submit(request: IText & { fresh?: boolean }): Promise<ISubmitted[]> {
    return this._post('submit', request);
  }

  /** The `%%cpod` cell that submits it. */
  async cell(request: IText): Promise<string> {
    return this._post('cell', request);
  }

  /** The manifests that a `%%cpod` cell submits. */
  async manifest(request: { text: string }): Promise<string> {
    return this._post('manifest', request);
  }

  /** Stop a job. */
  async cancel(address: IAddress): Promise<void> {
    await this._post('cancel', where(address));
  }

  /** Delete an object with all that was made for it; done when it is gone. */
  async remove(address: IAddress): Promise<void> {
    await this._post('delete', where(address));
  }

  /** Run a job again beside it, under a name or the next free one. */
  async rerun(address: IAddress, name = ''): Promise<IAddress> {
    return this._post('rerun', { ...where(address), as: name });
  }

  /** Deploy a job's result or a model, under a name or its own. */
  async deploy(address: IAddress, name = ''): Promise<IAddress> {
    return this._post('deploy', { ...where(address), as: name });
  }

  /** The events about an object and all that was made for it, the oldest first. */
  async events(address: IAddress): Promise<IEvent[]> {
    return this._get('events', where(address));
  }

  async gpus(context: string, namespace: string): Promise<{ nodes: INode[] }> {
    return this._get('gpus', { context, namespace });
  }

  async models(context: string, namespace: string): Promise<IChoice[]> {
    return this._get('models', { context, namespace });
  }

  async datasets(context: string, namespace: string): Promise<IChoice[]> {
    return this._get('datasets', { context, namespace });
  }

  /** What is good, what may be missed and what is wrong with a context. */
  async doctor(context: string): Promise<IFinding[]> {
    return this._get('doctor', { context });
  }

  /** What has something running on that engine now, in all its namespaces. */
  async atWork(): Promise<IWork[]> {
    return (await this._get('engine')).atWork;
  }

  /** Start the engine on the server's machine, or find that it runs. */
  async engineUp(): Promise<IEngine & { message: string }> {
    return this._post('engine', { action: 'up' });
  }

  async engineDown(): Promise<IEngine & { message: string }> {
    return this._post('engine', { action: 'down' });
  }

  /**
   * Ask a deployment; `onText` gets the answer piece by piece. Rejects also when it breaks off in the middle, and with
   * an AbortError when `signal` ends it.
   */
  async chat(
    address: IAddress,
    conversation: IConversation,
    onText: (piece: string) => void,
    signal?: AbortSignal
  ): Promise<void> {
    const body = JSON.stringify({ ...conversation, ...where(address) });
    const response = await this._ask('chat', { method: 'POST', body, signal });
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    let behind: string | null = null;
    for (let done = false; !done;) {
      const read = await reader.read();
      done = read.done;
      const text = decoder.decode(read.value, { stream: !done });
      if (behind !== null) {
        behind += text;
        continue;
      }
      const [piece, ...rest] = text.split(END);
      if (piece) {
        onText(piece);
      }
      behind = rest.length > 0 ? rest.join('') : null;
    }
    if (behind === null) {
      throw new Error(this._trans.__('the answer broke off: Jupyter does not answer any more'));
    }
    if (behind) {
      throw new Error(behind);
    }
  }

  /** The manifest that makes an object again. */
  async yaml(address: IAddress): Promise<string> {
    return (await this._ask(`yaml${query(where(address))}`)).text();
  }

  /** Rows of an object's log from `first` on, the last ones for -1. */
  async logWindow(address: IAddress, asked: ILogQuery, first: number, count: number): Promise<ILogWindow> {
    const range = { first: String(first), count: String(count) };
    return this._get('log/window', { ...where(address), ...words(asked), ...range });
  }

  /** The next row of an object's log, or the one before, in which something is found, from a row on. */
  async logFind(address: IAddress, asked: ILogQuery, row: number, back: boolean): Promise<ILogFound> {
    const from = { row: String(row), back: String(back) };
    return this._get('log/find', { ...where(address), ...words(asked), ...from });
  }

  /** What a job has told of its steps so far. */
  async metrics(address: IAddress): Promise<IMetrics> {
    return this._get('metrics', where(address));
  }

  /** A fine-tune's plan; without rows before it is planned. */
  async plan(address: IAddress): Promise<IPlan> {
    return this._get('plan', where(address));
  }

  /**
   * Save an object's whole log as a file, by the browser itself, which need not hold it: of the pod that speaks for it,
   * of that at a place, or of all.
   */
  async download(address: IAddress, of: { place?: string; ranks?: 'all' } = {}): Promise<void> {
    const link = document.createElement('a');
    link.href = URLExt.join(this.settings.baseUrl, ROOT, 'logs') + query({ ...where(address), ...of });
    link.download = `${address.name}.log`;
    link.click();
  }

  /** A new socket over which states come. */
  socket(): WebSocket {
    const { settings } = this;
    let url = URLExt.join(settings.wsUrl, ROOT, 'stream');
    if (settings.token && settings.appendToken) {
      url += `?token=${encodeURIComponent(settings.token)}`;
    }
    return new settings.WebSocket(url);
  }

  private async _get(path: string, fields: Record<string, string> = {}): Promise<any> {
    return (await this._ask(path + query(fields))).json();
  }

  private async _post(path: string, fields: object): Promise<any> {
    return (await this._ask(path, { method: 'POST', body: JSON.stringify(fields) })).json();
  }

  private async _ask(path: string, init: RequestInit = {}): Promise<Response> {
    const url = URLExt.join(this.settings.baseUrl, ROOT) + '/' + path;
    const response = await ServerConnection.makeRequest(url, init, this.settings);
    if (response.ok) {
      return response;
    }
    if (response.status === 404 && !response.headers.get('Content-Type')?.includes('json')) {
      throw new Error(
        this._trans.__(
          "cpod's server extension does not run: install cpod-jupyter where Jupyter itself runs, and restart it"
        )
      );
    }
    throw new Error(await sentence(response));
  }
}

/** What an answer says is wrong. */
async function sentence(response: Response): Promise<string> {
  try {
    return String((await response.json()).message);
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

/** An address without what else may be known of its object. */
function where({ context, namespace, kind, name }: IAddress): { [key: string]: string } {
  return { context, namespace, kind, name };
}

function words({ text, regex, case: same, place }: ILogQuery): { [key: string]: string } {
  return { text, regex: String(regex), case: String(same), place };
}

function query(fields: Record<string, string>): string {
  return URLExt.objectToQueryString(fields);
}
