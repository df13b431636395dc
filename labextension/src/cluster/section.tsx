import { PanelWithToolbar, refreshIcon, ToolbarButton } from '@jupyterlab/ui-components';
import { Poll } from '@lumino/polling';
import React from 'react';

import { ICore } from '../core';
import { SeenWidget } from '../seen';
import { Doctor } from './doctor';
import { Cluster } from './view';

/** Milliseconds between two looks at what nobody tells of: the contexts, and the engine of another context. */
const OFTEN = 10000;

/** What the section does by commands. */
export interface IClusterActions {
  start(): void;
  stop(): void;
  examine(): void;
}

/** The section of the sidebar about where one works. */
export class ClusterSection extends PanelWithToolbar {
  constructor(core: ICore, doctor: Doctor, actions: IClusterActions) {
    super();
    const { trans } = core;
    this.addClass('cpodLab-section');
    this.title.label = trans.__('Cluster');
    this._body = new ClusterWidget(core, doctor, actions);
    this.addWidget(this._body);
    this.toolbar.addItem(
      'refresh',
      new ToolbarButton({
        icon: refreshIcon,
        tooltip: trans.__('Refresh %1', trans.__('Cluster')),
        onClick: () => core.refresh()
      })
    );
  }

  /** Go there with the keys; the next Tab is at the contexts. */
  protected onActivateRequest(): void {
    this._body.node.focus();
  }

  private _body: ClusterWidget;
}

/** Asks while it can be seen. */
class ClusterWidget extends SeenWidget {
  constructor(
    private _core: ICore,
    private _doctor: Doctor,
    private _actions: IClusterActions
  ) {
    super();
    const { engine, place, refreshed } = _core;
    this.addClass('cpodCluster-widget');
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _core.trans.__('Cluster'));
    engine.changed.connect(this.update, this);
    _doctor.changed.connect(this.update, this);
    refreshed.connect(() => {
      this._round += 1;
      this.update();
    });
    this._poll = new Poll({
      name: 'cpod-jupyter:cluster',
      auto: false,
      frequency: { interval: OFTEN, backoff: true, max: 60000 },
      standby: 'when-hidden',
      factory: () => place.refresh()
    });
  }

  dispose(): void {
    this._poll.dispose();
    super.dispose();
  }

  protected render(): JSX.Element {
    const { engine, place, server, trans } = this._core;
    if (!this.seen) {
      return <></>;
    }
    return (
      <Cluster
        contexts={place.contexts}
        current={place.current}
        trouble={place.trouble}
        engine={engine}
        doctor={this._doctor}
        round={this._round}
        onContext={name => void place.chooseContext(name)}
        onStart={() => this._actions.start()}
        onStop={() => this._actions.stop()}
        onExamine={() => this._actions.examine()}
        gpus={({ context, namespace }) => server.gpus(context, namespace)}
        trans={trans}
      />
    );
  }

  protected onSeen(seen: boolean): void {
    void (seen ? this._poll.start() : this._poll.stop());
  }

  private _round = 0;
  private _poll: Poll;
}
