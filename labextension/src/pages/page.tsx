import { MainAreaWidget } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import { ISignal, Signal } from '@lumino/signaling';
import React from 'react';

import { IBlockActions } from '../block/block';
import { IAddress, IBlockState } from '../block/state';
import { ICore } from '../core';
import { cpodIcon } from '../icons';
import type { IAction } from '../sidebar/list';
import { ActionName } from '../sidebar/rows';
import { IKept, readKept, Tab } from './kept';
import { ILogAsks } from './log/panel';
import { IJobs } from './metrics/compare';
import { IRunSource } from './metrics/feed';
import { Page } from './view';

/** What a page needs from the page around it. */
export interface IPageSurroundings {
  core: ICore;
  block(address: IAddress): IBlockActions;
  buttons(state: IBlockState): IAction[];
  run(id: ActionName, address: IAddress): void;
}

/** The content of an object's tab. */
export class ObjectPage extends ReactWidget {
  constructor(
    readonly address: IAddress,
    private _around: IPageSurroundings,
    kept: unknown = null
  ) {
    super();
    this._kept = readKept(kept);
    this.addClass('cpodLab-page');
    const { trans, refreshed } = _around.core;
    const { context, namespace, kind, name } = address;
    this.title.label = name;
    this.title.caption = trans.__('%1 %2 in namespace %3 of %4', kind, name, namespace, context);
    this.title.icon = cpodIcon;
    this.title.closable = true;
    refreshed.connect(this._refresh, this);
  }

  dispose(): void {
    this._around.core.refreshed.disconnect(this._refresh, this);
    super.dispose();
  }

  /** What is to be as it is now after a reload. */
  get kept(): IKept {
    return this._kept;
  }

  get keptChanged(): ISignal<this, void> {
    return this._keptChanged;
  }

  /** Turn to a tab. */
  turn(tab: Tab): void {
    this._keep({ ...this._kept, tab });
  }

  protected render(): JSX.Element {
    const { address, _around: around } = this;
    const { server, stream, trans } = around.core;
    return (
      <Page
        address={address}
        kept={this._kept}
        onKept={kept => this._keep(kept)}
        round={this._round}
        subscribe={listener => stream.subscribe(address, listener)}
        yaml={() => server.yaml(address)}
        events={() => server.events(address)}
        plan={() => server.plan(address)}
        log={this._log}
        runs={this._runs}
        block={around.block(address)}
        buttons={around.buttons}
        run={id => around.run(id, address)}
        trans={trans}
      />
    );
  }

  private _keep(kept: IKept): void {
    this._kept = kept;
    this._keptChanged.emit();
    this.update();
  }

  private _refresh(): void {
    this._round += 1;
    this.update();
  }

  private readonly _log: ILogAsks = {
    window: (query, first, count) => this._around.core.server.logWindow(this.address, query, first, count),
    find: (query, row, back) => this._around.core.server.logFind(this.address, query, row, back),
    download: of => this._around.core.server.download(this.address, of)
  };
  private readonly _runs: IRunSource & IJobs = {
    subscribe: (address, listener) => this._around.core.stream.subscribe(address, listener),
    metrics: address => this._around.core.server.metrics(address),
    jobs: listener => this._around.core.stream.subscribeList({ ...this.address, kind: 'jobs' }, listener)
  };
  private _kept: IKept;
  private _keptChanged = new Signal<this, void>(this);
  private _round = 0;
}

export type PageTab = MainAreaWidget<ObjectPage>;
