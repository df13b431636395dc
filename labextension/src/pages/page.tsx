import { MainAreaWidget } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import React from 'react';

import { IBlockActions } from '../block/block';
import { IAddress, IBlockState } from '../block/state';
import { ICore } from '../core';
import { cpodIcon } from '../icons';
import type { IAction } from '../sidebar/list';
import { ActionName } from '../sidebar/rows';
import { Page, Tab } from './view';

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
    private _around: IPageSurroundings
  ) {
    super();
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

  /** Turn to a tab. */
  turn(tab: Tab): void {
    this._tab = tab;
    this.update();
  }

  protected render(): JSX.Element {
    const { address, _around: around } = this;
    const { server, stream, trans } = around.core;
    return (
      <Page
        address={address}
        tab={this._tab}
        onTab={tab => this.turn(tab)}
        round={this._round}
        subscribe={listener => stream.subscribe(address, listener)}
        yaml={() => server.yaml(address)}
        events={() => server.events(address)}
        download={() => server.download(address)}
        block={around.block(address)}
        buttons={around.buttons}
        run={id => around.run(id, address)}
        trans={trans}
      />
    );
  }

  private _refresh(): void {
    this._round += 1;
    this.update();
  }

  private _tab: Tab = 'overview';
  private _round = 0;
}

export type PageTab = MainAreaWidget<ObjectPage>;
