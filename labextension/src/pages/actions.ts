import { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';

import { sentence } from '../errors';
import { mayCancel, mayDelete } from '../ask';
import { IAddress } from '../block/state';
import { ICore } from '../core';

import { ActionName, FORMS, groupOf } from '../sidebar/rows';
import type { Tab } from './kept';

/** Commands of other plugins of ours, which may be disabled: the form, and the page with the chat. */
export const LAUNCH = 'cpod:launch';
const CHAT = 'cpod:open-deployment';

type Commands = JupyterFrontEnd['commands'];

/** Where objects are shown. */
export interface IPages {
  open(address: IAddress, tab?: Tab): void;
  /** The object whose page is in front. */
  current(): IAddress | null;
  close(address: IAddress): void;
}

/** Something that can be done with an object. */
export interface IDeed {
  /** Beside the object. */
  short: string;
  /** Where it has to say what is meant: in the palette, for the page in front. */
  long: string;
  caption: string;
  run(address: IAddress): Promise<void>;
  /** Of which objects it can be done; of all without. */
  fits?(address: IAddress): boolean;
  /** The command without which it cannot be done. */
  needs?: string;
}

/** All that can be done with objects. */
export function deeds(commands: Commands, core: ICore, pages: IPages): Record<ActionName, IDeed> {
  return { ...looks(commands, core, pages), ...changes(core, pages) };
}

/** What changes nothing. */
function looks(
  commands: Commands,
  { server, trans }: ICore,
  pages: IPages
): Record<'open' | 'logs' | 'chat' | 'clone', IDeed> {
  return {
    open: {
      short: trans.__('Open'),
      long: trans.__('Open a job…'),
      caption: trans.__('Show it in a tab of its own'),
      run: async address => pages.open(address)
    },
    logs: {
      short: trans.__('Logs'),
      long: trans.__('Show the log'),
      caption: trans.__('Show its log'),
      run: async address => pages.open(address, 'log')
    },
    chat: {
      short: trans.__('Chat'),
      long: trans.__('Chat with the deployment'),
      caption: trans.__('Ask its model'),
      run: async address => void (await commands.execute(CHAT, { ...address })),
      fits: ({ kind }) => groupOf(kind) === 'deployments',
      needs: CHAT
    },
    clone: {
      short: trans.__('Clone into the form'),
      long: trans.__('Clone into the form'),
      caption: trans.__('Begin another one with what this one was asked for'),
      run: async address => {
        const { context, namespace } = address;
        try {
          await commands.execute(LAUNCH, { context, namespace, text: await server.yaml(address) });
        } catch (error) {
          Notification.error(sentence(error));
        }
      },
      fits: ({ kind }) => FORMS.includes(kind),
      needs: LAUNCH
    }
  };
}

/** What changes the cluster: asked first where something is lost. */
function changes(
  { server, trans }: ICore,
  pages: IPages
): Record<'cancel' | 'rerun' | 'deploy' | 'delete', IDeed> {
  const isJob = ({ kind }: IAddress): boolean => groupOf(kind) === 'jobs';
  return {
    cancel: {
      short: trans.__('Cancel'),
      long: trans.__('Cancel the job'),
      caption: trans.__('Stop the job'),
      run: async address => {
        if (await mayCancel(address, trans)) {
          const { name } = address;
          const words = [trans.__('Cancelling %1 …', name), trans.__('Cancelled %1', name)];
          await told(words, server.cancel(address));
        }
      },
      fits: isJob
    },
    rerun: {
      short: trans.__('Run again'),
      long: trans.__('Run the job again'),
      caption: trans.__('Submit the same again under another name'),
      run: async address => {
        const { name } = address;
        const words = [trans.__('Submitting %1 again …', name), trans.__('Submitted %1 again', name)];
        await told(words, server.rerun(address), pages.open);
      },
      fits: isJob
    },
    deploy: {
      short: trans.__('Deploy'),
      long: trans.__('Deploy the model'),
      caption: trans.__('Serve the model'),
      run: async address => {
        const { name } = address;
        const words = [trans.__('Deploying %1 …', name), trans.__('%1 is being deployed', name)];
        await told(words, server.deploy(address), pages.open);
      },
      fits: ({ kind }) => kind === 'model' || kind === 'finetune'
    },
    delete: {
      short: trans.__('Delete'),
      long: trans.__('Delete the object'),
      caption: trans.__('Delete it with all that was made for it'),
      run: async address => {
        if (await mayDelete(address, trans)) {
          const { name } = address;
          const words = [trans.__('Deleting %1 …', name), trans.__('Deleted %1', name)];
          await told(words, server.remove(address), () => pages.close(address));
        }
      }
    }
  };
}

/** Wait for something that takes a while, with word of it; then go on with what came of it. Never rejects. */
async function told<T>(
  [pending, success]: string[],
  work: Promise<T>,
  then?: (result: T) => void
): Promise<void> {
  const id = Notification.emit(pending, 'in-progress', { autoClose: false });
  try {
    const result = await work;
    Notification.update({ id, message: success, type: 'success', autoClose: 3000 });
    then?.(result);
  } catch (error) {
    Notification.update({ id, message: sentence(error), type: 'error', autoClose: false });
  }
}
