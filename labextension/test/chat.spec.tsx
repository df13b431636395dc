import { nullTranslator } from '@jupyterlab/translation';
import React, { act } from 'react';
import { createRoot } from 'react-dom/client';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { IAddress, IBlockState } from '../src/block/state';
import { IChatServer, IParameters } from '../src/pages/deployment/conversation';
import { DeploymentPage } from '../src/pages/deployment/page';
import { apiUrl, curlSnippet, pythonSnippet } from '../src/pages/deployment/snippets';
import { IRow } from '../src/rows';
import { INews } from '../src/stream';
import { running } from './states';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;

const address: IAddress = { context: 'engine', namespace: 'default', kind: 'inference', name: 'tuned' };
const row = (name: string, phase: string): IRow => ({
  kind: 'inference', name, namespace: 'default', phase, tone: 'good', final: true, created: '', gpus: '', detail: '', reason: ''
}); // prettier-ignore

interface IAsked {
  name: string;
  request: Parameters<IChatServer['chat']>[1];
  say(piece: string): void;
  end(): void;
  fail(message: string): void;
}

let node: HTMLElement;
let asked: IAsked[];
let news: ((news: INews) => void)[];
let list: (list: { rows: IRow[]; trouble: string }) => void;
let show: (start: IParameters) => Promise<void>;
const copy = vi.fn();

/** A server whose answers the test writes. */
const server: IChatServer = {
  chat: (to, request, onText, signal) =>
    new Promise((resolve, reject) => {
      signal!.addEventListener('abort', () => reject(new Error('aborted')));
      asked.push({
        name: to.name,
        request,
        say: onText,
        end: resolve,
        fail: text => reject(new Error(text))
      });
    })
};

beforeEach(async () => {
  vi.useFakeTimers();
  asked = [];
  news = [];
  node = document.body.appendChild(document.createElement('div'));
  const stream = {
    subscribe: (_: IAddress, listener: (news: INews) => void) => {
      news.push(listener);
      return () => undefined;
    },
    subscribeList: (_: unknown, listener: typeof list) => {
      list = listener;
      return () => undefined;
    }
  };
  const root = createRoot(node);
  show = start =>
    act(async () =>
      root.render(
        <DeploymentPage
          address={address}
          server={server}
          stream={stream}
          start={start}
          trans={nullTranslator.load('')}
          copy={copy}
        />
      )
    );
  await show({});
  return () => {
    node.remove();
    vi.useRealTimers();
  };
});

const button = (name: string): HTMLButtonElement =>
  [...node.querySelectorAll('button')].find(
    each => (each.getAttribute('aria-label') ?? each.textContent) === name
  )!;

async function type(selector: string, text: string): Promise<void> {
  const input = node.querySelector<HTMLInputElement>(selector)!;
  await act(async () => {
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), 'value')!.set!.call(input, text);
    input.dispatchEvent(new Event(input.tagName === 'SELECT' ? 'change' : 'input', { bubbles: true }));
  });
}

async function ask(prompt: string): Promise<void> {
  await type('textarea', prompt);
  await act(async () => {
    const key = new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true });
    node.querySelector('textarea')!.dispatchEvent(key);
  });
}

/** Let something happen, and what is drawn with a pause be drawn. */
async function now(happen: () => void): Promise<void> {
  await act(async () => {
    happen();
    await vi.advanceTimersByTimeAsync(100);
  });
}

const answers = (): string[] =>
  [...node.querySelectorAll('.cpodChat-assistant')].map(each => each.querySelector('p')!.textContent!);

describe('The page of a deployment', () => {
  it('shows status and URL live, and code without a key', async () => {
    const state = (changes: Partial<IBlockState>): INews => ({
      state: running({ ...address, ...changes }),
      bundle: null,
      trouble: '',
      over: false
    });
    await now(() => news[0](state({ phase: 'Pending', tone: 'wait' })));
    expect(node.querySelector('[role=status]')!.textContent).toBe('Pending');
    expect(button('Copy the URL')).toBeUndefined();
    await now(() => list({ rows: [row('tuned', 'Ready')], trouble: '' }));
    await now(() => news[1](state({ phase: 'Ready', url: 'http://127.0.0.1:8000' }))); // followed anew
    expect(node.querySelector('[role=status]')!.textContent).toBe('Ready');
    await act(async () => button('Copy the URL').click());
    expect(copy).toHaveBeenLastCalledWith('http://127.0.0.1:8000');
    await act(async () => button('Copy the code: curl').click());
    expect(copy).toHaveBeenLastCalledWith(curlSnippet('http://127.0.0.1:8000'));
    expect(apiUrl('http://x/openai/v1/')).toBe('http://x/openai/v1');
    expect(pythonSnippet('http://x')).toContain(
      'base_url="http://x/v1", api_key=os.environ.get("OPENAI_API_KEY"'
    );
  });

  it('streams an answer as text, and goes on with the conversation', async () => {
    await type('input[inputmode=decimal]', '0.5');
    await ask('Hello');
    expect(asked[0].request).toEqual({ messages: [{ role: 'user', content: 'Hello' }], temperature: 0.5 });
    expect(button('Send').disabled).toBe(true);
    await now(() => asked[0].say('<img src=x onerror=alert(1)>'));
    await now(() => asked[0].say(' & more'));
    expect(answers()).toEqual(['<img src=x onerror=alert(1)> & more']);
    expect(node.querySelector('img')).toBeNull();
    expect(node.querySelector('[role=log]')!.getAttribute('aria-busy')).toBe('true');
    await now(() => asked[0].end());
    expect(node.querySelector('[role=log]')!.getAttribute('aria-busy')).toBe('false');
    await ask('And?');
    expect(asked[1].request.messages.map(each => each.role)).toEqual(['user', 'assistant', 'user']);
  });

  it('begins with what is set, and goes with that until one writes oneself', async () => {
    const values = (): string[] => [...node.querySelectorAll('input')].map(each => each.value);
    await show({ temperature: 0.5 });
    expect(values()).toEqual(['0.5', '']);
    await show({ temperature: 0.7, max_tokens: 64 });
    expect(values()).toEqual(['0.7', '64']);
    await type('input', '1');
    await show({ temperature: 0.2, max_tokens: 32 });
    expect(values()).toEqual(['1', '32']);
    await ask('Who?');
    expect(asked[0].request).toMatchObject({ temperature: 1, max_tokens: 32 });
  });

  it('stops when told to: what has come stays, nothing more does', async () => {
    await ask('Hello');
    await now(() => asked[0].say('once upon'));
    await act(async () => button('Stop').click());
    await now(() => asked[0].say(' a time'));
    expect(answers()).toEqual(['once upon']);
    expect(node.querySelector('.cpodChat-assistant')!.getAttribute('data-state')).toBe('stopped');
    expect(button('Stop').disabled).toBe(true);
  });

  it('says why an answer broke off, and does not tell the model of it', async () => {
    await ask('Hello');
    await now(() => asked[0].fail('the deployment is gone'));
    expect(node.textContent).toContain('the deployment is gone');
    await ask('Again');
    expect(asked[1].request.messages).toEqual([{ role: 'user', content: 'Again' }]);
  });

  it('asks two side by side the same', async () => {
    await now(() => list({ rows: [row('tuned', 'Ready'), row('base', 'Ready')], trouble: '' }));
    await ask('Only one');
    await now(() => asked[0].end());
    await type('select', 'base');
    expect([...node.querySelectorAll('[role=log]')].map(each => each.getAttribute('aria-label'))).toEqual([
      'Conversation with tuned',
      'Conversation with base'
    ]);
    await ask('Both');
    expect(
      asked.slice(1).map(each => [each.name, each.request.messages[each.request.messages.length - 1]])
    ).toEqual([
      ['tuned', { role: 'user', content: 'Both' }],
      ['base', { role: 'user', content: 'Both' }]
    ]);
    await now(() => asked[2].say('I am the base'));
    await now(() => asked[1].say('I am tuned'));
    expect(answers().slice(-2)).toEqual(['I am tuned', 'I am the base']);
  });
});
