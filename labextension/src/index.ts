import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker, NotebookActions, NotebookPanel } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';

import { mayCancel } from './ask';
import { IBlockActions } from './block/block';
import { BlockRenderer } from './block/renderer';
import { IAddress, MIME } from './block/state';
import { core, ICore } from './core';
import { launcher } from './launcher/plugin';
import { deployments } from './pages/deployment/plugin';
import { pages } from './pages/plugin';
import { sidebar } from './sidebar/plugin';

/** Before HTML, which has 50 or so, and of which every output of ours has one too. */
const RANK = 10;

/** Draws what `%%cpod` cells show, with buttons, live also when no kernel follows any more. */
const block: JupyterFrontEndPlugin<void> = {
  id: 'cpod-jupyter:block',
  description: 'Draws the live block of a followed job.',
  autoStart: true,
  requires: [ICore, IRenderMimeRegistry],
  optional: [INotebookTracker],
  activate: (
    _: JupyterFrontEnd,
    core: ICore,
    rendermime: IRenderMimeRegistry,
    tracker: INotebookTracker | null
  ) => {
    const { server, stream, trans } = core;
    const actions = (node: HTMLElement, address: IAddress, fed: boolean): IBlockActions => {
      const panel = (): NotebookPanel | undefined => tracker?.find(each => each.node.contains(node));
      return {
        cancel: async () => {
          if (await mayCancel(address, trans)) {
            await server.cancel(address);
          }
        },
        detach: fed ? async () => panel()?.sessionContext.session?.kernel?.interrupt() : null,
        yaml: () => server.yaml(address),
        download: () => server.download(address),
        insert: tracker ? text => insertBelow(panel(), node, text) : null
      };
    };

    rendermime.addFactory(
      { safe: true, mimeTypes: [MIME], createRenderer: () => new BlockRenderer({ stream, trans, actions }) },
      RANK
    );
  }
};

/** Put a cell with a text below the one whose output holds a node, and go there. */
function insertBelow(panel: NotebookPanel | undefined, node: HTMLElement, text: string): void {
  const notebook = panel?.content;
  const index = notebook?.widgets.findIndex(cell => cell.node.contains(node)) ?? -1;
  if (notebook && index >= 0) {
    notebook.activeCellIndex = index;
    NotebookActions.insertBelow(notebook);
    notebook.activeCell?.model.sharedModel.setSource(text);
  }
}

export default [core, block, pages, sidebar, launcher, deployments];
