import { nullTranslator } from '@jupyterlab/translation';
import React, { act } from 'react';
import { createRoot, Root } from 'react-dom/client';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { mayStop } from '../src/cluster/ask';
import { Doctor } from '../src/cluster/doctor';
import { EngineModel } from '../src/cluster/engine';
import { Cluster, IClusterProps } from '../src/cluster/view';
import { IFinding } from '../src/server';
import { Place } from '../src/sidebar/place';

// JupyterLab's dialogs need JupyterLab around them: what one would show is kept here.
const shown = vi.hoisted(() => ({ accept: true, body: '' }));
vi.mock('@jupyterlab/apputils', () => ({
  Dialog: { cancelButton: (each: unknown) => each, warnButton: (each: unknown) => each },
  showDialog: async ({ body }: { body: string }) => {
    shown.body = body;
    return { button: { accept: shown.accept } };
  }
}));

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;

const trans = nullTranslator.load('');
const CONTEXTS = [
  { name: 'engine', server: '(not running)', namespace: 'default', current: true },
  { name: 'cluster', server: 'https://cluster', namespace: 'team', current: false }
];
const FINDINGS: IFinding[] = [
  { level: 'ok', text: 'server: Kubernetes v1.33', advice: '' },
  { level: 'note', text: 'GPUs: none', advice: '' },
  { level: 'problem', text: 'kinds: not installed', advice: 'cpod install' }
];

describe('The section about the cluster', () => {
  let node: HTMLElement;
  let root: Root;
  let props: IClusterProps;

  beforeEach(() => {
    node = document.body.appendChild(document.createElement('div'));
    root = createRoot(node);
    props = {
      contexts: CONTEXTS,
      current: { context: 'cluster', namespace: 'team' },
      trouble: '',
      engine: { running: false, url: '', doing: null, said: '', failed: false, missed: false },
      doctor: { context: '', findings: null, busy: false, failure: '' },
      round: 0,
      onContext: vi.fn(),
      onStart: vi.fn(),
      onStop: vi.fn(),
      onExamine: vi.fn(),
      gpus: vi.fn(async () => ({ nodes: [{ node: 'a', type: 'H100', total: 8, free: 2 }] })),
      trans
    };
    return async () => {
      await act(async () => root.unmount());
      node.remove();
    };
  });

  async function show(changes: Partial<IClusterProps> = {}): Promise<void> {
    props = { ...props, ...changes };
    await act(async () => root.render(<Cluster {...props} />));
  }
  const button = (label: string): HTMLButtonElement =>
    [...node.querySelectorAll('button')].find(each => each.textContent === label)!;
  /** A part by its title, as a screen reader finds it. */
  const part = (title: string): HTMLElement =>
    [...node.querySelectorAll<HTMLElement>('section')].find(
      each => document.getElementById(each.getAttribute('aria-labelledby')!)!.textContent === title
    )!;

  it('lists the contexts, of which one is chosen and each can be', async () => {
    await show();
    const radios = [...node.querySelectorAll<HTMLInputElement>('[type=radio]')];
    const about = (each: Element): string =>
      document.getElementById(each.getAttribute('aria-describedby')!)!.textContent!;
    expect(radios.map(each => [each.labels![0].textContent, about(each), each.checked])).toEqual([
      ['engine', 'does not run, namespace default', false],
      ['cluster', 'https://cluster, namespace team', true]
    ]);
    await act(async () => radios[0].click());
    expect(props.onContext).toHaveBeenCalledWith('engine');
  });

  it('starts the engine that does not run, and stops the one that does', async () => {
    await show();
    expect([button('Start').disabled, button('Stop …').disabled]).toEqual([false, true]);
    await act(async () => button('Start').click());
    expect(props.onStart).toHaveBeenCalledTimes(1);
    await show({ engine: { ...props.engine, doing: 'start' } });
    expect(part('Engine').querySelector('[role=status] progress')).not.toBeNull();
    expect([button('Start').disabled, button('Stop …').disabled]).toEqual([true, true]);
    const said = 'started the engine at https://here';
    await show({ engine: { ...props.engine, doing: null, running: true, url: 'https://here', said } });
    expect(part('Engine').textContent).toContain(`runshttps://here`);
    expect(part('Engine').textContent).toContain(said);
    expect([button('Start').disabled, button('Stop …').disabled]).toEqual([true, false]);
    await act(async () => button('Stop …').click());
    expect(props.onStop).toHaveBeenCalledTimes(1);
  });

  it('says as an alert why the engine could not be started', async () => {
    await show({ engine: { ...props.engine, said: 'the disk is full', failed: true } });
    expect(part('Engine').querySelector('[role=alert]')!.textContent).toBe('the disk is full');
  });

  it('shows the GPUs of each node in numbers and as a bar, and asks again when told to', async () => {
    await show();
    expect(props.gpus).toHaveBeenCalledWith({ context: 'cluster', namespace: 'team' });
    const row = part('GPUs').querySelector('tbody tr')!;
    expect(row.querySelector('th')!.textContent).toBe('a H100');
    expect(row.querySelector('td')!.textContent).toBe('2 of 8');
    expect(row.querySelector<HTMLElement>('i')!.style.width).toBe('25%');
    await show({ round: 1, gpus: vi.fn(async () => ({ nodes: [] })) });
    expect(part('GPUs').textContent).toContain('No node of cluster has GPUs');
  });

  it('offers to start the engine where one would see its GPUs', async () => {
    await show({ engine: { ...props.engine, missed: true }, trouble: 'nobody answers' });
    expect(props.gpus).not.toHaveBeenCalled();
    expect(node.querySelector('[role=alert]')).toBeNull();
    await act(async () => button('Start the engine').click());
    expect(props.onStart).toHaveBeenCalledTimes(1);
    expect(button('Examine cluster').disabled).toBe(true);
  });

  it('shows findings, the worst first, with their level as mark and word, and what to do', async () => {
    await show({ doctor: { ...props.doctor, context: 'cluster', busy: true } });
    expect(part('Doctor').querySelector('[role=status]')!.textContent).toBe('Examining …');
    await show({ doctor: { context: 'cluster', findings: FINDINGS, busy: false, failure: '' } });
    const lines = [...part('Doctor').querySelectorAll('li')];
    expect(lines.map(each => each.textContent)).toEqual([
      'problemkinds: not installedWhat to do: cpod install',
      'noteGPUs: none',
      'goodserver: Kubernetes v1.33'
    ]);
    expect(lines.map(each => each.querySelector('svg')!.dataset.tone)).toEqual(['bad', 'wait', 'good']);
    expect(part('Doctor').querySelector('[role=status]')!.textContent).toBe('1 problem, 1 note');
  });

  it('does not show what was found about another context', async () => {
    await show({ doctor: { context: 'engine', findings: FINDINGS, busy: false, failure: '' } });
    expect(part('Doctor').querySelectorAll('li')).toHaveLength(0);
  });
});

describe('EngineModel', () => {
  it('tells what goes on, what came of it, and how it is then', async () => {
    let running = false;
    const server = {
      contexts: async () => ({ contexts: CONTEXTS, engine: { running, url: running ? 'https://here' : '' } }),
      namespaces: async () => ['default'],
      engineUp: vi.fn(async () => {
        running = true;
        return { running, url: 'https://here', message: 'started the engine at https://here' };
      }),
      engineDown: vi.fn().mockRejectedValue(new Error('the engine does not end'))
    };
    const place = new Place(server, null, () => ({ context: '', namespace: '' }));
    const engine = new EngineModel(server, place);
    expect(engine.running).toBeNull();
    await place.refresh();
    expect([engine.running, engine.missed]).toEqual([false, true]);
    const seen: unknown[] = [];
    engine.changed.connect(() => seen.push(engine.doing));
    expect(await engine.start()).toBe('started the engine at https://here');
    expect([seen[0], seen.at(-1)]).toEqual(['start', null]);
    expect([engine.running, engine.missed, engine.url, engine.failed]).toEqual([
      true,
      false,
      'https://here',
      false
    ]);
    await expect(engine.stop()).rejects.toThrow('does not end');
    expect([engine.doing, engine.said, engine.failed, engine.running]).toEqual([
      null,
      'the engine does not end',
      true,
      true
    ]);
  });
});

describe('Doctor', () => {
  it('keeps to the context that was asked for last', async () => {
    const answers: Record<string, (findings: IFinding[]) => void> = {};
    const doctor = new Doctor({ doctor: context => new Promise(done => (answers[context] = done)) });
    const first = doctor.examine('engine');
    const second = doctor.examine('cluster');
    answers.cluster(FINDINGS);
    answers.engine([]);
    await Promise.all([first, second]);
    expect([doctor.context, doctor.findings, doctor.busy]).toEqual(['cluster', FINDINGS, false]);
  });

  it('tells why it could not examine', async () => {
    const doctor = new Doctor({ doctor: vi.fn().mockRejectedValue(new Error('nobody answers')) });
    await doctor.examine('cluster');
    expect([doctor.failure, doctor.findings, doctor.busy]).toEqual(['nobody answers', null, false]);
  });
});

describe('What is asked before the engine is stopped', () => {
  const works = (count: number): { atWork: () => Promise<any[]> } => ({
    atWork: async () =>
      Array.from({ length: count }, (_, at) => ({ kind: 'job', name: `j${at}`, namespace: 'default' }))
  });

  const asked = async (server: Parameters<typeof mayStop>[0]): Promise<string> => {
    await mayStop(server, trans);
    return shown.body;
  };

  it('names what runs, and says what becomes of it', async () => {
    expect(await asked(works(2))).toMatch(
      /^These run now: job j0 \(default\), job j1 \(default\)\. Their pods go on, .*Until the engine starts again/
    );
    expect(await asked(works(12))).toContain('job j9 (default) and 2 more.');
    expect(await asked(works(0))).toContain('Nothing runs on it now.');
  });

  it('does not keep one from stopping an engine that cannot be asked', async () => {
    const broken = { atWork: () => Promise.reject(new Error('nobody answers')) };
    expect(await asked(broken)).toContain('What runs on it cannot be told: nobody answers.');
  });

  it.each([true, false])('is taken for an answer: %s', async accept => {
    shown.accept = accept;
    expect(await mayStop(works(0), trans)).toBe(accept);
  });
});
