import { TranslationBundle } from '@jupyterlab/translation';

import { Tone } from '../block/state';
import { IRow, rowKey } from '../rows';

export type Group = 'jobs' | 'deployments' | 'models' | 'datasets';
/** A section of the sidebar. */
export type SectionName = Group | 'cluster';
export type Order = 'age' | 'name' | 'phase';

/** What can be done with a row: the ends of the names of commands, `cpod:open`. */
export type ActionName = 'open' | 'logs' | 'chat' | 'cancel' | 'rerun' | 'clone' | 'deploy' | 'delete';

/** The kinds that the form makes. */
export const FORMS = ['finetune', 'job', 'inference'];

const COLLATOR = new Intl.Collator('en', { numeric: true });
/** What needs a look first: failures, then what goes on, what waits, and what went well. */
const TONES: Tone[] = ['bad', 'busy', 'wait', 'good'];

/** The list that an object of a kind is in. */
export function groupOf(kind: string): Group {
  switch (kind) {
    case 'inference':
    case 'inferenceservice':
      return 'deployments';
    case 'model':
      return 'models';
    case 'dataset':
      return 'datasets';
    default:
      return 'jobs';
  }
}

/** The rows in which every word of a text stands, whatever its case: in the name, the kind, the phase, the rest. */
export function filtered(rows: IRow[], text: string): IRow[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    return rows;
  }
  return rows.filter(row => {
    const all = [row.kind, row.name, row.phase, row.gpus, row.detail, row.reason].join('\n').toLowerCase();
    return words.every(word => all.includes(word));
  });
}

/** The rows in an order, another array: the newest first, by name, or what needs a look first; then by name. */
export function sorted(rows: IRow[], order: Order): IRow[] {
  const byName = (a: IRow, b: IRow): number =>
    COLLATOR.compare(a.name, b.name) || COLLATOR.compare(a.kind, b.kind);
  const first: Record<Order, (a: IRow, b: IRow) => number> = {
    name: () => 0,
    age: (a, b) => (a.created < b.created ? 1 : a.created > b.created ? -1 : 0),
    phase: (a, b) => TONES.indexOf(a.tone) - TONES.indexOf(b.tone) || COLLATOR.compare(a.phase, b.phase)
  };
  return [...rows].sort((a, b) => first[order](a, b) || byName(a, b));
}

/** How long ago a time (RFC 3339) is, in one unit: 45 s, 3 min, 2 h, 5 d. Empty for what is no time. */
export function ageOf(created: string, now: number, trans: TranslationBundle): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(created)) / 1000));
  if (Number.isNaN(seconds)) {
    return '';
  }
  if (seconds < 60) {
    return trans.__('%1 s', seconds);
  }
  if (seconds < 3600) {
    return trans.__('%1 min', Math.floor(seconds / 60));
  }
  return seconds < 48 * 3600
    ? trans.__('%1 h', Math.floor(seconds / 3600))
    : trans.__('%1 d', Math.floor(seconds / 86400));
}

/** How many jobs do something now: run, or prepare to. */
export function atWork(rows: IRow[]): number {
  return rows.filter(row => !row.final && row.tone === 'busy').length;
}

/** The rows that have come to their end since another state of the list, in which they were and had not. */
export function ended(before: IRow[], now: IRow[]): IRow[] {
  const going = new Set(before.filter(row => !row.final).map(rowKey));
  return now.filter(row => row.final && going.has(rowKey(row)));
}

/** Those of ended rows that one wants to be told of. */
export function toldOf(rows: IRow[], notify: 'always' | 'failures' | 'never'): IRow[] {
  return rows.filter(row => notify === 'always' || (notify === 'failures' && row.tone === 'bad'));
}

/** What can be done with an object as it is now, in the order of buttons. */
export function actionsFor(row: { kind: string; tone: Tone; final: boolean }): ActionName[] {
  const group = groupOf(row.kind);
  const found: ActionName[] = ['open', 'logs'];
  if (group === 'deployments') {
    found.push('chat');
  }
  if (group === 'jobs' && !row.final) {
    found.push('cancel');
  }
  if (group === 'jobs') {
    found.push('rerun');
  }
  if (FORMS.includes(row.kind)) {
    found.push('clone');
  }
  if (row.tone === 'good' && (group === 'models' || (row.kind === 'finetune' && row.final))) {
    found.push('deploy');
  }
  found.push('delete');
  return found;
}
