import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { INotebookTracker, NotebookActions } from '@jupyterlab/notebook';
import { ReadonlyJSONObject } from '@lumino/coreutils';

import { mayCancel } from '../ask';
import { IBlockActions } from '../block/block';
import { IAddress, keyOf } from '../block/state';
import { ICore } from '../core';
import { actionsFor } from '../sidebar/rows';
import { asButtons, CommandIDs, registerCommands } from './commands';
import { IKept } from './kept';
import { IPageSurroundings, ObjectPage, PageTab } from './page';

/** Makes a page that was there before a reload; for nobody's menu. */
const RESTORE = 'cpod:restore';

/** Objects in tabs of their own, and the commands about objects. */
export const pages: JupyterFrontEndPlugin<void> = {
  id: 'cpod-jupyter:pages',
  description: 'Opens jobs, deployments, models and datasets in tabs, and acts on them.',
  autoStart: true,
  requires: [ICore],
  optional: [ICommandPalette, ILayoutRestorer, INotebookTracker],
  activate: (
    app: JupyterFrontEnd,
    core: ICore,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    notebooks: INotebookTracker | null
  ) => {
    const tracker = new WidgetTracker<PageTab>({ namespace: 'cpod-page' });
    const around: IPageSurroundings = {
      core,
      block: address => blockActions(core, notebooks, address),
      // A page is open already, and has a tab for its log.
      buttons: state =>
        asButtons(
          app.commands,
          actionsFor(state).filter(name => name !== 'open' && name !== 'logs'),
          { ...addressOf(state) }
        ),
      run: (id, address) => void app.commands.execute(CommandIDs[id], { ...address })
    };
    const opened = (address: IAddress, kept: unknown = null): PageTab => {
      const known = tracker.find(each => keyOf(each.content.address) === keyOf(address));
      if (known) {
        return known;
      }
      const made = new MainAreaWidget({ content: new ObjectPage(address, around, kept) });
      made.id = `cpod-page-${keyOf(address)}`;
      made.content.keptChanged.connect(() => void tracker.save(made));
      void tracker.add(made);
      app.shell.add(made, 'main');
      return made;
    };
    registerCommands(app, core, {
      open: (address, tab) => {
        const page = opened(address);
        if (tab) {
          page.content.turn(tab);
        }
        app.shell.activateById(page.id);
      },
      current: () => {
        const current = app.shell.currentWidget;
        return current && tracker.has(current) ? (current as PageTab).content.address : null;
      },
      close: address => tracker.find(each => keyOf(each.content.address) === keyOf(address))?.close()
    });
    for (const command of Object.values(CommandIDs)) {
      palette?.addItem({ command, category: core.trans.__('cpod') });
    }
    app.commands.addCommand(RESTORE, {
      label: core.trans.__('Show a page of cpod again'),
      // A layout that an earlier version kept is the address alone.
      execute: args => void opened((args.address ?? args) as unknown as IAddress, args.kept)
    });
    void restorer?.restore(tracker, {
      command: RESTORE,
      args: ({ content }) => ({ address: { ...content.address }, kept: asJSON(content.kept) }),
      name: page => keyOf(page.content.address)
    });
  }
};

/** The same as plain JSON, which a layout is kept as. */
function asJSON(kept: IKept): ReadonlyJSONObject {
  return JSON.parse(JSON.stringify(kept));
}

function addressOf({ context, namespace, kind, name }: IAddress): IAddress {
  return { context, namespace, kind, name };
}

/** The buttons of a block that stands in a page of its own: no cell follows, and the notebook is the last one used. */
function blockActions(core: ICore, notebooks: INotebookTracker | null, address: IAddress): IBlockActions {
  const { server, trans } = core;
  return {
    cancel: async () => {
      if (await mayCancel(address, trans)) {
        await server.cancel(address);
      }
    },
    detach: null,
    yaml: () => server.yaml(address),
    download: () => server.download(address),
    insert: notebooks?.currentWidget ? text => insert(notebooks, text) : null
  };
}

/** Put a cell with a text below the active one of the notebook that was used last. */
function insert(notebooks: INotebookTracker, text: string): void {
  const notebook = notebooks.currentWidget?.content;
  if (notebook) {
    NotebookActions.insertBelow(notebook);
    notebook.activeCell?.model.sharedModel.setSource(text);
  }
}
