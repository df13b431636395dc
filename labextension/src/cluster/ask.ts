import { Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { sentence } from '../errors';
import { Server } from '../server';

/** How many are named that run; of more, how many they are. */
const NAMED = 10;

/** Whether the engine is to be stopped indeed, given what runs on it. */
export async function mayStop(server: Pick<Server, 'atWork'>, trans: TranslationBundle): Promise<boolean> {
  const { button } = await showDialog({
    title: trans.__('Stop the engine?'),
    body: await stopWords(server, trans),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Let it run') }),
      Dialog.warnButton({ label: trans.__('Stop it') })
    ]
  });
  return button.accept;
}

/** What runs on the engine, and what becomes of it when that stops. */
async function stopWords(server: Pick<Server, 'atWork'>, trans: TranslationBundle): Promise<string> {
  const until = trans.__(
    'Until the engine starts again, no list, log or form works, and nothing new begins.'
  );
  let works: string[];
  try {
    works = (await server.atWork()).map(({ kind, name, namespace }) => `${kind} ${name} (${namespace})`);
  } catch (error) {
    return [trans.__('What runs on it cannot be told: %1.', sentence(error)), until].join(' ');
  }
  if (works.length === 0) {
    return [trans.__('Nothing runs on it now.'), until].join(' ');
  }
  const left = works.length - NAMED;
  const named = works.slice(0, NAMED).join(', ');
  const all = left > 0 ? trans._n('%2 and %1 more', '%2 and %1 more', left, named) : named;
  return [
    trans.__('These run now: %1.', all),
    trans.__('Their pods go on, and the next start takes them up; until then none is restarted.'),
    until
  ].join(' ');
}
