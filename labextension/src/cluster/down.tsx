import { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

export interface IEngineDownProps {
  /** What is being done to the engine now. */
  doing: 'start' | 'stop' | null;
  onStart: () => void;
  trans: TranslationBundle;
}

/** Why a list of the engine is not up to date while that does not run, and the way out. */
export function EngineDown({ doing, onStart, trans }: IEngineDownProps): JSX.Element {
  return (
    <div className="cpodCluster-down" role="status">
      {doing === 'start' ? (
        <Working words={trans.__('The engine starts …')} />
      ) : (
        <>
          <span>{trans.__('The engine does not run. Its start brings back all that was there.')}</span>
          <button type="button" className="cpodLab-button" disabled={doing !== null} onClick={onStart}>
            {trans.__('Start the engine')}
          </button>
        </>
      )}
    </div>
  );
}

/** Something that goes on for a while nobody can tell. */
export function Working({ words }: { words: string }): JSX.Element {
  return (
    <span className="cpodCluster-working">
      <progress aria-label={words} />
      {words}
    </span>
  );
}
