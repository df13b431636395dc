import { TranslationBundle } from '@jupyterlab/translation';
import React, { act } from 'react';
import { createRoot, Root } from 'react-dom/client';
import { beforeEach, describe, expect, it } from 'vitest';

import { Block } from '../src/block/block';
import { EngineDown } from '../src/cluster/down';
import { Cluster } from '../src/cluster/view';
import { Form } from '../src/launcher/form';
import { KINDS } from '../src/launcher/spec';
import { DeploymentPage } from '../src/pages/deployment/page';
import { PLAIN_VIEW } from '../src/pages/kept';
import { tabsOf } from '../src/pages/tabs';
import { Page } from '../src/pages/view';
import { RowList } from '../src/sidebar/list';
import { Picker } from '../src/sidebar/picker';
import { actionsFor } from '../src/sidebar/rows';
import { done, failed, row } from './rows';
import { running } from './states';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;

/** A language in which every text stands in brackets, so that what was not translated can be seen. */
const format = (text: string, ...args: unknown[]): string =>
  `⟦${text.replace(/%(\d)/g, (_, at) => `⟧${args[Number(at) - 1]}⟦`)}⟧`;
const trans = {
  __: format,
  gettext: format,
  _n: (one: string, many: string, count: number, ...args: unknown[]) =>
    format(count === 1 ? one : many, count, ...args)
} as unknown as TranslationBundle;

const SPOKEN = ['aria-label', 'aria-valuetext', 'title', 'placeholder', 'alt'];
const nothing = (): void => undefined;
const never = (): Promise<any> => new Promise(() => undefined);
const place = { context: 'engine', namespace: 'default' };
const contexts = [{ name: 'engine', server: '(not running)', namespace: 'default', current: true }];
const address = { ...place, kind: 'pytorchjob', name: 'facts' };
const state = running({ reason: 'because', advice: 'advised', fix: '%%cpod', evidence: ['seen'] });
const rows = [row('one', { gpus: '4' }), row('two', done), row('three', failed)];

/** Everything shown that is no translated text and stands in none of these data. */
function bare(node: HTMLElement, data: string[]): string[] {
  const texts: string[] = [];
  const walk = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    texts.push(walk.currentNode.textContent!);
  }
  for (const each of node.querySelectorAll('*')) {
    texts.push(...SPOKEN.map(name => each.getAttribute(name) ?? ''));
  }
  const known = [...data].sort((a, b) => b.length - a.length);
  const without = (text: string): string =>
    known.reduce((left, each) => left.split(each).join(' '), text.replace(/⟦[^⟦⟧]*⟧/g, ' '));
  return texts.filter(text => /\p{L}/u.test(without(text)));
}

/** The texts of anything: what is data in it. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') {
    return value ? [value] : [];
  }
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
}

const actions = {
  cancel: async () => undefined,
  detach: async () => undefined,
  yaml: never,
  download: never,
  insert: nothing
};
const cluster = {
  contexts,
  current: place,
  trouble: '',
  engine: { running: true, url: 'https://here', doing: null, said: 'it began', failed: false, missed: false },
  doctor: {
    context: 'engine',
    findings: ['ok', 'note', 'problem'].map(level => ({ level, text: 'found', advice: 'advised' })),
    busy: false,
    failure: ''
  },
  round: 0,
  onContext: nothing,
  onStart: nothing,
  onStop: nothing,
  onExamine: nothing,
  gpus: async () => ({ nodes: [{ node: 'here', type: 'H100', total: 8, free: 2 }] }),
  trans
};
const down = { ...cluster.engine, running: false, url: '' };
const list = { label: '⟦Jobs⟧', rows, trouble: 'sorry', order: 'age', seen: false, trans } as const;
const buttons = {
  of: (each: any) => actionsFor(each).map(id => ({ id, label: `⟦${id}⟧`, icon: <i /> })),
  run: nothing,
  menu: nothing
};
const picker = {
  current: place,
  contexts,
  namespaces: ['default'],
  trouble: 'sorry',
  onContext: nothing,
  onNamespace: nothing,
  onRefresh: nothing,
  trans
};
const page = {
  address: { ...address, kind: 'finetune' },
  onKept: nothing,
  round: 0,
  subscribe: (listener: any) => {
    listener({ state, bundle: null, trouble: 'sorry', over: false });
    return nothing;
  },
  yaml: async () => 'kind',
  events: async () => [{ time: '2026-01-01T00:00:00Z', type: 'Warning', text: 'event' }],
  plan: async () => ({ title: '⟦Plan⟧', rows: [['seen', 'found', 'because']] }),
  log: {
    window: async () => ({
      first: 0,
      rows: [[0, 'master-0', 'seen']],
      count: 1,
      places: ['master-0', 'worker-0'],
      whole: false,
      note: 'sorry',
      found: null
    }),
    find: never,
    download: never
  },
  runs: {
    subscribe: (_: unknown, listener: any) => page.subscribe(listener),
    metrics: async () => ({ steps: [1, 2], series: { loss: [2, 1], eval_loss: [2, null] }, over: true }),
    jobs: (listener: any) => {
      listener({ rows, trouble: '' });
      return nothing;
    }
  },
  block: actions,
  buttons: (each: any) => buttons.of(each),
  run: nothing,
  trans
};
const stream = {
  subscribe: (_: unknown, listener: any) => page.subscribe(listener),
  subscribeList: (_: unknown, listener: any) => {
    listener({
      rows: [row('facts', { kind: 'inference' }), row('other', { kind: 'inference' })],
      trouble: ''
    });
    return nothing;
  }
};
const schema = {
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
    duration: { type: 'integer' },
    gitRepo: { type: 'object', properties: { repository: { type: 'string' } } },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    uploadModel: { type: 'boolean' },
    raw: { type: 'object' }
  }
};
const formServer = {
  contexts: async () => ({ contexts, engine: { running: true, url: '' } }),
  namespaces: async () => ['default'],
  schema: async () => schema,
  check: async () => ({ faults: [{ line: 1, column: 1, path: 'spec.image', message: 'is required' }] }),
  judge: never,
  submit: never,
  cell: never,
  gpus: async () => ({ nodes: [] }),
  models: async () => [],
  datasets: async () => []
};
const SHOWN: [string, JSX.Element][] = [
  ['a block', <Block {...({ state, actions, trans } as any)} />],
  ['the cluster', <Cluster {...(cluster as any)} />],
  [
    'a cluster whose engine does not run',
    <Cluster {...(cluster as any)} engine={{ ...down, missed: true }} />
  ],
  ['an engine that starts', <Cluster {...(cluster as any)} engine={{ ...down, doing: 'start' }} />],
  ['a cluster without GPUs', <Cluster {...(cluster as any)} gpus={async () => ({ nodes: [] })} />],
  ['an engine that is missed', <EngineDown doing={null} onStart={nothing} trans={trans} />],
  ['a list', <RowList {...list} actions={buttons} />],
  ['a list of which nothing is known', <RowList {...list} trouble="" rows={null} actions={buttons} />],
  ['the picker', <Picker {...picker} />],
  ...tabsOf('finetune').map(tab => {
    const kept = { tab, metrics: { ...PLAIN_VIEW, runs: [{ kind: 'job', name: 'two' }] } };
    return [`a page's ${tab}`, <Page {...({ ...page, kept } as any)} />] as [string, JSX.Element];
  }),
  [
    'a form',
    <Form
      server={formServer as any}
      start={{ kind: 'job', context: '', namespace: '', text: '' }}
      actions={{ open: nothing, insert: nothing, keep: nothing }}
      trans={trans}
    />
  ],
  [
    'a deployment',
    <DeploymentPage
      {...({ address: { ...address, kind: 'inference' }, stream, trans } as any)}
      start={{}}
      server={{ chat: never }}
      copy={nothing}
    />
  ]
];
/** What is shown as it is: data, and the names of kinds and of their fields. */
const DATA = [
  ...textsOf([
    schema,
    Object.keys(schema.properties),
    KINDS,
    rows,
    state,
    contexts,
    place,
    address,
    cluster.doctor,
    cluster.engine
  ]),
  ...[
    'finetune',
    'sorry',
    'event',
    'Warning',
    'kind',
    'H100',
    'other',
    'inference',
    'Image',
    'Command',
    'AM',
    'PM'
  ]
];

describe('In a language of brackets', () => {
  let node: HTMLElement;
  let root: Root;
  beforeEach(() => {
    node = document.body.appendChild(document.createElement('div'));
    root = createRoot(node);
    return async () => {
      await act(async () => root.unmount());
      node.remove();
    };
  });

  it('what is not translated is found', async () => {
    await act(async () => root.render(<p title="left out">{trans.__('Hello %1', 'facts')} and</p>));
    expect(bare(node, ['facts'])).toEqual([' and', 'left out']);
  });

  it.each(SHOWN)('all is in brackets, or data, in %s', async (_, shown) => {
    await act(async () => root.render(shown));
    for (const summary of node.querySelectorAll('details')) {
      summary.open = true;
    }
    node.querySelectorAll('pre').forEach(each => each.remove()); // code and logs
    expect(node.textContent).toContain('⟦');
    expect(bare(node, DATA)).toEqual([]);
  });
});
