import { beforeEach, describe, expect, it, vi } from 'vitest';

import { IAddress, keyOf } from '../src/block/state';
import { INews, Stream } from '../src/stream';
import { Socket, streamed } from './socket';
import { running } from './states';

const facts: IAddress = { context: 'engine', namespace: 'default', kind: 'job', name: 'facts' };
let sockets: Socket[];
let stream: Stream;

beforeEach(() => {
  vi.useFakeTimers();
  ({ stream, sockets } = streamed());
  return () => vi.useRealTimers();
});

describe('Stream', () => {
  it('hands on what comes, over one socket for all', () => {
    const heard: INews[] = [];
    stream.subscribe(facts, news => heard.push(news));
    stream.subscribe({ ...facts, name: 'other' }, () => undefined);
    expect(sockets).toHaveLength(1);
    sockets[0].opens();
    expect(sockets[0].sent.map(each => each.address.name)).toEqual(['facts', 'other']);
    sockets[0].says({ id: keyOf(facts), state: running() });
    sockets[0].says({ id: 'of nobody', state: running() });
    expect(heard.map(news => news.state?.phase)).toEqual(['Running']);
  });

  it('takes up a lost connection with all that was subscribed, later and later', () => {
    const heard: INews[] = [];
    stream.subscribe(facts, news => heard.push(news));
    sockets[0].opens();
    sockets[0].breaks();
    expect(heard.map(news => news.trouble)).toEqual(['lost']);
    vi.advanceTimersByTime(500);
    sockets[1].breaks();
    vi.advanceTimersByTime(999);
    expect(sockets).toHaveLength(2);
    vi.advanceTimersByTime(1);
    sockets[2].opens();
    expect(sockets[2].sent.map(each => each.subscribe)).toEqual([keyOf(facts)]);
  });

  it('closes when nobody listens any more, and stays closed', () => {
    const first = stream.subscribe(facts, () => undefined);
    const second = stream.subscribe(facts, () => undefined);
    sockets[0].opens();
    first();
    expect(sockets[0].readyState).toBe(1);
    second();
    expect(sockets[0].readyState).toBe(3);
    vi.advanceTimersByTime(60000);
    expect(sockets).toHaveLength(1);
  });

  it('tells who comes later what is known, and asks anew when it was over', async () => {
    const heard: INews[] = [];
    stream.subscribe(facts, () => undefined);
    sockets[0].opens();
    sockets[0].says({ id: keyOf(facts), state: running(), over: true });
    stream.subscribe(facts, news => heard.push(news));
    await Promise.resolve();
    expect(heard.map(news => news.state?.phase)).toEqual(['Running']);
    expect(sockets[0].sent.slice(1)).toEqual([
      { unsubscribe: keyOf(facts) },
      { subscribe: keyOf(facts), address: facts }
    ]);
  });

  it('tells who has left nothing more', async () => {
    const heard: INews[] = [];
    stream.subscribe(facts, () => undefined);
    sockets[0].opens();
    sockets[0].says({ id: keyOf(facts), state: running() });
    stream.subscribe(facts, news => heard.push(news))();
    await Promise.resolve();
    expect(heard).toEqual([]);
  });
});
