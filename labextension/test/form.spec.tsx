import { nullTranslator } from '@jupyterlab/translation';
import React, { act } from 'react';
import { createRoot } from 'react-dom/client';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { PAUSE } from '../src/launcher/checker';
import { Form, IFormActions, IStart } from '../src/launcher/form';
import { IFormServer, IRequest } from '../src/launcher/service';
import { IFault, ISchema } from '../src/launcher/spec';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;

const schema: ISchema = {
  type: 'object',
  required: ['image'],
  properties: {
    jobType: {
      type: 'string',
      enum: ['pytorch', 'general'],
      default: 'general',
      description: 'Which operator.'
    },
    image: { type: 'string', description: 'Container image.' },
    command: { type: 'array', items: { type: 'string' } },
    gpuType: { type: 'string' },
    uploadModel: { type: 'boolean', default: false },
    duration: { type: 'integer', default: 0 },
    gitRepo: {
      type: 'object',
      required: ['repository'],
      properties: { repository: { type: 'string' }, revision: { type: 'string' } }
    },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    raw: { type: 'object' }
  }
};

const start: IStart = { kind: 'job', context: '', namespace: '', text: '' };
let node: HTMLElement;
let actions: IFormActions;
let server: IFormServer;
let faults: IFault[];

beforeEach(() => {
  vi.useFakeTimers();
  node = document.body.appendChild(document.createElement('div'));
  actions = { open: vi.fn(), insert: vi.fn(), putBack: null, keep: vi.fn() };
  faults = [];
  server = {
    contexts: async () => ({ contexts: [{ name: 'engine', namespace: 'default', current: true }] }),
    namespaces: async () => ['default', 'team'],
    schema: async () => schema,
    check: vi.fn(async () => ({ faults })),
    judge: vi.fn(async () => ({
      ok: true,
      findings: [{ level: 'warning', about: 'memory', text: 'it is tight' }],
      plan: { title: 'How it is run', rows: [['pods', '1', 'one is enough'] as [string, string, string]] }
    })),
    submit: vi.fn(async ({ context, namespace }: IRequest) => [
      { address: { context, namespace, kind: 'job', name: 'facts' }, outcome: 'created' }
    ]),
    cell: vi.fn(async () => '%%cpod job facts'),
    gpus: async () => ({
      nodes: [
        { node: 'a', type: 'H100', total: 8, free: 2 },
        { node: 'b', type: 'H100', total: 8, free: 5 }
      ]
    }),
    models: async () => [],
    datasets: async () => []
  };
  return () => {
    node.remove();
    vi.useRealTimers();
  };
});

async function show(from: Partial<IStart> = {}): Promise<void> {
  const root = createRoot(node);
  const trans = nullTranslator.load('');
  await act(async () =>
    root.render(<Form server={server} start={{ ...start, ...from }} actions={actions} trans={trans} />)
  );
  await act(async () => void (await vi.advanceTimersByTimeAsync(PAUSE)));
}

/** A control by its label, as a screen reader finds it. */
function control(label: string): HTMLInputElement {
  const found = [...node.querySelectorAll('label')].find(
    each => each.textContent!.replace(' *', '') === label
  );
  const named = node.querySelector<HTMLInputElement>(`[aria-label="${label}"]`);
  return (
    named ?? (document.getElementById(found!.htmlFor) as HTMLInputElement) ?? found!.querySelector('input')!
  );
}

async function fill(label: string, text: string): Promise<void> {
  const input = control(label);
  const set = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), 'value')!.set!;
  await act(async () => {
    set.call(input, text);
    input.dispatchEvent(new Event(input.tagName === 'SELECT' ? 'change' : 'input', { bubbles: true }));
  });
}

async function press(name: string): Promise<void> {
  const found = [...node.querySelectorAll('button')].find(
    each => each.getAttribute('aria-label') === name || each.textContent === name
  );
  await act(async () => found!.click());
}

async function unfold(title: string): Promise<void> {
  const fold = [...node.querySelectorAll('summary')].find(each => each.textContent === title)!.parentElement!;
  await act(async () => {
    (fold as HTMLDetailsElement).open = true;
    await vi.advanceTimersByTimeAsync(1);
  });
}

async function pause(): Promise<void> {
  await act(async () => void (await vi.advanceTimersByTimeAsync(PAUSE)));
}

const manifest = (): string => node.querySelector('.cpodForm-manifest')!.textContent!;
const status = (): string => node.querySelector('.cpodForm-verdict')!.textContent!;
const described = (label: string): string[] =>
  (control(label).getAttribute('aria-describedby') ?? '')
    .split(' ')
    .filter(Boolean)
    .map(id => document.getElementById(id)!.textContent!);

describe('The form', () => {
  it('is made from the schema: required first, the rest under More, with help and defaults', async () => {
    await show();
    const labels = [...node.querySelectorAll('label, legend')].map(each => each.textContent);
    expect(labels).toEqual(['Kind', 'Name *', 'Context', 'Namespace', 'Image *', 'Command', 'GPU type']);
    expect(control('Image').required).toBe(true);
    expect(described('Image')).toEqual(['Container image.']);
    await unfold('More');
    const choice = control('Job type') as unknown as HTMLSelectElement;
    expect([...choice.options].map(each => each.text)).toEqual([
      'general (the default)',
      'pytorch',
      'general'
    ]);
    expect(control('Duration').placeholder).toBe('0');
    expect(control('Upload model').checked).toBe(false);
    for (const each of node.querySelectorAll<HTMLInputElement>('input, select, textarea')) {
      expect(each.labels?.length || each.getAttribute('aria-label')).toBeTruthy();
    }
  });

  it('makes a manifest of what is filled in, and of nothing else', async () => {
    await show();
    await fill('Name', 'facts');
    await fill('Image', 'python');
    await press('Add to Command');
    expect(document.activeElement).toBe(control('Command 1'));
    await fill('Command 1', 'no');
    await press('Add to Command');
    await fill('Command 2', 'gone');
    await press('Remove Command 2');
    expect(document.activeElement!.getAttribute('aria-label')).toBe('Add to Command');
    await unfold('More');
    await fill('Job type', 'pytorch');
    await fill('Duration', '5');
    await act(async () => control('Upload model').click());
    await unfold('Git repo');
    await fill('Repository', 'https://x/y');
    await press('Add to Labels');
    await fill('Name 1 of Labels', 'team');
    await fill('Value of team', '7');
    await fill('Raw', 'a: [1, x]');
    expect(manifest()).toBe(
      [
        'apiVersion: cpod.cpod/v1beta1', 'kind: CPodJob', 'metadata:', '  name: facts', 'spec:', '  image: python',
        '  command:', '  - "no"', '  jobType: pytorch', '  duration: 5', '  uploadModel: true', '  gitRepo:',
        '    repository: https://x/y', '  labels:', '    team: "7"', '  raw:', '    a:', '    - 1', '    - x', ''
      ].join('\n') // prettier-ignore
    );
    await fill('Repository', '');
    await fill('Job type', '');
    await fill('Duration', '');
    await fill('Raw', '');
    await act(async () => control('Upload model').click());
    await press('Remove team from Labels');
    expect(manifest()).toBe(
      'apiVersion: cpod.cpod/v1beta1\nkind: CPodJob\nmetadata:\n  name: facts\nspec:\n  image: python\n  command:\n  - "no"\n'
    );
  });

  it('shows the types of GPU with what is free of them', async () => {
    await show();
    const option = document
      .getElementById(control('GPU type').getAttribute('list')!)!
      .querySelector('option')!;
    expect(option.label).toBe('H100: 7 of 16 free');
    await fill('GPU type', 'H100');
    expect(described('GPU type')).toEqual(['7 of 16 free']);
  });

  it('asks the server after a pause, and shows each fault at its field', async () => {
    await show();
    expect(server.check).not.toHaveBeenCalled(); // an empty form is no fault
    const fault = (path: string, message: string): IFault => ({ line: 1, column: 1, path, message });
    faults = [
      fault('spec.image', 'is required'),
      fault('spec.gitRepo.repository', 'is not a URL'),
      fault('spec.labels.a', 'is too long'),
      fault('spec', 'is not allowed here')
    ];
    await fill('Name', 'f');
    await fill('Name', 'facts');
    await pause();
    expect(server.check).toHaveBeenCalledTimes(1);
    expect(server.check).toHaveBeenLastCalledWith({
      context: 'engine',
      namespace: 'default',
      text: manifest()
    });
    expect(server.judge).not.toHaveBeenCalled();
    expect(status()).toBe('4 faults');
    expect(described('Image')).toEqual(['Container image.', 'is required']);
    expect(control('Image').getAttribute('aria-invalid')).toBe('true');
    expect(described('Repository')).toEqual(['is not a URL']); // unfolded for it
    expect(node.textContent).toContain('a: is too long');
    expect([...node.querySelectorAll('.cpodForm-list li')].map(each => each.textContent)).toEqual([
      'spec: is not allowed here'
    ]);
    faults = [];
    await fill('Image', 'python');
    await pause();
    expect(described('Image')).toEqual(['Container image.']);
    expect(status()).toBe('Ready to be submitted');
    expect(node.textContent).toContain('memory: it is tight');
    expect(node.querySelector('table')!.textContent).toBe('How it is runpods1one is enough');
  });

  it('drops answers about an older text, and says when the server cannot be asked', async () => {
    await show();
    let answer: (faults: { faults: IFault[] }) => void = () => undefined;
    vi.mocked(server.check).mockImplementationOnce(() => new Promise(resolve => (answer = resolve)));
    await fill('Image', 'a');
    await pause();
    await fill('Image', 'ab');
    await pause();
    expect(server.check).toHaveBeenCalledTimes(1); // one question at a time
    await act(async () => answer({ faults: [{ line: 1, column: 1, path: 'spec.image', message: 'stale' }] }));
    expect(server.check).toHaveBeenCalledTimes(2);
    expect(node.textContent).not.toContain('stale');
    expect(status()).toBe('Ready to be submitted');
    vi.mocked(server.check).mockRejectedValueOnce(new Error('the engine does not run'));
    await fill('Image', 'abc');
    await pause();
    expect(status()).toBe('It cannot be checked now');
    expect(node.textContent).toContain('the engine does not run');
  });

  it('submits and opens what was made, and says why where it could not', async () => {
    await show();
    await fill('Image', 'python');
    await pause();
    await press('Submit');
    const request = { context: 'engine', namespace: 'default', text: manifest() };
    expect(server.submit).toHaveBeenCalledWith(request);
    expect(actions.open).toHaveBeenCalledWith({
      context: 'engine',
      namespace: 'default',
      kind: 'job',
      name: 'facts'
    });
    expect(node.querySelector('.cpodForm-ends [role=status]')!.textContent).toBe('job/facts: created');
    vi.mocked(server.submit).mockRejectedValueOnce(new Error('no quota'));
    await press('Submit');
    expect(node.querySelector('.cpodForm-ends [role=alert]')!.textContent).toBe('no quota');
    await press('Insert as cell');
    expect(server.cell).toHaveBeenCalledWith(request);
    expect(actions.insert).toHaveBeenCalledWith('%%cpod job facts');
  });

  it('opens a manifest, and changes in it only what is changed', async () => {
    const text =
      'apiVersion: cpod.cpod/v1beta1\nkind: CPodJob\nmetadata:\n  name: old\nspec:\n  image: python\n  duration: 5\n  unknown: {a: 1} # mine\n  command: [python, "-c", "a\\nb"]\n';
    await show({ text, namespace: 'team' });
    expect(control('Namespace').value).toBe('team');
    expect(control('Duration').value).toBe('5'); // More is unfolded for it
    expect(control('Command 3').value).toBe('a\nb');
    await fill('Duration', '6');
    expect(manifest()).toContain('  duration: 6\n  unknown: {a: 1} # mine\n');
    expect(actions.keep).toHaveBeenLastCalledWith({
      kind: 'job',
      context: 'engine',
      namespace: 'team',
      text: manifest()
    });
  });

  it('keeps each kind as it was filled in when another is looked at', async () => {
    await show();
    await fill('Image', 'python');
    await fill('Kind', 'finetune');
    expect(manifest()).toContain('kind: FineTune');
    expect(manifest()).not.toContain('python');
    await fill('Kind', 'job');
    expect(control('Image').value).toBe('python');
  });
});
