import { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { PlanTable } from '../plantable';
import { IOpinion } from './checker';
import { IFault } from './spec';

export interface IOpinionProps {
  opinion: IOpinion;
  /** Whether anything has been filled in: an empty form is no fault. */
  touched: boolean;
  /** The faults that are shown at no field. */
  above: IFault[];
  /** What can be done about it: below the verdict, above its reasons, which may be long. */
  children: React.ReactNode;
  trans: TranslationBundle;
}

/** Whether what is in the form is right, could be run, and how it would be. */
export function Opinion({ opinion, touched, above, children, trans }: IOpinionProps): JSX.Element {
  const { faults, verdict, trouble, pending } = opinion;
  const plan = verdict?.plan;
  return (
    <section aria-label={trans.__('Verdict')}>
      <p role="status" className={`cpodForm-verdict cpodLab-${tone(opinion)}`}>
        {words(touched, opinion, trans)}
      </p>
      {children}
      {trouble && <p className="cpodForm-fault">{trouble}</p>}
      {above.length > 0 && (
        <ul className="cpodForm-list">
          {above.map(({ path, message }, at) => (
            <li key={at} className="cpodForm-fault">
              {path ? `${path}: ${message}` : message}
            </li>
          ))}
        </ul>
      )}
      {faults.length === 0 && verdict && verdict.findings.length > 0 && (
        <ul className="cpodForm-list" aria-label={trans.__('Findings')} aria-busy={pending}>
          {verdict.findings.map(({ level, about, text }, at) => (
            <li key={at} data-level={level}>
              <b>{level}</b> {about && `${about}: `}
              {text}
            </li>
          ))}
        </ul>
      )}
      {faults.length === 0 && plan && plan.rows.length > 0 && (
        <PlanTable plan={plan} busy={pending} trans={trans} />
      )}
    </section>
  );
}

function tone({ faults, verdict, trouble }: IOpinion): string {
  return faults.length || trouble ? 'bad' : verdict ? (verdict.ok ? 'good' : 'wait') : 'busy';
}

function words(touched: boolean, opinion: IOpinion, trans: TranslationBundle): string {
  const { faults, verdict, trouble, pending } = opinion;
  if (!touched) {
    return trans.__('Fields with a * are needed.');
  }
  if (faults.length) {
    return trans._n('%1 fault', '%1 faults', faults.length);
  }
  if (trouble) {
    return trans.__('It cannot be checked now');
  }
  if (pending || !verdict) {
    return trans.__('Checking …');
  }
  return verdict.ok ? trans.__('Ready to be submitted') : trans.__('It would not run as it is');
}
