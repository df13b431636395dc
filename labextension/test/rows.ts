import { IRow } from '../src/rows';

/** A job of a list, as it runs. */
export function row(name: string, changes: Partial<IRow> = {}): IRow {
  return {
    kind: 'job',
    name,
    namespace: 'default',
    phase: 'Running',
    tone: 'busy',
    final: false,
    created: '2026-01-01T00:00:00Z',
    gpus: '',
    detail: 'general, python',
    reason: '',
    ...changes
  };
}

export const failed: Partial<IRow> = { phase: 'Failed', tone: 'bad', final: true, reason: 'exit code 1' };
export const done: Partial<IRow> = { phase: 'Succeeded', tone: 'good', final: true };
