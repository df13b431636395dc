import { JupyterFrontEnd } from '@jupyterlab/application';
import { InputDialog, Notification } from '@jupyterlab/apputils';
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

import { mayCancel, mayDelete } from '../ask';
import { IAddress } from '../block/state';
import { ICore } from '../core';
import { rowKey } from '../rows';
import type { IAction } from '../sidebar/list';
import { sentence } from '../sidebar/place';
import { ActionName, FORMS, groupOf } from '../sidebar/rows';
import type { Tab } from './view';

export const CommandIDs: Record<ActionName, string> = {
  open: 'cpod:open',
  logs: 'cpod:logs',
  cancel: 'cpod:cancel',
  chat: 'cpod:chat',
  rerun: 'cpod:rerun',
  clone: 'cpod:clone',
  deploy: 'cpod:deploy',
  delete: 'cpod:delete'
};

const ICONS: Record<ActionName, LabIcon> = {
  open: launchIcon,
  logs: textEditorIcon,
  cancel: stopIcon,
  chat: consoleIcon,
  rerun: refreshIcon,
  clone: copyIcon,
  deploy: linkIcon,
  delete: deleteIcon
};

/** Commands of other plugins of ours, which may be disabled: the form, and the page with the chat. */
export const LAUNCH = 'cpod:launch';
const CHAT = 'cpod:open-deployment';

/** Milliseconds to wait for a list that one is to choose from. */
const PATIENCE = 10000;

type Commands = JupyterFrontEnd['commands'];

/** Where objects are shown. */
export interface IPages {
  open(address: IAddress, tab?: Tab): void;
  /** The object whose page is in front. */
  current(): IAddress | null;
  close(address: IAddress): void;
}

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

/** The commands about one object: that of the arguments, else that of the page in front. */
export function registerCommands(app: JupyterFrontEnd, core: ICore, pages: IPages): void {
  const { server, trans } = core;
  const of = (args: object): IAddress | null => addressIn(args) ?? pages.current();
  const add = (
    name: ActionName,
    words: { short: string; long: string; caption: string },
    execute: (address: IAddress) => Promise<void>,
    fits: (address: IAddress) => boolean = () => true,
    needs = ''
  ): void => {
    app.commands.addCommand(CommandIDs[name], {
      label: args => (addressIn(args) ? words.short : words.long),
      caption: words.caption,
      icon: args => (addressIn(args) ? ICONS[name] : undefined),
      isVisible: () => needs === '' || app.commands.hasCommand(needs),
      isEnabled: args => {
        const address = of(args);
        return address ? fits(address) : name === 'open';
      },
      execute: async args => {
        const address = name === 'open' ? (addressIn(args) ?? (await picked(core))) : of(args);
        if (address) {
          await execute(address);
        }
      }
    });
  };
  // What the palette can do depends on the page in front.
  app.shell.currentChanged?.connect(() => {
    for (const id of Object.values(CommandIDs)) {
      app.commands.notifyCommandChanged(id);
    }
  });
  /** Do something that takes a while, with word of it; then go where it leads. */
  const doing = (words: { pending: string; success: string }, action: Promise<IAddress | void>): void => {
    Notification.promise(action as Promise<any>, {
      pending: { message: words.pending },
      success: { message: () => words.success, options: { autoClose: 3000 } },
      error: { message: error => sentence(error) }
    });
    action.then(
      led => led && pages.open(led),
      () => undefined // the notification says it
    );
  };

  add(
    'open',
    {
      short: trans.__('Open'),
      long: trans.__('Open a job…'),
      caption: trans.__('Show it in a tab of its own')
    },
    async address => pages.open(address)
  );
  add(
    'logs',
    { short: trans.__('Logs'), long: trans.__('Show the log'), caption: trans.__('Show its log') },
    async address => pages.open(address, 'log')
  );
  add(
    'cancel',
    { short: trans.__('Cancel'), long: trans.__('Cancel the job'), caption: trans.__('Stop the job') },
    async address => {
      if (await mayCancel(address, trans)) {
        const { name } = address;
        doing(
          { pending: trans.__('Cancelling %1 …', name), success: trans.__('Cancelled %1', name) },
          server.cancel(address)
        );
      }
    },
    address => groupOf(address.kind) === 'jobs'
  );
  add(
    'rerun',
    {
      short: trans.__('Run again'),
      long: trans.__('Run the job again'),
      caption: trans.__('Submit the same again under another name')
    },
    async address => {
      const { name } = address;
      doing(
        { pending: trans.__('Submitting %1 again …', name), success: trans.__('Submitted %1 again', name) },
        server.rerun(address)
      );
    },
    address => groupOf(address.kind) === 'jobs'
  );
  add(
    'clone',
    {
      short: trans.__('Clone into the form'),
      long: trans.__('Clone into the form'),
      caption: trans.__('Begin another one with what this one was asked for')
    },
    async address => {
      try {
        const { context, namespace } = address;
        await app.commands.execute(LAUNCH, { context, namespace, text: await server.yaml(address) });
      } catch (error) {
        Notification.error(sentence(error));
      }
    },
    ({ kind }) => FORMS.includes(kind),
    LAUNCH
  );
  add(
    'chat',
    {
      short: trans.__('Chat'),
      long: trans.__('Chat with the deployment'),
      caption: trans.__('Ask the model')
    },
    async address => void (await app.commands.execute(CHAT, { ...address })),
    address => groupOf(address.kind) === 'deployments',
    CHAT
  );
  add(
    'deploy',
    {
      short: trans.__('Deploy'),
      long: trans.__('Deploy the model'),
      caption: trans.__('Serve the model')
    },
    async address => {
      const { name } = address;
      doing(
        { pending: trans.__('Deploying %1 …', name), success: trans.__('%1 is being deployed', name) },
        server.deploy(address)
      );
    },
    address => groupOf(address.kind) === 'models' || address.kind === 'finetune'
  );
  add(
    'delete',
    { short: trans.__('Delete'), long: trans.__('Delete the object'), caption: trans.__('Delete it') },
    async address => {
      if (await mayDelete(address, trans)) {
        const { name } = address;
        const removed = server.remove(address).then(() => pages.close(address));
        doing({ pending: trans.__('Deleting %1 …', name), success: trans.__('Deleted %1', name) }, removed);
      }
    }
  );
}

/** The address that a command's arguments are. */
function addressIn(args: object): IAddress | null {
  const { context, namespace, kind, name } = args as Partial<Record<string, unknown>>;
  const whole = [context, namespace, kind, name].every(each => typeof each === 'string' && each !== '');
  return whole ? ({ context, namespace, kind, name } as IAddress) : null;
}

/** One of the jobs, chosen by name. */
async function picked(core: ICore): Promise<IAddress | null> {
  const { jobs, place, trans } = core;
  const close = jobs.open();
  try {
    if (!place.current) {
      await place.refresh();
    }
    await known(core);
    const rows = jobs.rows ?? [];
    if (rows.length === 0) {
      Notification.info(jobs.trouble || place.trouble || trans.__('There are no jobs here yet.'));
      return null;
    }
    const { value } = await InputDialog.getItem({
      title: trans.__('Open a job'),
      label: trans.__('In namespace %1 of %2', place.current!.namespace, place.current!.context),
      items: rows.map(rowKey),
      editable: true
    });
    const row = rows.find(each => rowKey(each) === value);
    return row ? jobs.address(row) : null;
  } finally {
    close();
  }
}

/** Waits until the list of jobs is known, or is in trouble, or enough time has gone by. */
function known({ jobs }: ICore): Promise<void> {
  return new Promise(resolve => {
    const look = (): void => {
      if (jobs.rows || jobs.trouble) {
        done();
      }
    };
    const done = (): void => {
      jobs.changed.disconnect(look);
      window.clearTimeout(timer);
      resolve();
    };
    const timer = window.setTimeout(done, PATIENCE);
    jobs.changed.connect(look);
    look();
  });
}
