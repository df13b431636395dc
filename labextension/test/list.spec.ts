import { beforeEach, describe, expect, it, vi } from 'vitest';

import { IList, IRow } from '../src/rows';
import { Stream } from '../src/stream';
import { Socket, streamed } from './socket';

const place = { context: 'engine', namespace: 'default', kind: 'jobs' };

function row(name: string, phase = 'Running'): IRow {
  return {
    kind: 'job',
    name,
    namespace: 'default',
    phase,
    tone: 'busy',
    final: false,
    created: '',
    gpus: '',
    detail: '',
    reason: ''
  };
}

let sockets: Socket[];
let stream: Stream;

beforeEach(() => {
  vi.useFakeTimers();
  ({ stream, sockets } = streamed());
  return () => vi.useRealTimers();
});

/** Look at the list; what was heard of it, as `name phase`. */
function look(): { heard: string[][]; lists: IList[]; leave: () => void } {
  const heard: string[][] = [];
  const lists: IList[] = [];
  const leave = stream.subscribeList(place, list => {
    lists.push(list);
    heard.push(list.rows.map(each => `${each.name} ${each.phase}`));
  });
  return { heard, lists, leave };
}

describe('Stream.subscribeList', () => {
  it('puts together what comes in pieces, each time as a new array', () => {
    const { heard, lists } = look();
    sockets[0].opens();
    const [{ subscribe: id, list }] = sockets[0].sent;
    expect(list).toEqual(place);
    sockets[0].says({ id, rows: [row('a'), row('b')], trouble: '' });
    vi.advanceTimersByTime(100);
    sockets[0].says({ id, changed: [row('b', 'Failed'), row('c')], gone: ['job/a'], trouble: '' });
    expect(heard).toEqual([
      ['a Running', 'b Running'],
      ['b Failed', 'c Running']
    ]);
    expect(lists[0].rows).not.toBe(lists[1].rows);
  });

  it('hands a list on ten times a second at most, and never misses the last', () => {
    const { heard } = look();
    sockets[0].opens();
    const id = sockets[0].sent[0].subscribe;
    sockets[0].says({ id, rows: [row('a')], trouble: '' });
    for (let step = 0; step < 1000; step++) {
      sockets[0].says({ id, changed: [row('a', `step ${step}`)], gone: [], trouble: '' });
      vi.advanceTimersByTime(1);
    }
    expect(heard.length).toBeLessThanOrEqual(11);
    vi.advanceTimersByTime(100);
    expect(heard[heard.length - 1]).toEqual(['a step 999']);
    const told = heard.length;
    vi.advanceTimersByTime(1000);
    expect(heard).toHaveLength(told);
  });

  it('asks once for all who look, and tells those who come later at once', () => {
    const first = look();
    sockets[0].opens();
    const id = sockets[0].sent[0].subscribe;
    sockets[0].says({ id, rows: [row('a')], trouble: '' });
    const second = look();
    expect(second.heard).toEqual([['a Running']]);
    expect(sockets[0].sent).toHaveLength(1);
    first.leave();
    first.leave();
    expect(sockets[0].readyState).toBe(1);
    second.leave();
    expect(sockets[0].sent[1]).toEqual({ unsubscribe: id });
    expect(sockets[0].readyState).toBe(3);
    vi.advanceTimersByTime(60000);
    expect(second.heard).toHaveLength(1);
  });

  it('keeps the lines while the connection is lost, says so, and takes the list up again', () => {
    const { lists } = look();
    sockets[0].opens();
    const id = sockets[0].sent[0].subscribe;
    sockets[0].says({ id, rows: [row('a'), row('b')], trouble: '' });
    vi.advanceTimersByTime(100);
    sockets[0].breaks();
    expect(lists[1]).toEqual({ rows: [row('a'), row('b')], trouble: 'lost' });
    vi.advanceTimersByTime(500);
    sockets[1].opens();
    expect(sockets[1].sent).toEqual([{ subscribe: id, list: place }]);
    sockets[1].says({ id, rows: [row('b')], trouble: '' });
    vi.advanceTimersByTime(100);
    expect(lists[lists.length - 1]).toEqual({ rows: [row('b')], trouble: '' });
  });

  it('tells why a list is not to be had', () => {
    const { lists } = look();
    sockets[0].opens();
    sockets[0].says({ id: sockets[0].sent[0].subscribe, trouble: 'the engine does not run' });
    expect(lists).toEqual([{ rows: [], trouble: 'the engine does not run' }]);
  });
});
