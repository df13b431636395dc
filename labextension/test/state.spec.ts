import { describe, expect, it } from 'vitest';

import { keyOf, readState } from '../src/block/state';
import { running } from './states';

describe('readState', () => {
  it('takes what the kernel sends', () => {
    expect(readState(running())).toEqual(running());
  });

  it.each([
    null,
    'text',
    7,
    {},
    { ...running(), version: 2 },
    { ...running(), log: 'none' },
    { ...running(), name: 1 }
  ])('refuses what is no state of this version: %j', value => {
    expect(readState(value)).toBeNull();
  });
});

describe('keyOf', () => {
  it('tells apart what only looks alike', () => {
    const of = (namespace: string, kind: string): string =>
      keyOf({ context: 'c', namespace, kind, name: 'n' });
    expect(of('a/b', 'c')).not.toEqual(of('a', 'b/c'));
  });
});
