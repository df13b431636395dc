import { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { IPlan } from './server';

/** How something will be run, or is: a choice in each row, and its reason beneath. */
export function PlanTable({
  plan,
  busy = false,
  trans
}: {
  plan: IPlan;
  busy?: boolean;
  trans: TranslationBundle;
}): JSX.Element {
  return (
    <table className="cpodForm-plan" aria-busy={busy}>
      <caption>{plan.title || trans.__('Plan')}</caption>
      <tbody>
        {plan.rows.map(([what, how, why], at) => (
          <tr key={at}>
            <th scope="row">{what}</th>
            <td>
              {how}
              {why && <div className="cpodLab-dim">{why}</div>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
