import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { IAddress } from './block/state';

/** Where our server extension answers, below the base URL. */
const ROOT = 'cpod';

/** What the server extension does for a page: all of it under the user's own login. */
export class Server {
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Stop a job. Rejects with what the server says against it. */
  async cancel(address: IAddress): Promise<void> {
    await this._ask('cancel', { method: 'POST', body: JSON.stringify(address) });
  }

  /** The manifest that makes an object again. */
  async yaml(address: IAddress): Promise<string> {
    return (await this._ask(`yaml${query(address)}`)).text();
  }

  /** Save an object's whole log as a file: by the browser itself, which need not hold it. */
  async download(address: IAddress): Promise<void> {
    const link = document.createElement('a');
    link.href = URLExt.join(this.settings.baseUrl, ROOT, 'logs') + query(address);
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

  private async _ask(path: string, init: RequestInit = {}): Promise<Response> {
    const url = URLExt.join(this.settings.baseUrl, ROOT) + '/' + path;
    const response = await ServerConnection.makeRequest(url, init, this.settings);
    if (response.ok) {
      return response;
    }
    if (response.status === 404 && !response.headers.get('Content-Type')?.includes('json')) {
      throw new Error(
        "cpod's server extension does not run: install cpod-jupyter where Jupyter itself runs, and restart it"
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

function query(address: IAddress): string {
  const { context, namespace, kind, name } = address;
  return URLExt.objectToQueryString({ context, namespace, kind, name });
}
