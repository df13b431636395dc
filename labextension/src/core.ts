import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';

import { EngineModel } from './cluster/engine';
import { Server } from './server';
import { Settings } from './settings';
import { RowsModel } from './sidebar/model';
import { Place } from './sidebar/place';
import { Stream } from './stream';
import { versionAdvice } from './version';

const ID = 'cpod-jupyter:core';

/** What all parts of the extension share: one connection, one place, one list of jobs, the settings. */
export interface ICore {
  readonly server: Server;
  readonly stream: Stream;
  readonly place: Place;
  readonly engine: EngineModel;
  readonly jobs: RowsModel;
  readonly settings: Settings;
  readonly trans: TranslationBundle;
  /** Ask for everything that is shown again. */
  refresh(): void;
  readonly refreshed: ISignal<ICore, void>;
}

export const ICore = new Token<ICore>('cpod-jupyter:ICore', 'What all parts of the extension of cpod share.');

class Core implements ICore {
  constructor(
    app: JupyterFrontEnd,
    readonly trans: TranslationBundle,
    readonly settings: Settings,
    state: IStateDB | null
  ) {
    this.server = new Server(app.serviceManager.serverSettings, trans);
    this.stream = new Stream(() => this.server.socket(), trans.__('Jupyter does not answer; trying again'));
    this.place = new Place(this.server, state, () => settings.current);
    this.engine = new EngineModel(this.server, this.place);
    this.jobs = new RowsModel(this.stream, this.place, 'jobs');
    settings.changed.connect((_, keys) => {
      if (keys.includes('context') || keys.includes('namespace')) {
        void this.place.begin();
      }
    });
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
  readonly engine: EngineModel;
  readonly jobs: RowsModel;
  private _refreshed = new Signal<ICore, void>(this);
}

/** Say so when the page's part and the server's are of two versions; where nothing answers, the sidebar says that. */
async function compareVersions({ server, trans }: ICore): Promise<void> {
  const advice = versionAdvice(await server.version(), trans);
  if (advice) {
    Notification.warning(advice, { autoClose: false });
  }
}

/** Asks the server for its version alone before somebody wants to know something. */
export const core: JupyterFrontEndPlugin<ICore> = {
  id: ID,
  description: 'What all parts of the extension of cpod share.',
  provides: ICore,
  optional: [ITranslator, ISettingRegistry, IStateDB],
  activate: async (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    registry: ISettingRegistry | null,
    state: IStateDB | null
  ) => {
    const settings = await Settings.load(registry, ID);
    const made = new Core(app, (translator ?? nullTranslator).load('cpod_jupyter'), settings, state);
    void app.restored.then(() => compareVersions(made)).catch(() => undefined);
    return made;
  }
};
