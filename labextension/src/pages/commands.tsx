import { JupyterFrontEnd } from '@jupyterlab/application';
import {
  consoleIcon,
  copyIcon,
  deleteIcon,
  LabIcon,
  launchIcon,
  linkIcon,
  refreshIcon,
  stopIcon,
  textEditorIcon
} from '@jupyterlab/ui-components';
import React from 'react';

import { IAddress } from '../block/state';
import { ICore } from '../core';
import type { IAction } from '../sidebar/list';
import { ActionName } from '../sidebar/rows';
import { deeds, IDeed, IPages } from './actions';
import { pickJob } from './pick';

export const CommandIDs: Record<ActionName, string> = {
  open: 'cpod:open',
  logs: 'cpod:logs',
  chat: 'cpod:chat',
  cancel: 'cpod:cancel',
  rerun: 'cpod:rerun',
  clone: 'cpod:clone',
  deploy: 'cpod:deploy',
  delete: 'cpod:delete'
};

const ICONS: Record<ActionName, LabIcon> = {
  open: launchIcon,
  logs: textEditorIcon,
  chat: consoleIcon,
  cancel: stopIcon,
  rerun: refreshIcon,
  clone: copyIcon,
  deploy: linkIcon,
  delete: deleteIcon
};

type Commands = JupyterFrontEnd['commands'];

/** The actions that can be done in this JupyterLab. */
export function possible(commands: Commands, names: ActionName[]): ActionName[] {
  return names.filter(name => commands.isVisible(CommandIDs[name]));
}

/** Actions as buttons, with the labels that their commands have for these arguments. */
export function asButtons(commands: Commands, names: ActionName[], args: Record<string, string>): IAction[] {
  return possible(commands, names).map(name => {
    const Icon = ICONS[name].react;
    return {
      id: name,
      label: commands.label(CommandIDs[name], args),
      icon: <Icon tag="span" className="cpodLab-icon" />
    };
  });
}

/** The commands about one object: that of the arguments, else that of the page in front; `open` asks for one. */
export function registerCommands(app: JupyterFrontEnd, core: ICore, pages: IPages): void {
  const { commands, shell } = app;
  const all = Object.entries(deeds(commands, core, pages)) as [ActionName, IDeed][];
  for (const [name, deed] of all) {
    commands.addCommand(CommandIDs[name], {
      label: args => (addressIn(args) ? deed.short : deed.long),
      caption: deed.caption,
      icon: args => (addressIn(args) ? ICONS[name] : undefined),
      isVisible: () => !deed.needs || commands.hasCommand(deed.needs),
      isEnabled: args => {
        const address = addressIn(args) ?? pages.current();
        return address ? (deed.fits?.(address) ?? true) : name === 'open';
      },
      execute: async args => {
        const address = addressIn(args) ?? (name === 'open' ? await pickJob(core) : pages.current());
        if (address) {
          await deed.run(address);
        }
      }
    });
  }
  // What the palette can do depends on the page in front.
  shell.currentChanged?.connect(() => {
    for (const [name] of all) {
      commands.notifyCommandChanged(CommandIDs[name]);
    }
  });
}

/** The address that a command's arguments are. */
function addressIn(args: object): IAddress | null {
  const { context, namespace, kind, name } = args as Partial<Record<string, unknown>>;
  const whole = [context, namespace, kind, name].every(each => typeof each === 'string' && each !== '');
  return whole ? ({ context, namespace, kind, name } as IAddress) : null;
}
