import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';

import { Server } from './server';
import { RowsModel } from './sidebar/model';
import { Place } from './sidebar/place';
import { Stream } from './stream';

/** What all parts of the extension share: one connection, one place, one list of jobs. */
export interface ICore {
  readonly server: Server;
  readonly stream: Stream;
  readonly place: Place;
  readonly jobs: RowsModel;
  readonly trans: TranslationBundle;
  /** Ask for everything that is shown again. */
  refresh(): void;
  readonly refreshed: ISignal<ICore, void>;
}

export const ICore = new Token<ICore>('cpod-jupyter:ICore', 'What all parts of the extension of cpod share.');

class Core implements ICore {
  constructor(
    app: JupyterFrontEnd,
    readonly trans: TranslationBundle
  ) {
    const settings = app.serviceManager.serverSettings;
    this.server = new Server(settings);
    this.stream = new Stream(() => this.server.socket(), trans.__('Jupyter does not answer; trying again'));
    this.place = new Place(this.server, window.localStorage, `cpod-jupyter:place:${settings.baseUrl}`);
    this.jobs = new RowsModel(this.stream, this.place, 'jobs');
  }

  get refreshed(): ISignal<ICore, void> {
    return this._refreshed;
  }

  refresh(): void {
    void this.place.refresh();
    this._refreshed.emit();
  }

  readonly server: Server;
  readonly stream: Stream;
  readonly place: Place;
  readonly jobs: RowsModel;
  private _refreshed = new Signal<ICore, void>(this);
}

/** Asks the server for nothing before somebody wants to know something. */
export const core: JupyterFrontEndPlugin<ICore> = {
  id: 'cpod-jupyter:core',
  description: 'What all parts of the extension of cpod share.',
  provides: ICore,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) =>
    new Core(app, (translator ?? nullTranslator).load('cpod_jupyter'))
};
