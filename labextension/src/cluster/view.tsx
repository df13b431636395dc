import { TranslationBundle } from '@jupyterlab/translation';
import React, { useId } from 'react';

import { Tone } from '../block/state';
import { Asked } from '../pages/asked';
import { IContext, IFinding, INode } from '../server';
import { Status } from '../sidebar/listrow';
import { IPlace } from '../sidebar/place';
import { EngineDown, Working } from './down';

/** How the engine is: what `EngineModel` has. */
export interface IEngineState {
  running: boolean | null;
  url: string;
  doing: 'start' | 'stop' | null;
  said: string;
  failed: boolean;
  missed: boolean;
}

/** What was found out about a context: what `Doctor` has. */
export interface IExamination {
  context: string;
  findings: IFinding[] | null;
  busy: boolean;
  failure: string;
}

export interface IClusterProps {
  contexts: IContext[];
  current: IPlace | null;
  trouble: string;
  engine: IEngineState;
  doctor: IExamination;
  /** Asks for the GPUs again when it changes. */
  round: number;
  onContext: (name: string) => void;
  onStart: () => void;
  onStop: () => void;
  onExamine: () => void;
  gpus: (place: IPlace) => Promise<{ nodes: INode[] }>;
  trans: TranslationBundle;
}

/** Where cpod works, and how it is there: contexts, the engine, GPUs, and what an examination finds. */
export function Cluster(props: IClusterProps): JSX.Element {
  const { current, engine, trans } = props;
  return (
    <div className="cpodCluster">
      <Contexts {...props} />
      <Part title={trans.__('Engine')}>
        <Engine {...props} />
      </Part>
      <Part title={trans.__('GPUs')}>
        {engine.missed ? (
          <EngineDown doing={engine.doing} onStart={props.onStart} trans={trans} />
        ) : (
          current && (
            <Asked
              ask={() => props.gpus(current)}
              again={`${current.context} ${current.namespace} ${props.round}`}
              often
              trans={trans}
            >
              {({ nodes }) => <Gpus nodes={nodes} context={current.context} trans={trans} />}
            </Asked>
          )
        )}
      </Part>
      <Part title={trans.__('Doctor')}>
        <Examination {...props} />
      </Part>
    </div>
  );
}

function Part({ title, children }: { title: string; children: React.ReactNode }): JSX.Element {
  const id = useId();
  return (
    <section aria-labelledby={id}>
      <h3 id={id}>{title}</h3>
      {children}
    </section>
  );
}

/** The contexts, one of them chosen: the keys are those of radio buttons. */
function Contexts({ contexts, current, trouble, engine, onContext, trans }: IClusterProps): JSX.Element {
  const id = useId();
  return (
    <fieldset className="cpodCluster-contexts">
      <legend>{trans.__('Contexts')}</legend>
      {contexts.map(({ name, server, namespace }) => (
        <div key={name}>
          <label>
            <input
              type="radio"
              name={id}
              checked={name === current?.context}
              onChange={() => onContext(name)}
              aria-describedby={`${id}-${name}`}
            />
            <span className="cpodLab-name">{name}</span>
          </label>
          <span id={`${id}-${name}`} className="cpodLab-dim">
            {trans.__('%1, namespace %2', isEngine(name, engine) ? notRunning(trans) : server, namespace)}
          </span>
        </div>
      ))}
      {trouble && !engine.missed && (
        <p className="cpodLab-trouble" role="alert">
          {trouble}
        </p>
      )}
    </fieldset>
  );
}

/** Whether a context is the engine, which has no server while it does not run. */
function isEngine(name: string, { running }: IEngineState): boolean {
  return name === 'engine' && running === false;
}

function notRunning(trans: TranslationBundle): string {
  return trans.__('does not run');
}

/** Whether the engine runs, where, and its start and stop. */
function Engine({ engine, onStart, onStop, trans }: IClusterProps): JSX.Element {
  const { running, url, doing, said, failed } = engine;
  const works = doing === 'start' ? trans.__('The engine starts …') : trans.__('The engine stops …');
  return (
    <>
      <div className="cpodCluster-line" role="status">
        {doing ? <Working words={works} /> : <Running running={running} trans={trans} />}
        {!doing && url && <code>{url}</code>}
      </div>
      <div className="cpodCluster-line">
        <button
          type="button"
          className="cpodLab-button"
          disabled={doing !== null || running !== false}
          onClick={onStart}
        >
          {trans.__('Start')}
        </button>
        <button
          type="button"
          className="cpodLab-button"
          disabled={doing !== null || running !== true}
          onClick={onStop}
        >
          {trans.__('Stop …')}
        </button>
      </div>
      {said && (
        <p className={failed ? 'cpodLab-trouble' : 'cpodLab-dim'} role={failed ? 'alert' : 'status'}>
          {said}
        </p>
      )}
    </>
  );
}

function Running({ running, trans }: { running: boolean | null; trans: TranslationBundle }): JSX.Element {
  if (running === null) {
    return <span className="cpodLab-dim">{trans.__('not known yet')}</span>;
  }
  return running ? (
    <Status phase={trans.__('runs')} tone="good" />
  ) : (
    <Status phase={notRunning(trans)} tone="wait" />
  );
}

interface IGpusProps {
  nodes: INode[];
  context: string;
  trans: TranslationBundle;
}

/** The GPUs by node: how many are free, as a bar and in numbers. */
function Gpus({ nodes, context, trans }: IGpusProps): JSX.Element {
  if (nodes.length === 0) {
    return <p className="cpodLab-dim">{trans.__('No node of %1 has GPUs: all runs on CPUs.', context)}</p>;
  }
  return (
    <table className="cpodLab-table cpodCluster-gpus">
      <thead>
        <tr>
          <th scope="col">{trans.__('Node and type')}</th>
          <th scope="col">{trans.__('Free')}</th>
        </tr>
      </thead>
      <tbody>
        {nodes.map(({ node, type, free, total }) => (
          <tr key={`${node} ${type}`}>
            <th scope="row">
              {node} <span className="cpodLab-dim">{type}</span>
            </th>
            <td>
              {trans.__('%1 of %2', free, total)}
              <div className="cpodLab-bar cpodLab-good" aria-hidden="true">
                <i style={{ width: `${(100 * free) / Math.max(total, 1)}%` }} />
              </div>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** What needs a hand first. */
const LEVELS = ['problem', 'note', 'ok'];
const TONES: Record<string, Tone> = { ok: 'good', note: 'wait', problem: 'bad' };

/** A button that examines the context, and what was found. */
function Examination({ current, engine, doctor, onExamine, trans }: IClusterProps): JSX.Element {
  const mine = doctor.context === current?.context;
  const busy = mine && doctor.busy;
  return (
    <>
      <div className="cpodCluster-line">
        <button
          type="button"
          className="cpodLab-button"
          disabled={!current || busy || engine.missed}
          title={trans.__('Find out what is missing or wrong, and what to do')}
          onClick={onExamine}
        >
          {current ? trans.__('Examine %1', current.context) : trans.__('Examine')}
        </button>
        <span role="status">
          {busy && <Working words={trans.__('Examining …')} />}
          {mine && doctor.findings && counted(doctor.findings, trans)}
        </span>
      </div>
      {mine && doctor.failure && (
        <p className="cpodLab-trouble" role="alert">
          {doctor.failure}
        </p>
      )}
      {mine && doctor.findings && <Findings findings={doctor.findings} trans={trans} />}
    </>
  );
}

function Findings({ findings, trans }: { findings: IFinding[]; trans: TranslationBundle }): JSX.Element {
  const words: Record<string, string> = {
    ok: trans.__('good'),
    note: trans.__('note'),
    problem: trans.__('problem')
  };
  const sorted = LEVELS.flatMap(level => findings.filter(each => each.level === level));
  return (
    <ul className="cpodCluster-findings" aria-label={trans.__('Findings')}>
      {sorted.map(({ level, text, advice }) => (
        <li key={`${level} ${text}`} data-level={level}>
          <Status phase={words[level]} tone={TONES[level]} />
          <span>
            {text}
            {advice && <span className="cpodCluster-advice">{trans.__('What to do: %1', advice)}</span>}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** How it is, in one line. */
function counted(findings: IFinding[], trans: TranslationBundle): string {
  const count = (level: string): number => findings.filter(each => each.level === level).length;
  const [problems, notes] = [count('problem'), count('note')];
  return [
    problems ? trans._n('%1 problem', '%1 problems', problems) : trans.__('no problem'),
    notes ? trans._n('%1 note', '%1 notes', notes) : ''
  ]
    .filter(Boolean)
    .join(', ');
}
