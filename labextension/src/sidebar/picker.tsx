import { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { IContext } from '../server';
import { IPlace } from './place';

export interface IPickerProps {
  current: IPlace | null;
  contexts: IContext[];
  namespaces: string[];
  trouble: string;
  onContext: (name: string) => void;
  onNamespace: (name: string) => void;
  onRefresh: () => void;
  trans: TranslationBundle;
}

/** Where the sidebar looks: a context and a namespace of it. */
export function Picker(props: IPickerProps): JSX.Element {
  const { current, contexts, namespaces, trouble, trans } = props;
  return (
    <section className="cpodLab-picker" aria-label={trans.__('Where cpod works')}>
      <label>
        <span>{trans.__('Context')}</span>
        <select
          value={current?.context ?? ''}
          disabled={contexts.length === 0}
          title={contexts.find(each => each.name === current?.context)?.server}
          onChange={event => props.onContext(event.target.value)}
        >
          {contexts.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <label>
        <span>{trans.__('Namespace')}</span>
        <select
          value={current?.namespace ?? ''}
          disabled={!current}
          onChange={event => props.onNamespace(event.target.value)}
        >
          {namespaces.map(name => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      {trouble && (
        <div className="cpodLab-trouble" role="alert">
          {trouble}{' '}
          <button className="cpodLab-button" onClick={props.onRefresh}>
            {trans.__('Try again')}
          </button>
        </div>
      )}
    </section>
  );
}
