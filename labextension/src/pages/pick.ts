import { InputDialog, Notification } from '@jupyterlab/apputils';

import { IAddress } from '../block/state';
import { ICore } from '../core';
import { rowKey } from '../rows';

/** Milliseconds to wait for a list that one is to choose from. */
const PATIENCE = 10000;

/** One of the jobs, chosen by name; null for none. */
export async function pickJob(core: ICore): Promise<IAddress | null> {
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
