import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, showDialog } from '@jupyterlab/apputils';
import { INotebookTracker, NotebookActions, NotebookPanel } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { IBlockActions } from './block/block';
import { BlockRenderer } from './block/renderer';
import { IAddress, MIME } from './block/state';
import { launcher } from './launcher/plugin';
import { deployments } from './pages/deployment/plugin';
import { Server } from './server';
import { Stream } from './stream';

/** Before HTML, which has 50 or so, and of which every output of ours has one too. */
const RANK = 10;

/** Draws what `%%cpod` cells show, with buttons, live also when no kernel follows any more. */
const block: JupyterFrontEndPlugin<void> = {
  id: 'cpod-jupyter:block',
  description: 'Draws the live block of a followed job.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [INotebookTracker, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    rendermime: IRenderMimeRegistry,
    tracker: INotebookTracker | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('cpod_jupyter');
    const server = new Server(app.serviceManager.serverSettings);
    const lost = trans.__('Jupyter does not answer; trying again');
    const stream = new Stream(() => server.socket(), lost);

    const confirmed = async ({ kind, name }: IAddress): Promise<boolean> => {
      const { button } = await showDialog({
        title: trans.__('Cancel %1 %2?', kind, name),
        body: trans.__(
          'Its pods are stopped. What it has saved so far is kept only where its kind can be suspended.'
        ),
        buttons: [
          Dialog.cancelButton({ label: trans.__('Let it run') }),
          Dialog.warnButton({ label: trans.__('Cancel it') })
        ]
      });
      return button.accept;
    };

    const actions = (node: HTMLElement, address: IAddress, fed: boolean): IBlockActions => {
      const panel = (): NotebookPanel | undefined => tracker?.find(each => each.node.contains(node));
      return {
        cancel: async () => {
          if (await confirmed(address)) {
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

export default [block, launcher, deployments];
