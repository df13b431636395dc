import { JupyterFrontEnd } from '@jupyterlab/application';
import { ICommandPalette, InputDialog, Notification } from '@jupyterlab/apputils';
import { refreshIcon, runIcon, settingsIcon, stopIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';

import { ICore } from '../core';
import { sentence } from '../errors';
import { mayStop } from './ask';
import { Doctor } from './doctor';

export const START = 'cpod:start-engine';
export const STOP = 'cpod:stop-engine';
export const EXAMINE = 'cpod:examine';
/** JupyterLab's own editor of settings. */
const EDIT_SETTINGS = 'settingeditor:open';

/** The commands about where one works. `show` brings the section about it into view. */
export function addClusterCommands(
  { commands }: JupyterFrontEnd,
  core: ICore,
  doctor: Doctor,
  show: () => void,
  palette: ICommandPalette | null
): void {
  const { trans } = core;
  const all = { ...engineCommands(core), ...placeCommands(core) };
  all[EXAMINE] = {
    label: trans.__('Examine the cluster'),
    caption: trans.__('Find out what is missing or wrong with the chosen context, and what to do'),
    execute: async () => {
      show();
      const context = await chosen(core);
      if (context) {
        await doctor.examine(context);
      }
    }
  };
  all['cpod:refresh'] = {
    label: trans.__('Refresh all that cpod shows'),
    icon: refreshIcon,
    execute: () => core.refresh()
  };
  all['cpod:settings'] = {
    label: trans.__('Settings of cpod'),
    icon: settingsIcon,
    isVisible: () => commands.hasCommand(EDIT_SETTINGS),
    execute: () => commands.execute(EDIT_SETTINGS, { query: 'cpod' })
  };
  for (const [command, options] of Object.entries(all)) {
    commands.addCommand(command, options);
    palette?.addItem({ command, category: trans.__('cpod') });
  }
  core.engine.changed.connect(() => {
    commands.notifyCommandChanged(START);
    commands.notifyCommandChanged(STOP);
  });
}

type Commands = Record<string, CommandRegistry.ICommandOptions>;

/** Starting and stopping the engine, with word of it wherever one looks. */
function engineCommands({ engine, server, trans }: ICore): Commands {
  const told = (work: Promise<string>, pending: string): Promise<unknown> => {
    Notification.promise(work, {
      pending: { message: pending, options: { autoClose: false } },
      success: { message: said => String(said), options: { autoClose: 5000 } },
      error: { message: reason => sentence(reason), options: { autoClose: false } }
    });
    return work.catch(() => undefined); // it is told
  };
  return {
    [START]: {
      label: trans.__('Start the engine'),
      caption: trans.__('Start the engine on the machine where Jupyter runs'),
      icon: runIcon,
      isEnabled: () => engine.running !== true && !engine.doing,
      execute: () => told(engine.start(), trans.__('The engine starts …'))
    },
    [STOP]: {
      label: trans.__('Stop the engine…'),
      caption: trans.__('Stop the engine on the machine where Jupyter runs; its pods go on'),
      icon: stopIcon,
      isEnabled: () => engine.running !== false && !engine.doing,
      execute: async () => {
        if (await mayStop(server, trans)) {
          await told(engine.stop(), trans.__('The engine stops …'));
        }
      }
    }
  };
}

/** Choosing where one works, by keys. */
function placeCommands(core: ICore): Commands {
  const { place, trans } = core;
  return {
    'cpod:choose-context': {
      label: trans.__('Choose the context…'),
      caption: trans.__('Choose the cluster, or the engine, that cpod works in'),
      execute: async () => {
        await place.refresh();
        const name = await oneOf(
          trans.__('Context'),
          place.contexts.map(each => each.name),
          place.current?.context
        );
        if (name) {
          await place.chooseContext(name);
        }
      }
    },
    'cpod:choose-namespace': {
      label: trans.__('Choose the namespace…'),
      caption: trans.__('Choose the namespace that cpod works in'),
      execute: async () => {
        await place.refresh();
        const name = await oneOf(trans.__('Namespace'), place.namespaces, place.current?.namespace);
        if (name) {
          place.chooseNamespace(name);
        }
      }
    }
  };
}

async function oneOf(title: string, items: string[], current: string | undefined): Promise<string | null> {
  return (await InputDialog.getItem({ title, items, current: items.indexOf(current ?? '') })).value;
}

/** The context in which one works; empty when that cannot be known. */
async function chosen({ place }: ICore): Promise<string> {
  if (!place.current) {
    await place.refresh();
  }
  return place.current?.context ?? '';
}
