import { IFault } from '../server';

export type { IFault };

/**
 * A kind's schema as a form's fields, and a form's values as a manifest and back. Nothing here draws or asks anybody.
 */

import { TranslationBundle } from '@jupyterlab/translation';
import { isMap, isScalar, isSeq, Node, Scalar } from 'yaml';

import { keyOf, read, Value, write, writeAs } from './yaml';

export type { Value } from './yaml';

/** The part of a structural OpenAPI v3 schema that a form can be made from. */
export interface ISchema {
  type?: string;
  description?: string;
  properties?: Record<string, ISchema>;
  required?: string[];
  items?: ISchema;
  additionalProperties?: ISchema | boolean;
  enum?: Value[];
  default?: Value;
  minimum?: number;
  maximum?: number;
  /** Instead of the words that the field's name is made of; not in a cluster's schemas. */
  label?: string;
  /** Whether the fields of a group are to be seen at once; not in a cluster's schemas. */
  open?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
}

/** How a field is filled in; `free` is YAML by hand, where the schema doesn't say what belongs there. */
export type Shape = 'choice' | 'flag' | 'number' | 'text' | 'either' | 'group' | 'list' | 'map' | 'free';

export type Path = (string | number)[];
export type Fields = { [key: string]: Value };

/** The kinds that the form makes: by the word that the server has for them. */
export const KINDS = { finetune: 'FineTune', job: 'CPodJob', inference: 'Inference' } as const;
export type Kind = keyof typeof KINDS;

const API_VERSION = 'cpod.cpod/v1beta1';

/** What most people set, beside what is required, in the order in which it is asked for. */
const USUAL: Record<Kind, string[]> = {
  finetune: ['model', 'dataset', 'finetuneType', 'hyperParameters', 'gpuCount', 'gpuProduct'],
  job: ['image', 'command', 'gpuRequiredPerReplica', 'gpuType'],
  inference: ['modelId', 'gpuCount', 'gpuType']
};

/** Fields that name something which the server has a list of. */
const PICKED: Record<string, 'models' | 'datasets' | 'gpus'> = {
  model: 'models',
  modelId: 'models',
  pretrainModelName: 'models',
  dataset: 'datasets',
  datasetName: 'datasets',
  gpuProduct: 'gpus',
  gpuType: 'gpus'
};

/** Which list the field of a spec is picked from, if any. */
export function pickedFrom(path: Path): 'models' | 'datasets' | 'gpus' | null {
  return path.length === 2 && path[0] === 'spec' ? (PICKED[path[1]] ?? null) : null;
}

export interface IManifest {
  kind: Kind;
  metadata: Fields;
  spec: Fields;
}

export function shapeOf(schema: ISchema): Shape {
  if (schema['x-kubernetes-int-or-string']) {
    return 'either';
  }
  if (schema.enum) {
    return 'choice';
  }
  switch (schema.type) {
    case 'boolean':
      return 'flag';
    case 'integer':
    case 'number':
      return 'number';
    case 'string':
      return 'text';
    case 'array':
      return schema.items ? 'list' : 'free';
    case 'object':
      return schema.properties ? 'group' : typeof schema.additionalProperties === 'object' ? 'map' : 'free';
    default:
      return 'free';
  }
}

/** The names of a schema's fields: those to be asked for first (required before usual), and the others. */
export function fieldsOf(schema: ISchema, usual: string[] = []): { first: string[]; more: string[] } {
  const names = Object.keys(schema.properties ?? {});
  const required = new Set(schema.required ?? []);
  const first = [
    ...names.filter(name => required.has(name)),
    ...usual.filter(name => !required.has(name))
  ].filter(name => names.includes(name));
  return { first, more: names.filter(name => !first.includes(name)) };
}

/** The fields of a kind's spec, as `fieldsOf` has them. */
export function specFields(kind: Kind, schema: ISchema): { first: string[]; more: string[] } {
  return fieldsOf(schema, USUAL[kind]);
}

const CAPITALS = /^(gpu|gpus|url|uri|id|ip|dns|mpi|api|cpu|pid|ipc)$/i;

/** `gpuRequiredPerReplica` → `GPU required per replica`. */
export function labelOf(name: string): string {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .split(/[ _]+/)
    .map(word =>
      CAPITALS.test(word) ? word.toUpperCase() : /^[A-Z]{2}/.test(word) ? word : word.toLowerCase()
    );
  const text = words.join(' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** As faults name it: `spec.env[0].name`. */
export function dotted(path: Path): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text ? `${text}.${part}` : part),
    ''
  );
}

/** What stands at a path; undefined where nothing does. */
export function valueAt(value: Value | undefined, path: Path): Value | undefined {
  return path.reduce<Value | undefined>(
    (found, part) =>
      typeof found === 'object' && found !== null && Object.hasOwn(found, part)
        ? (found as Fields)[part as string]
        : undefined,
    value
  );
}

/**
 * The same with another value at a path. Undefined takes the field away, and with it the groups around it that are
 * empty then: a form has no other way to say that a group is not wanted.
 */
export function withValue(value: Value | undefined, path: Path, next: Value | undefined): Value | undefined {
  if (path.length === 0) {
    return next;
  }
  const [part, ...rest] = path;
  if (typeof part === 'number') {
    const list = Array.isArray(value) ? [...value] : [];
    const item = withValue(list[part], rest, next);
    if (item === undefined && rest.length === 0) {
      list.splice(part, 1);
    } else {
      list[part] = item ?? {}; // an emptied item stays: the person removes it
    }
    return list.length ? list : undefined;
  }
  const fields: Fields = { ...((value ?? {}) as Fields) };
  const field = withValue(fields[part], rest, next);
  if (field === undefined) {
    delete fields[part];
  } else {
    fields[part] = field;
  }
  return Object.keys(fields).length ? fields : undefined;
}

/** The manifest's YAML; what stands in `source`, too, is written as there, with its comments. */
export function toYaml({ kind, metadata, spec }: IManifest, source = ''): string {
  const value = { apiVersion: API_VERSION, kind: KINDS[kind], metadata, spec };
  return source ? writeAs(value, source) : write(value);
}

/** The kind that a manifest is of, or null for one that the form does not make. Raises YamlFault. */
export function kindOf(text: string, trans: TranslationBundle): Kind | null {
  const kind = valueAt(plainValue(text, trans), ['kind']);
  return (Object.keys(KINDS) as Kind[]).find(each => KINDS[each] === kind) ?? null;
}

/** The namespace that a manifest names itself; empty where it names none. Raises YamlFault. */
export function namespaceOf(text: string, trans: TranslationBundle): string {
  const found = valueAt(plainValue(text, trans), ['metadata', 'namespace']);
  return typeof found === 'string' ? found : '';
}

/**
 * A manifest's values as its kind's schema means them, without its namespace, for which a form has a field; null for a
 * kind that the form does not make. Raises YamlFault.
 */
export function fromYaml(text: string, schema: ISchema, trans: TranslationBundle): IManifest | null {
  const kind = kindOf(text, trans);
  if (!kind) {
    return null;
  }
  const named = { type: 'object', properties: { name: { type: 'string' } } };
  const whole = fields(meant(read(text, trans), { properties: { metadata: named, spec: schema } }));
  const { namespace: _, ...metadata } = fields(whole.metadata);
  return { kind, metadata, spec: fields(whole.spec) };
}

function fields(value: Value): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

/** A text with every plain scalar read as what it is by itself. Raises YamlFault. */
export function plainValue(text: string, trans: TranslationBundle): Value {
  return meant(read(text, trans), undefined);
}

/** A tree as a schema means it: where text belongs, `3` and `5e-5` are text, as they were written. */
function meant(node: Node | null, schema: ISchema | undefined): Value {
  if (isSeq<Node>(node)) {
    return node.items.map(item => meant(item, schema?.items));
  }
  if (isMap<Node, Node | null>(node)) {
    const others = typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
    return Object.fromEntries(
      node.items.map(({ key, value }) => {
        const name = keyOf(key);
        return [name, meant(value, schema?.properties?.[name] ?? others)];
      })
    );
  }
  if (!isScalar(node) || node.value === null) {
    return null;
  }
  const { type, source, value } = node as Scalar<string | number | boolean>;
  return schema?.type === 'string' && type === 'PLAIN' ? (source ?? value) : value;
}

/** What was typed into a field for a number: the number, or the text where it is none (the server says so). */
export function typedNumber(text: string): Value | undefined {
  const bare = text.trim();
  if (!bare) {
    return undefined;
  }
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(bare) && Number.isFinite(Number(bare))
    ? Number(bare)
    : text;
}

/** The faults of exactly this field. */
export function faultsOf(faults: IFault[], path: Path): string[] {
  const text = dotted(path);
  return faults.filter(fault => fault.path === text).map(fault => fault.message);
}

/** Whether something inside a field is at fault. */
export function hasFaultInside(faults: IFault[], path: Path): boolean {
  const text = dotted(path);
  return faults.some(fault => fault.path.startsWith(`${text}.`) || fault.path.startsWith(`${text}[`));
}

/** The faults that no field of this form is for, and which are therefore shown above them all. */
export function homeless(faults: IFault[], schema: ISchema): IFault[] {
  const form: ISchema = {
    properties: { metadata: { properties: { name: { type: 'string' } } }, spec: schema }
  };
  return faults.filter(({ path }) => path === 'spec' || path === '' || !isField(path.split(/[.[]/), form));
}

function isField(parts: string[], schema: ISchema | undefined): boolean {
  if (!schema || parts.length === 0) {
    return schema !== undefined;
  }
  const [part, ...rest] = parts;
  const shape = schema.properties ? 'group' : shapeOf(schema);
  if (shape === 'group') {
    return isField(rest, schema.properties![part]);
  }
  return shape === 'list' ? isField(rest, schema.items) : shape === 'map' || shape === 'free';
}
