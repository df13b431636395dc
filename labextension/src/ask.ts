import { Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { IAddress } from './block/state';
import { groupOf } from './sidebar/rows';

/** Whether a job is to be cancelled indeed. */
export async function mayCancel({ kind, name }: IAddress, trans: TranslationBundle): Promise<boolean> {
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
}

/** Whether an object is to be deleted indeed. */
export async function mayDelete({ kind, name }: IAddress, trans: TranslationBundle): Promise<boolean> {
  const bodies = {
    jobs: trans.__('It is stopped if it still runs, and its pods and their logs go with it.'),
    deployments: trans.__('It stops to answer, and its pods and their logs go with it.'),
    models: trans.__('What the cluster stored for it is deleted with it.'),
    datasets: trans.__('What the cluster stored for it is deleted with it.')
  };
  const { button } = await showDialog({
    title: trans.__('Delete %1 %2?', kind, name),
    body: bodies[groupOf(kind)],
    buttons: [
      Dialog.cancelButton({ label: trans.__('Keep it') }),
      Dialog.warnButton({ label: trans.__('Delete it') })
    ]
  });
  return button.accept;
}
