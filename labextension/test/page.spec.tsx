import { nullTranslator } from '@jupyterlab/translation';
import React, { act } from 'react';
import { createRoot, Root } from 'react-dom/client';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { OFTEN } from '../src/pages/asked';
import { IKept, PLAIN_VIEW } from '../src/pages/kept';
import { IPageProps, Page } from '../src/pages/view';
import { actionsFor } from '../src/sidebar/rows';
import { INews } from '../src/stream';
import { running } from './states';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;

const trans = nullTranslator.load('');
let node: HTMLElement;
let root: Root;
let says: ((news: INews) => void) | null;
let props: IPageProps;

beforeEach(() => {
  vi.useFakeTimers();
  node = document.body.appendChild(document.createElement('div'));
  root = createRoot(node);
  says = null;
  props = {
    address: { context: 'engine', namespace: 'default', kind: 'pytorchjob', name: 'facts' },
    kept: { tab: 'overview', metrics: PLAIN_VIEW },
    onKept: kept => void keep(kept),
    round: 0,
    subscribe: vi.fn(listener => {
      says = listener;
      return () => void (says = null);
    }),
    yaml: vi.fn(async () => 'kind: PyTorchJob'),
    events: vi.fn(async () => [
      { time: '2026-01-01 00:00:00', type: 'Warning', text: 'FailedScheduling: <b>no</b> GPU is free' }
    ]),
    plan: vi.fn(async () => ({ title: '', rows: [] })),
    log: {
      window: async () => ({
        first: 0,
        rows: [[0, 'master-0', 'goes on']],
        count: 1,
        places: ['master-0'],
        whole: false,
        note: '',
        found: null
      }),
      find: async () => ({ row: null, at: 0, count: 0, more: false }),
      download: async () => undefined
    },
    runs: {
      subscribe: () => () => undefined,
      metrics: async () => ({ steps: [], series: {}, over: false }),
      jobs: () => () => undefined
    },
    block: {
      cancel: null,
      detach: null,
      yaml: async () => '',
      download: async () => undefined,
      insert: null
    },
    buttons: state => actionsFor(state).map(id => ({ id, label: id, icon: <i /> })),
    run: vi.fn(),
    trans
  };
  return async () => {
    await act(async () => root.unmount());
    node.remove();
    vi.useRealTimers();
  };
});

const render = async (): Promise<void> => act(async () => root.render(<Page {...props} />));
async function keep(kept: IKept): Promise<void> {
  props = { ...props, kept };
  await render();
}
const told = async (news: Partial<INews>): Promise<void> =>
  act(async () => says!({ state: null, bundle: null, trouble: '', over: false, ...news }));
const panel = (): HTMLElement => node.querySelector('[role=tabpanel]')!;
const tab = (name: string): HTMLButtonElement =>
  [...node.querySelectorAll<HTMLButtonElement>('[role=tab]')].find(each => each.textContent === name)!;
const press = async (name: string): Promise<void> => act(async () => tab(name).click());

describe('Page', () => {
  it('shows how the object is, live, with the buttons for how it is now', async () => {
    await render();
    expect(panel().textContent).toContain('Asking');
    await told({ state: running() });
    expect(panel().querySelector('.cpodLab-block')!.getAttribute('data-phase')).toBe('Running');
    const buttons = (): string[] =>
      [...node.querySelectorAll('.cpodLab-pageTools button')].map(each => each.textContent!.trim());
    expect(buttons()).toContain('cancel');
    await told({
      state: running({ phase: 'Succeeded', tone: 'good', final: true, can_cancel: false }),
      over: true
    });
    expect(panel().querySelector('.cpodLab-block')!.getAttribute('data-phase')).toBe('Succeeded');
    expect(buttons()).not.toContain('cancel');
    await act(async () =>
      [...node.querySelectorAll<HTMLElement>('.cpodLab-pageTools button')]
        .find(each => each.textContent!.includes('rerun'))!
        .click()
    );
    expect(props.run).toHaveBeenCalledWith('rerun');
  });

  it('keeps what it knew while the server is away, and says that it is', async () => {
    await render();
    await told({ state: running() });
    await told({ trouble: 'Jupyter does not answer' });
    expect(panel().querySelector('.cpodLab-block')).not.toBeNull();
    expect(panel().textContent).toContain('Jupyter does not answer');
    expect(panel().querySelectorAll('.cpodLab-trouble')).toHaveLength(1);
  });

  it('says that there is no such object', async () => {
    await render();
    await told({ trouble: 'pytorchjobs "facts" not found', over: true });
    expect(panel().textContent).toBe('pytorchjobs "facts" not found');
  });

  it('goes by clicks and arrow keys through its tabs, with one subscription', async () => {
    await render();
    await told({ state: running() });
    await press('YAML');
    expect(panel().textContent).toBe('kind: PyTorchJob');
    expect(panel().getAttribute('aria-labelledby')).toBe(tab('YAML').id);
    const arrow = async (key: string): Promise<void> =>
      act(async () => {
        document.activeElement!.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
      });
    tab('YAML').focus();
    await arrow('ArrowRight');
    expect(tab('Overview').getAttribute('aria-selected')).toBe('true');
    await arrow('ArrowLeft');
    await arrow('ArrowLeft');
    expect(tab('Events').getAttribute('aria-selected')).toBe('true');
    await arrow('ArrowLeft');
    expect(panel().querySelector('[role=log]')!.textContent).toContain('goes on');
    expect(document.activeElement).toBe(tab('Log'));
    expect(props.subscribe).toHaveBeenCalledTimes(1);
  });

  it('shows events as text, asks again while the object goes on, and not after it has ended', async () => {
    await render();
    await told({ state: running() });
    await press('Events');
    expect(panel().querySelector('tbody')!.textContent).toContain('<b>no</b> GPU');
    props.events = vi.fn(async () => []);
    await render();
    await act(async () => vi.advanceTimersByTime(OFTEN));
    await told({ state: running({ phase: 'Failed', tone: 'bad', final: true }), over: true });
    const asked = (props.events as any).mock.calls.length;
    await act(async () => vi.advanceTimersByTime(10 * OFTEN));
    expect((props.events as any).mock.calls.length).toBe(asked);
    expect(panel().textContent).toContain('No events about it');
  });

  it('says why a question has no answer', async () => {
    props.yaml = async () => {
      throw new Error('the engine does not run');
    };
    await render();
    await press('YAML');
    expect(panel().querySelector('[role=alert]')!.textContent).toBe('the engine does not run');
    props.yaml = async () => 'kind: Job';
    await act(async () => root.render(<Page {...props} round={1} />));
    expect(panel().textContent).toBe('kind: Job');
  });

  it('shows the plan of what is planned, and has no such tab for the rest', async () => {
    await render();
    expect(tab('Plan')).toBeUndefined();
    props.address = { ...props.address, kind: 'finetune' };
    await render();
    await press('Plan');
    expect(panel().textContent).toContain('not planned yet');
    props.plan = async () => ({
      title: '',
      rows: [['precision', 'bf16', 'the GPU computes it in hardware']]
    });
    await act(async () => root.render(<Page {...props} round={1} />));
    expect(panel().querySelector('tr')!.textContent).toBe('precisionbf16the GPU computes it in hardware');
  });

  it('shows the overview in place of a tab that its kind has not', async () => {
    props.kept = { tab: 'plan', metrics: PLAIN_VIEW };
    await render();
    expect(tab('Overview').getAttribute('aria-selected')).toBe('true');
  });
});
