import { nullTranslator } from '@jupyterlab/translation';
import React, { act } from 'react';
import { createRoot } from 'react-dom/client';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { Block, IBlockActions } from '../src/block/block';
import { chosen } from '../src/block/log';
import { IBlockState } from '../src/block/state';
import { running } from './states';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;

const trans = nullTranslator.load('');
let node: HTMLElement;
let actions: IBlockActions;

beforeEach(() => {
  node = document.body.appendChild(document.createElement('div'));
  actions = {
    cancel: vi.fn(async () => undefined),
    detach: vi.fn(async () => undefined),
    yaml: vi.fn(async () => 'kind: PyTorchJob'),
    download: vi.fn(async () => undefined),
    insert: vi.fn()
  };
  return () => node.remove();
});

async function show(state: IBlockState, trouble = ''): Promise<(next: IBlockState) => Promise<void>> {
  const root = createRoot(node);
  const render = async (next: IBlockState): Promise<void> =>
    act(async () => root.render(<Block state={next} trouble={trouble} actions={actions} trans={trans} />));
  await render(state);
  return render;
}

function button(text: string): HTMLButtonElement | undefined {
  return [...node.querySelectorAll('button')].find(each => each.textContent === text);
}

async function press(text: string): Promise<void> {
  await act(async () => button(text)!.click());
}

describe('Block', () => {
  it('shows name, phase, progress, numbers and pods by rank', async () => {
    await show(running());
    expect(node.textContent).toContain('facts');
    expect(node.querySelector('[role=progressbar]')!.getAttribute('aria-valuenow')).toBe('40');
    expect([...node.querySelectorAll('.cpodLab-pods li')].map(each => each.textContent!.trim())).toEqual([
      'master-0 Running 1.0 CPUs',
      'worker-0 Pending'
    ]);
  });

  it('shows text as text, whoever wrote it', async () => {
    await show(running({ reason: '<img src=x onerror=alert(1)>', curve: '<svg onload="alert(1)"/>' }));
    await press('Logs');
    expect(node.querySelector('b')).toBeNull();
    expect([...node.querySelectorAll('img')].map(each => each.className)).toEqual(['cpodLab-curve']);
    expect(node.querySelector('svg')).toBeNull(); // only as an image, which runs no script
  });

  it('keeps log, filter and rank as they were set while states come', async () => {
    const next = await show(running());
    await press('Logs');
    const input = node.querySelector('input')!;
    await act(async () => {
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(input, 'GOES');
      input.dispatchEvent(new Event('input', { bubbles: true }));
    });
    expect([...node.querySelectorAll('[role=log] div')].map(each => each.textContent)).toEqual([
      'master-0 goes on'
    ]);
    await next(running({ log: [...running().log, ['worker-0', 'goes too']] }));
    expect(node.querySelectorAll('[role=log] div')).toHaveLength(2);
  });

  it('says why a button failed', async () => {
    actions.cancel = async () => {
      throw new Error('it is over already');
    };
    await show(running());
    await press('Cancel');
    expect(node.querySelector('[role=alert]')!.textContent).toBe('it is over already');
  });

  it('shows the manifest and takes it away again', async () => {
    await show(running());
    await press('YAML');
    expect(node.querySelector('.cpodLab-yaml')!.textContent).toBe('kind: PyTorchJob');
    await press('YAML');
    expect(node.querySelector('.cpodLab-yaml')).toBeNull();
  });

  it('offers only what can be done', async () => {
    actions.detach = null;
    await show(running({ final: true, can_cancel: false }));
    expect(button('Detach')).toBeUndefined();
    expect(button('Cancel')).toBeUndefined();
  });

  it('offers the cell that mends a failure', async () => {
    await show(
      running({ failed: true, phase: 'Failed', tone: 'bad', reason: 'no such file', fix: '%%cpod job a' })
    );
    await press('Insert the cell that mends it');
    expect(actions.insert).toHaveBeenCalledWith('%%cpod job a');
  });
});

describe('chosen', () => {
  it('takes lines by rank and text, and notes between lines with every rank', () => {
    expect(chosen(running().log, '', 'worker-0').map(([, text]) => text)).toEqual([
      'joins <b>in</b>',
      '… 3 lines left out …'
    ]);
    expect(chosen(running().log, 'JOINS', '')).toHaveLength(1);
  });
});
