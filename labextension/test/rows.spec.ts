import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import { actionsFor, ageOf, atWork, ended, filtered, groupOf, sorted } from '../src/sidebar/rows';
import { done, failed, row } from './rows';

const trans = nullTranslator.load('');
const names = (rows: { name: string }[]): string[] => rows.map(each => each.name);

describe('filtered', () => {
  const rows = [
    row('mnist-1'),
    row('llama', { gpus: '4 A100', ...failed }),
    row('Mnist-2', { kind: 'finetune' })
  ];

  it('takes rows with all words, wherever they stand and whatever their case', () => {
    expect(names(filtered(rows, 'MNIST'))).toEqual(['mnist-1', 'Mnist-2']);
    expect(names(filtered(rows, ' finetune mnist '))).toEqual(['Mnist-2']);
    expect(names(filtered(rows, 'a100 exit'))).toEqual(['llama']);
    expect(filtered(rows, 'no such')).toEqual([]);
  });

  it('leaves the very rows without a text, so that nothing is drawn anew', () => {
    expect(filtered(rows, '  ')).toBe(rows);
  });
});

describe('sorted', () => {
  const rows = [
    row('run-10', { created: '2026-01-01T00:00:02Z' }),
    row('run-9', { created: '2026-01-01T00:00:03Z', ...done }),
    row('run-2', { created: '2026-01-01T00:00:02Z', ...failed })
  ];

  it('puts the newest first, numbers in names as numbers, and what needs a look before what went well', () => {
    expect(names(sorted(rows, 'age'))).toEqual(['run-9', 'run-2', 'run-10']);
    expect(names(sorted(rows, 'name'))).toEqual(['run-2', 'run-9', 'run-10']);
    expect(names(sorted(rows, 'phase'))).toEqual(['run-2', 'run-10', 'run-9']);
    expect(names(rows)).toEqual(['run-10', 'run-9', 'run-2']); // as they were
  });
});

describe('ageOf', () => {
  it.each([
    [0, '0 s'],
    [59, '59 s'],
    [61, '1 min'],
    [3 * 3600 + 5, '3 h'],
    [47 * 3600, '47 h'],
    [49 * 3600, '2 d'],
    [-30, '0 s']
  ])('says %i seconds as %s', (seconds, words) => {
    expect(ageOf('2026-01-01T00:00:00Z', Date.UTC(2026, 0, 1) + seconds * 1000, trans)).toBe(words);
  });

  it('says nothing of what is no time', () => {
    expect(ageOf('', 0, trans)).toBe('');
  });
});

describe('what changes in a list', () => {
  it('tells jobs that end from those that had ended, are new, or run on', () => {
    const before = [row('ends'), row('fails'), row('over', done), row('runs'), row('goes')];
    const now = [row('ends', done), row('fails', failed), row('over', done), row('runs'), row('new', done)];
    expect(names(ended(before, now))).toEqual(['ends', 'fails']);
  });

  it('counts what is at work', () => {
    const waiting = row('c', { phase: 'Pending', tone: 'wait' });
    expect(atWork([row('a'), row('b', done), waiting, row('d', { phase: 'Preparing' })])).toBe(2);
  });
});

describe('actionsFor', () => {
  it.each([
    ['a job that runs', row('a'), ['open', 'logs', 'cancel', 'rerun', 'clone', 'delete']],
    ['a job that is over', row('a', done), ['open', 'logs', 'rerun', 'clone', 'delete']],
    [
      'a fine-tuning with a result',
      row('a', { kind: 'finetune', ...done }),
      ['open', 'logs', 'rerun', 'clone', 'deploy', 'delete']
    ],
    [
      'a fine-tuning that failed',
      row('a', { kind: 'finetune', ...failed }),
      ['open', 'logs', 'rerun', 'clone', 'delete']
    ],
    ['a model that is there', row('a', { kind: 'model', ...done }), ['open', 'logs', 'deploy', 'delete']],
    ['a model on its way', row('a', { kind: 'model' }), ['open', 'logs', 'delete']],
    [
      'a deployment',
      row('a', { kind: 'inference', tone: 'good' }),
      ['open', 'logs', 'chat', 'clone', 'delete']
    ],
    ['a training', row('a', { kind: 'pytorchjob', ...done }), ['open', 'logs', 'rerun', 'delete']]
  ])('offers for %s what can be done', (_, found, expected) => {
    expect(actionsFor(found)).toEqual(expected);
  });
});

describe('groupOf', () => {
  it('puts every kind of job, known or not, among the jobs', () => {
    expect(['model', 'dataset', 'inference', 'finetune', 'pytorchjob', 'trainjob'].map(groupOf)).toEqual([
      'models',
      'datasets',
      'deployments',
      'jobs',
      'jobs',
      'jobs'
    ]);
  });
});
