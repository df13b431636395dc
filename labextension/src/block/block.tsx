import { TranslationBundle } from '@jupyterlab/translation';
import React, { useState } from 'react';

import { sentence } from '../errors';
import { Log } from './log';
import { IBlockState, IPod, IProgress, Tone } from './state';

/** What the buttons do; what is null cannot be done here and has no button. */
export interface IBlockActions {
  cancel: (() => Promise<void>) | null;
  detach: (() => Promise<void>) | null;
  yaml: () => Promise<string>;
  download: () => Promise<void>;
  insert: ((text: string) => void) | null;
}

export interface IBlockProps {
  state: IBlockState;
  /** What keeps the block from being up to date; empty when it is. */
  trouble: string;
  actions: IBlockActions;
  trans: TranslationBundle;
}

/** One followed object: what it is, how far it has come, its curve, its log, its failure. */
export function Block({ state, trouble, actions, trans }: IBlockProps): JSX.Element {
  const title = `${state.kind}/${state.name}`;
  return (
    <section className={`cpodLab-block cpodLab-${state.tone}`} aria-label={title} data-phase={state.phase}>
      <Head state={state} trans={trans} />
      {state.progress && <Progress progress={state.progress} trans={trans} />}
      {state.numbers.length > 0 && <Words className="cpodLab-numbers cpodLab-dim" words={state.numbers} />}
      <Pods pods={state.pods} left={state.pods_left_out} trans={trans} />
      <Reason state={state} actions={actions} trans={trans} />
      {state.events.length > 0 && (
        <ul className="cpodLab-events cpodLab-dim">
          {state.events.map(event => (
            <li key={event}>{event}</li>
          ))}
        </ul>
      )}
      {state.curve && (
        <img
          className="cpodLab-curve"
          alt={state.curve_label}
          src={`data:image/svg+xml;charset=utf-8,${encodeURIComponent(state.curve)}`}
        />
      )}
      {trouble && <p className="cpodLab-trouble">{trouble}</p>}
      <Tools state={state} actions={actions} trans={trans} />
    </section>
  );
}

export function Pill({ word, tone }: { word: string; tone: Tone }): JSX.Element {
  return <span className={`cpodLab-pill cpodLab-${tone}`}>{word}</span>;
}

function Head({ state, trans }: { state: IBlockState; trans: TranslationBundle }): JSX.Element {
  return (
    <div className="cpodLab-head">
      <span className="cpodLab-dim">{state.kind}</span>
      <span className="cpodLab-name">{state.name}</span>
      <span role="status">
        <Pill word={state.phase} tone={state.tone} />
      </span>
      {!state.connected && <Pill word={trans.__('the server does not answer')} tone="wait" />}
      <span className="cpodLab-dim cpodLab-end">{state.elapsed}</span>
    </div>
  );
}

function Progress({ progress, trans }: { progress: IProgress; trans: TranslationBundle }): JSX.Element {
  if (progress.fraction === null) {
    return <Words className="cpodLab-numbers" words={[progress.words]} />;
  }
  const percent = Math.round(progress.fraction * 100);
  return (
    <>
      <div
        className="cpodLab-bar"
        role="progressbar"
        aria-label={trans.__('Progress')}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
      >
        <i style={{ width: `${progress.fraction * 100}%` }} />
      </div>
      <Words className="cpodLab-numbers" words={[`${percent}%`, progress.words]} />
    </>
  );
}

function Words({ words, className }: { words: string[]; className: string }): JSX.Element {
  return (
    <div className={className}>
      {words.map((word, index) => (
        <span key={index}>{word}</span>
      ))}
    </div>
  );
}

function Pods({
  pods,
  left,
  trans
}: {
  pods: IPod[];
  left: number;
  trans: TranslationBundle;
}): JSX.Element | null {
  if (pods.length === 0 || (pods.length === 1 && !pods[0].uses)) {
    return null; // the head says it
  }
  return (
    <ul className="cpodLab-pods" aria-label={trans.__('Pods by rank')}>
      {pods.map(pod => (
        <li key={pod.place} title={pod.node ? trans.__('on node %1', pod.node) : ''}>
          {pod.place} <Pill word={pod.phase} tone={pod.tone} />{' '}
          <span className="cpodLab-dim">{pod.uses}</span>
        </li>
      ))}
      {left > 0 && <li className="cpodLab-dim">{trans._n('and %1 more', 'and %1 more', left)}</li>}
    </ul>
  );
}

type IPartProps = Pick<IBlockProps, 'state' | 'actions' | 'trans'>;

function Reason({ state, actions, trans }: IPartProps): JSX.Element | null {
  if (!state.reason && !state.advice && state.evidence.length === 0) {
    return null;
  }
  return (
    <div className={state.failed ? 'cpodLab-why' : 'cpodLab-reason'}>
      {state.reason && <p className={state.failed ? 'cpodLab-cause' : ''}>{state.reason}</p>}
      {state.failed && state.evidence.length > 0 && <pre>{state.evidence.join('\n')}</pre>}
      {state.advice && <p className="cpodLab-dim">{trans.__('What to do: %1', state.advice)}</p>}
      {state.fix && (
        <details>
          <summary>{trans.__('A cell that mends it')}</summary>
          <pre className="cpodLab-fix">{state.fix}</pre>
        </details>
      )}
      {state.fix && actions.insert && (
        <button className="cpodLab-button" onClick={() => actions.insert!(state.fix)}>
          {trans.__('Insert the cell that mends it')}
        </button>
      )}
    </div>
  );
}

function Tools({ state, actions, trans }: IPartProps): JSX.Element {
  const [logShown, setLogShown] = useState(false);
  const [yaml, setYaml] = useState('');
  const [failure, setFailure] = useState('');
  const doing = (action: () => Promise<void>) => async (): Promise<void> => {
    setFailure('');
    try {
      await action();
    } catch (error) {
      setFailure(sentence(error));
    }
  };
  const showYaml = doing(async () => setYaml(yaml ? '' : await actions.yaml()));
  return (
    <>
      <div className="cpodLab-tools" role="toolbar" aria-label={trans.__('%1 %2', state.kind, state.name)}>
        <button className="cpodLab-button" aria-expanded={logShown} onClick={() => setLogShown(!logShown)}>
          {trans.__('Logs')}
        </button>
        <button className="cpodLab-button" aria-expanded={yaml !== ''} onClick={showYaml}>
          {trans.__('YAML')}
        </button>
        {actions.detach && (
          <button
            className="cpodLab-button"
            title={trans.__('The cell ends; the work goes on')}
            onClick={doing(actions.detach)}
          >
            {trans.__('Detach')}
          </button>
        )}
        {actions.cancel && state.can_cancel && (
          <button className="cpodLab-button cpodLab-danger" onClick={doing(actions.cancel)}>
            {trans.__('Cancel')}
          </button>
        )}
      </div>
      {failure && (
        <p className="cpodLab-trouble" role="alert">
          {failure}
        </p>
      )}
      {logShown && <Log lines={state.log} places={state.pods.map(pod => pod.place)} trans={trans} />}
      {logShown && (
        <button className="cpodLab-link" onClick={doing(actions.download)}>
          {trans.__('Download the whole log')}
        </button>
      )}
      {yaml && (
        <pre className="cpodLab-yaml" tabIndex={0} role="region" aria-label={trans.__('Manifest')}>
          {yaml}
        </pre>
      )}
    </>
  );
}
