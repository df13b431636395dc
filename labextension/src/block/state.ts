/**
 * What a block shows: the JSON that `cpod_jupyter/sdk/view/state.py` makes of a snapshot.
 */

export const MIME = 'application/vnd.cpod.block.v1+json';

export type Tone = 'good' | 'bad' | 'busy' | 'wait';

export interface IPod {
  /** `worker-1`, or the pod's name where it has no role. */
  place: string;
  phase: string;
  tone: Tone;
  /** `1.9 CPUs, 812 MB`; empty where the cluster does not tell. */
  uses: string;
  node: string;
}

export interface IProgress {
  /** 0 to 1; null when the whole is not known. */
  fraction: number | null;
  words: string;
}

/** A line of log: which pod wrote it, and what. A note between lines has no place. */
export type LogLine = [place: string, text: string];

/** Where an object is: enough to ask the server for it. */
export interface IAddress {
  context: string;
  namespace: string;
  kind: string;
  name: string;
}

export interface IBlockState extends IAddress {
  version: number;
  phase: string;
  tone: Tone;
  /** Whether it has come to an end and will not change again. */
  final: boolean;
  failed: boolean;
  /** Whether the API server answers whoever follows the object. */
  connected: boolean;
  elapsed: string;
  progress: IProgress | null;
  numbers: string[];
  pods: IPod[];
  pods_left_out: number;
  reason: string;
  advice: string;
  evidence: string[];
  /** The text of the cell that would mend a failure; empty where none is certain. */
  fix: string;
  events: string[];
  /** An SVG document; empty with fewer than two points. */
  curve: string;
  curve_label: string;
  log: LogLine[];
  url: string;
  result: string;
  can_cancel: boolean;
}

const TEXTS = ['context', 'namespace', 'kind', 'name', 'phase', 'tone'] as const;
const LISTS = ['numbers', 'pods', 'evidence', 'events', 'log'] as const;

/**
 * The state in an output's data, or null for what is none: of another version, or damaged.
 */
export function readState(value: unknown): IBlockState | null {
  if (typeof value !== 'object' || value === null) {
    return null;
  }
  const found = value as Record<string, unknown>;
  const whole =
    found.version === 1 &&
    TEXTS.every(key => typeof found[key] === 'string') &&
    LISTS.every(key => Array.isArray(found[key]));
  return whole ? (value as IBlockState) : null;
}

/** Where in a URL or a set an object is one of a kind. */
export function keyOf(address: IAddress): string {
  return [address.context, address.namespace, address.kind, address.name].map(encodeURIComponent).join('/');
}
