import { beforeEach, describe, expect, it, vi } from 'vitest';

import { IList, IRow } from '../src/rows';
import { IContext } from '../src/server';
import { ILists, RowsModel } from '../src/sidebar/model';
import { IPlace, IPlaces, Memory, Place, PLACE_KEY } from '../src/sidebar/place';
import { done, row } from './rows';

const CONTEXTS: IContext[] = [
  { name: 'engine', server: 'http://127.0.0.1:1', namespace: 'default', current: false },
  { name: 'cluster', server: 'https://cluster', namespace: 'team', current: true }
];
let server: IPlaces;
let kept: Record<string, unknown>;
let first: IPlace;
let memory: Memory;

beforeEach(() => {
  kept = {};
  first = { context: '', namespace: '' };
  memory = { fetch: async key => kept[key], save: async (key, value) => (kept[key] = value) };
  server = {
    contexts: async () => ({ contexts: CONTEXTS, engine: { running: true, url: '' } }),
    namespaces: async context => (context === 'engine' ? ['default', 'other'] : ['prod'])
  };
});

const place = (): Place => new Place(server, memory, () => first);

describe('Place', () => {
  it('begins at the current context, with its own namespace among those there are', async () => {
    const found = place();
    await found.refresh();
    expect(found.current).toEqual({ context: 'cluster', namespace: 'team' });
    expect(found.namespaces).toEqual(['team', 'prod']);
  });

  it('takes the last choice up again, unless its context is gone', async () => {
    const before = place();
    await before.refresh();
    await before.chooseContext('engine');
    before.chooseNamespace('other');
    const after = place();
    await after.refresh();
    expect(after.current).toEqual({ context: 'engine', namespace: 'other' });
    server.contexts = async () => ({ contexts: [CONTEXTS[1]], engine: { running: false, url: '' } });
    const later = place();
    await later.refresh();
    expect(later.current).toEqual({ context: 'cluster', namespace: 'team' });
  });

  it.each([7, { context: 1 }, null, 'text'])('does not mind what else is kept: %j', async value => {
    kept[PLACE_KEY] = value;
    const found = place();
    await found.refresh();
    expect(found.current!.context).toBe('cluster');
  });

  it('works where nothing is kept, or nothing can be', async () => {
    const without = new Place(server, null, () => first);
    await without.refresh();
    memory = { fetch: () => Promise.reject(new Error('no')), save: () => Promise.reject(new Error('no')) };
    const broken = place();
    await broken.refresh();
    expect([without.current, broken.current]).toEqual(
      Array(2).fill({ context: 'cluster', namespace: 'team' })
    );
  });

  it.each([
    [
      { context: 'engine', namespace: 'other' },
      { context: 'engine', namespace: 'other' }
    ],
    [
      { context: 'engine', namespace: '' },
      { context: 'engine', namespace: 'default' }
    ],
    [
      { context: '', namespace: 'mine' },
      { context: 'cluster', namespace: 'mine' }
    ],
    [
      { context: 'gone', namespace: 'mine' },
      { context: 'cluster', namespace: 'team' }
    ]
  ])('begins where it is set to, %j', async (set, expected) => {
    const chosen = place();
    await chosen.refresh();
    await chosen.chooseContext('engine');
    first = set;
    const again = place();
    await again.refresh();
    expect(again.current, 'what was chosen counts more').toEqual({ context: 'engine', namespace: 'default' });
    await again.begin();
    expect(again.current).toEqual(expected);
    kept = {};
    const anew = place();
    await anew.refresh();
    expect(anew.current).toEqual(expected);
  });

  it('knows that the engine one works in does not run, and asks it nothing', async () => {
    server.contexts = async () => ({ contexts: CONTEXTS, engine: { running: false, url: '' } });
    server.namespaces = vi.fn(server.namespaces);
    const found = place();
    await found.refresh();
    expect(found.engineDown).toBe(false);
    await found.chooseContext('engine');
    expect([found.engineDown, found.trouble, found.namespaces]).toEqual([true, '', ['default']]);
    expect(server.namespaces).toHaveBeenCalledTimes(1);
    server.contexts = async () => ({ contexts: CONTEXTS, engine: { running: true, url: 'here' } });
    found.heard(); // a list of it has come
    await vi.waitFor(() => expect(found.namespaces).toEqual(['default', 'other']));
    expect([found.engineDown, found.engine!.url]).toEqual([false, 'here']);
  });

  it('asks again when a list shows that the trouble is over', async () => {
    const { namespaces } = server;
    server.namespaces = vi.fn().mockRejectedValue(new Error('the engine does not run'));
    const found = place();
    await found.refresh();
    expect(found.trouble).toBe('the engine does not run');
    server.namespaces = vi.fn(namespaces);
    found.heard();
    found.heard();
    await vi.waitFor(() => expect(found.trouble).toBe(''));
    expect(server.namespaces).toHaveBeenCalledTimes(1);
    found.heard();
    expect(server.namespaces).toHaveBeenCalledTimes(1);
  });

  it('says what is wrong, and no longer when all is well', async () => {
    const { contexts, namespaces } = server;
    server.contexts = vi.fn().mockRejectedValue(new Error("cpod's server extension does not run"));
    const found = place();
    await found.refresh();
    expect([found.current, found.trouble]).toEqual([null, "cpod's server extension does not run"]);
    server.contexts = contexts;
    server.namespaces = vi.fn().mockRejectedValue(new Error('you may not list namespaces'));
    await found.refresh();
    expect([found.namespaces, found.trouble]).toEqual([['team'], 'you may not list namespaces']);
    server.namespaces = namespaces;
    await found.refresh();
    expect([found.namespaces, found.trouble]).toEqual([['team', 'prod'], '']);
  });

  it('does not mix up the namespaces of two contexts when answers come late', async () => {
    let answer: (names: string[]) => void = () => undefined;
    const found = place();
    await found.refresh();
    const { namespaces } = server;
    server.namespaces = () => new Promise(resolve => (answer = resolve));
    const first = found.chooseContext('engine');
    server.namespaces = namespaces;
    await found.chooseContext('cluster');
    answer(['default', 'other']);
    await first;
    expect(found.namespaces).toEqual(['team', 'prod']);
  });
});

describe('RowsModel', () => {
  let subscribed: { where: unknown; listener: (list: IList) => void; on: boolean }[];
  let lists: ILists;
  let where: Place;
  let model: RowsModel;
  const live = (): unknown[] => subscribed.filter(each => each.on).map(each => each.where);
  const says = (rows: IRow[], trouble = ''): void => {
    subscribed.filter(each => each.on).forEach(each => each.listener({ rows, trouble }));
  };

  beforeEach(async () => {
    subscribed = [];
    lists = {
      subscribeList: (at, listener) => {
        const entry = { where: at, listener, on: true };
        subscribed.push(entry);
        return () => void (entry.on = false);
      }
    };
    where = place();
    model = new RowsModel(lists, where, 'jobs');
    await where.refresh();
  });

  it('is live while somebody has it open, and keeps what it knew', () => {
    expect(live()).toEqual([]);
    const first = model.open();
    const second = model.open();
    expect(live()).toEqual([{ context: 'cluster', namespace: 'team', kind: 'jobs' }]);
    says([row('a')]);
    first();
    first(); // once more does nothing
    expect(live()).toHaveLength(1);
    second();
    expect(live()).toEqual([]);
    expect(model.rows).toHaveLength(1);
  });

  it('goes with the place, and forgets the rows of the one before', () => {
    model.open();
    says([row('a')]);
    where.chooseNamespace('prod');
    expect(model.rows).toBeNull();
    expect(live()).toEqual([{ context: 'cluster', namespace: 'prod', kind: 'jobs' }]);
    expect(model.address(row('a', { namespace: 'prod' }))).toEqual({
      context: 'cluster',
      namespace: 'prod',
      kind: 'job',
      name: 'a'
    });
  });

  it('tells the jobs that end while it looks, once, and through a lost connection', () => {
    const heard: string[][] = [];
    model.ended.connect((_, rows) => heard.push(rows.map(each => each.name)));
    model.open();
    says([row('over', done), row('a'), row('b')]);
    says([], 'Jupyter does not answer');
    expect([model.rows!.length, model.trouble]).toEqual([3, 'Jupyter does not answer']);
    says([row('over', done), row('a', done), row('b')]);
    says([row('over', done), row('a', done), row('b')]);
    expect(heard).toEqual([['a']]);
    where.chooseNamespace('prod');
    says([row('b', done)]); // another b
    expect(heard).toEqual([['a']]);
  });

  it('looks what is when a list is in trouble, once for each', async () => {
    server.contexts = vi.fn(server.contexts);
    model.open();
    says([], 'it does not answer');
    says([], 'it does not answer');
    await vi.waitFor(() => expect(server.contexts).toHaveBeenCalledTimes(1));
  });

  it('asks again when told to, with the rows in sight meanwhile', () => {
    model.open();
    says([row('a')]);
    model.refresh();
    expect(subscribed).toHaveLength(2);
    expect(live()).toHaveLength(1);
    expect(model.rows).toHaveLength(1);
  });
});
