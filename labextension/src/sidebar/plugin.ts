import { ILabShell, ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { ITranslator } from '@jupyterlab/translation';
import { MenuSvg } from '@jupyterlab/ui-components';

import { IRow } from '../rows';
import { addClusterCommands, EXAMINE, START, STOP } from '../cluster/commands';
import { Doctor } from '../cluster/doctor';
import { ICore } from '../core';
import { LAUNCH } from '../pages/actions';
import { asButtons, CommandIDs, possible } from '../pages/commands';
import { IListActions } from './list';
import { RowsModel } from './model';
import { actionsFor, SectionName, toldOf } from './rows';
import { endWords, Sidebar } from './sidebar';

const TOGGLE = 'cpod:toggle-sidebar';
/** After the file browser, the running kernels and the table of contents. */
const RANK = 450;
/** How many ended jobs are told one by one; of more, how many they are. */
const FEW = 3;

/** The sidebar with the lists of what there is. */
export const sidebar: JupyterFrontEndPlugin<void> = {
  id: 'cpod-jupyter:sidebar',
  description:
    'Lists jobs, deployments, models and datasets in the left sidebar, live, and shows the cluster.',
  autoStart: true,
  requires: [ICore],
  optional: [ICommandPalette, ILayoutRestorer, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    core: ICore,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ) => {
    const doctor = new Doctor(core.server);
    const run = (command: string) => () => void app.commands.execute(command);
    const cluster = { start: run(START), stop: run(STOP), examine: run(EXAMINE) };
    const panel = new Sidebar(core, doctor, model => actionsOf(app, model), cluster, translator ?? undefined);
    app.shell.add(panel, 'left', { rank: RANK });
    restorer?.add(panel, panel.id);
    addCommands(app, core, panel, palette);
    addClusterCommands(app, core, doctor, run('cpod:show-cluster'), palette);
    core.jobs.ended.connect((_, rows) => tellEnded(app, core, toldOf(rows, core.settings.current.notify)));
    void app.restored.then(() => {
      if (app.commands.hasCommand(LAUNCH)) {
        panel.addNew(kind => {
          void app.commands.execute(LAUNCH, { ...core.place.current, kind });
        });
      }
      core.jobs.open(); // for the count and the notifications, as long as the page is there
      return core.place.refresh();
    });
  }
};

function addCommands(
  app: JupyterFrontEnd,
  core: ICore,
  panel: Sidebar,
  palette: ICommandPalette | null
): void {
  const { commands } = app;
  const { trans } = core;
  const labels: [SectionName, string][] = [
    ['jobs', trans.__('Show jobs')],
    ['deployments', trans.__('Show deployments')],
    ['models', trans.__('Show models')],
    ['datasets', trans.__('Show datasets')],
    ['cluster', trans.__('Show the cluster')]
  ];
  const category = trans.__('cpod');
  for (const [group, label] of labels) {
    const command = `cpod:show-${group}`;
    commands.addCommand(command, {
      label,
      execute: () => {
        app.shell.activateById(panel.id);
        panel.reveal(group);
      }
    });
    palette?.addItem({ command, category });
  }
  commands.addCommand(TOGGLE, {
    label: args => (args.isPalette ? trans.__('Show or hide cpod') : trans.__('cpod')),
    isToggleable: true,
    isToggled: () => panel.isVisible,
    execute: () => {
      const { shell } = app;
      if (panel.isVisible && 'collapseLeft' in shell) {
        (shell as ILabShell).collapseLeft();
      } else {
        shell.activateById(panel.id);
      }
    }
  });
  palette?.addItem({ command: TOGGLE, category, args: { isPalette: true } });
}

/** What a list does with its rows: all of it by commands, so that the palette and other extensions can do it too. */
function actionsOf(app: JupyterFrontEnd, model: RowsModel): IListActions {
  const { commands } = app;
  const args = (row: IRow): Record<string, string> => ({ ...model.address(row) });
  return {
    of: row => asButtons(commands, actionsFor(row), args(row)),
    run: (id, row) => void commands.execute(CommandIDs[id], args(row)),
    menu: (row, x, y) => {
      const menu = new MenuSvg({ commands });
      for (const name of possible(commands, actionsFor(row))) {
        menu.addItem({ command: CommandIDs[name], args: args(row) });
      }
      menu.open(x, y);
    }
  };
}

/** Tell of jobs that have come to their end, and offer to show them. */
function tellEnded(app: JupyterFrontEnd, core: ICore, rows: IRow[]): void {
  const { trans } = core;
  if (rows.length > FEW) {
    const label = trans.__('Show jobs');
    const callback = (): void => void app.commands.execute('cpod:show-jobs');
    Notification.info(trans.__('%1 jobs have ended', rows.length), { actions: [{ label, callback }] });
    return;
  }
  for (const row of rows) {
    const args = { ...core.jobs.address(row) };
    const type = { good: 'success', bad: 'error', busy: 'info', wait: 'info' } as const;
    Notification.emit(endWords(row, core), type[row.tone], {
      autoClose: 10000,
      actions: [{ label: trans.__('Open'), callback: () => void app.commands.execute(CommandIDs.open, args) }]
    });
  }
}
