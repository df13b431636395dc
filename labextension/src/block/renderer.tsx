import { TranslationBundle } from '@jupyterlab/translation';
import { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import React from 'react';
import { createRoot, Root } from 'react-dom/client';

import { INews, Stream } from '../stream';
import { Block, IBlockActions } from './block';
import { IAddress, IBlockState, MIME, readState } from './state';

/** Milliseconds without word from the kernel after which the server is asked: the kernel gives one a second. */
export const PATIENCE = 2500;

/** What a renderer needs from the page around it. */
export interface ISurroundings {
  stream: Stream;
  trans: TranslationBundle;
  /** The buttons of a block that stands in `node`; `fed` says whether a cell that runs follows the object. */
  actions(node: HTMLElement, address: IAddress, fed: boolean): IBlockActions;
}

/**
 * Draws the output of a followed object, and keeps it up to date.
 *
 * While a cell follows the object its kernel sends each state, as an update of the output. When it no longer does,
 * since it was detached or restarted or the page was reloaded, the server extension is asked; what that finds at the
 * end becomes the output, so that the saved notebook has it.
 */
export class BlockRenderer extends Widget implements IRenderMime.IRenderer {
  constructor(private _around: ISurroundings) {
    super();
    this.addClass('cpodLab-output');
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const state = readState(model.data[MIME]);
    if (!state) {
      this.node.textContent = this._around.trans.__(
        'This output was made by another version of cpod-jupyter.'
      );
      return;
    }
    this._model = model;
    this._trouble = '';
    this._fed = this._state !== null; // the first may come from a saved notebook
    this._stop();
    this._show(state);
    if (!state.final) {
      this._timer = window.setTimeout(() => this._ask(state), PATIENCE);
    }
  }

  protected onBeforeDetach(message: Message): void {
    this._stop();
    this._root?.unmount();
    this._root = null;
    super.onBeforeDetach(message);
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this._state) {
      this._show(this._state);
      if (!this._state.final && !this._timer && !this._unsubscribe) {
        this._ask(this._state);
      }
    }
  }

  /** From here on the server tells how the object is. */
  private _ask(address: IAddress): void {
    this._timer = 0;
    this._fed = false;
    this._unsubscribe = this._around.stream.subscribe(address, news => this._heard(news));
    this._show(this._state!);
  }

  private _heard(news: INews): void {
    this._trouble = news.trouble;
    if (news.over) {
      this._stop();
    }
    if (news.bundle && this._model) {
      this._state = null; // what is kept now is drawn afresh by renderModel
      this._model.setData({ data: news.bundle as IRenderMime.IMimeModel['data'] });
    }
    const shown = news.state ?? this._state;
    if (shown) {
      this._show(shown);
    }
  }

  private _show(state: IBlockState): void {
    this._state = state;
    if (!this._root) {
      this._root = createRoot(this.node);
    }
    const { trans } = this._around;
    const actions = this._around.actions(this.node, state, this._fed && !state.final);
    this._root.render(<Block state={state} trouble={this._trouble} actions={actions} trans={trans} />);
  }

  private _stop(): void {
    window.clearTimeout(this._timer);
    this._timer = 0;
    this._unsubscribe?.();
    this._unsubscribe = null;
  }

  private _model: IRenderMime.IMimeModel | null = null;
  private _state: IBlockState | null = null;
  private _root: Root | null = null;
  private _unsubscribe: (() => void) | null = null;
  private _timer = 0;
  private _trouble = '';
  private _fed = false;
}
