/**
 * YAML as people write it in manifests: read, and written so that comments, order and style of what was read stay.
 *
 * The server reads YAML 1.1 as PyYAML does: `no` and `010` are no text there, and `1e3` and `12:30` are kept as text
 * here, too. What any reader could take for something else is quoted.
 */

import { TranslationBundle } from '@jupyterlab/translation';
import {
  Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  Node,
  Pair,
  ParsedNode,
  parseDocument,
  Scalar,
  ScalarTag,
  ToStringOptions,
  visit,
  YAMLError,
  YAMLMap,
  YAMLSeq
} from 'yaml';
import { stringifyString, StringifyContext } from 'yaml/util';

export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

type Collection = Value[] | { [key: string]: Value };

/** How deep collections may lie in each other. */
const DEEPEST = 60;
// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]|\p{Surrogate}/gu;

/** Text that readers do not agree about without quotes: tabs on one line; lines of nothing but space; one before all. */
const UNSTEADY = /^[^\n]*\t[^\n]*$|^\s[^]*\n|\n[ \t]+(\n|$)/;

/** Text; several lines are written as they are where every reader has them back, and quoted where not. */
const TEXT: ScalarTag = {
  tag: 'tag:yaml.org,2002:str',
  default: true,
  identify: value => typeof value === 'string',
  resolve: text => text,
  stringify: (item, context, onComment, onChompKeep) => {
    const text = item.value as string;
    const unsteady = UNSTEADY.test(text) || (context.inFlow && /\?|^:|\n/.test(text));
    if (unsteady || text.search(UNPRINTABLE) >= 0) {
      return JSON.stringify(text).replace(UNPRINTABLE, escaped);
    }
    return stringifyString(
      item as Scalar<string>,
      { ...context, actualString: true } as StringifyContext,
      onComment,
      onChompKeep
    );
  }
};

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** What a plain scalar is by itself, in the order in which it is tried. */
const PLAIN: ScalarTag[] = [
  { tag: 'tag:yaml.org,2002:value', default: true, test: /^(<<|=)$/, resolve: text => text }, // PyYAML: no text
  {
    tag: 'tag:yaml.org,2002:null',
    default: true,
    test: /^(~|null|Null|NULL|)$/,
    identify: value => value === null,
    createNode: () => new Scalar(null),
    resolve: () => new Scalar(null),
    stringify: () => 'null'
  },
  {
    tag: 'tag:yaml.org,2002:bool',
    default: true,
    test: /^(yes|Yes|YES|true|True|TRUE|on|On|ON|no|No|NO|false|False|FALSE|off|Off|OFF)$/,
    identify: value => typeof value === 'boolean',
    resolve: text => /^(yes|true|on)$/i.test(text),
    stringify: ({ value }) => String(value)
  },
  {
    tag: 'tag:yaml.org,2002:int',
    default: true,
    test: /^[-+]?0(b[01_]+|[0-7_]+|x[0-9a-fA-F_]+)$/,
    resolve: text => {
      const [, sign, prefix, digits] = /^([-+]?)(0b|0x|0)(.*)$/.exec(text.replace(/_/g, ''))!;
      return (sign === '-' ? -1 : 1) * parseInt(digits, prefix === '0b' ? 2 : prefix === '0x' ? 16 : 8);
    }
  },
  {
    tag: 'tag:yaml.org,2002:float',
    default: true,
    test: /^[-+]?(0|[1-9][0-9_]*|([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+][0-9]+)?)$/,
    identify: value => typeof value === 'number',
    resolve: text => Number(text.replace(/_/g, '')),
    stringify: ({ value }) => {
      const [mantissa, exponent] = String(value).split('e');
      return exponent ? `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}e${exponent}` : mantissa;
    }
  }
];

const OPTIONS = {
  schema: 'failsafe', // and what stands above
  customTags: (tags: any[]) => [...PLAIN, ...tags.filter(({ tag }) => tag !== TEXT.tag), TEXT]
} as const;
/** For what is written: other readers know more forms that are not text. */
const WRITTEN = { ...OPTIONS, compat: 'yaml-1.1', aliasDuplicateObjects: false } as const;
const STYLE: ToStringOptions = {
  indentSeq: false,
  lineWidth: 0,
  flowCollectionPadding: false,
  blockQuote: 'literal'
};

/** What is wrong with a text, and where. */
export class YamlFault extends Error {}

/**
 * The one document of a text. Raises YamlFault: also for anchors, tags, several documents in one text, and keys that a
 * form cannot read.
 */
export function read(text: string, trans: TranslationBundle): Node | null {
  const counter = new LineCounter();
  const fail = (at: number, message: string): never => {
    const { line, col } = counter.linePos(at);
    throw new YamlFault(trans.__('line %1, column %2: %3', line, col, message));
  };
  const document = parsed(text, counter);
  const [error] = [...document.errors, ...document.warnings];
  if (error) {
    fail(error.pos[0], inWords(error, text, trans));
  }
  visit(document, {
    Node: (_, node, path) => {
      const at = (node as ParsedNode).range?.[0] ?? 0;
      if (isAlias(node) || node.anchor || node.tag) {
        fail(at, trans.__('the form does not read anchors and tags'));
      }
      if (path.filter(each => isMap(each) || isSeq(each)).length > DEEPEST) {
        fail(at, trans.__('too deep'));
      }
    },
    Pair: (_, { key }) => {
      if (!isReadable(key)) {
        fail((key as ParsedNode).range[0], trans.__('the form cannot read a key named %1', keyOf(key)));
      }
    }
  });
  return document.contents;
}

function parsed(text: string, lineCounter?: LineCounter): Document.Parsed {
  return parseDocument(text, { ...OPTIONS, lineCounter, prettyErrors: false });
}

/** The sentence for a fault that the library found. */
function inWords({ code, pos, message }: YAMLError, text: string, trans: TranslationBundle): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return trans.__('%1 is there twice', text.slice(pos[0], pos[1]));
    case 'MULTIPLE_DOCS':
      return trans.__('there is more than one object in it');
    case 'TAG_RESOLVE_FAILED':
      return trans.__('the form does not read anchors and tags');
    case 'TAB_AS_INDENT':
      return trans.__('a tab; indent with spaces');
    case 'BLOCK_AS_IMPLICIT_KEY':
      return trans.__('a second ": " on one line; quote the value if the colon belongs to it');
    case 'MULTILINE_IMPLICIT_KEY':
      return trans.__('a key and a colon are missing');
    case 'BAD_SCALAR_START':
      return trans.__('a value may not begin with %1', text[pos[0]]);
    case 'BAD_INDENT': {
      const close = /end with a (.)/.exec(message)?.[1];
      return close ? trans.__('a %1 is missing', close) : trans.__('not in line with what is above it');
    }
    case 'MISSING_CHAR':
      return /quote/.test(message) ? trans.__('a quote is missing') : message;
    default:
      return message;
  }
}

/** Whether a key is text, and means nothing else to a program or to YAML 1.1. */
function isReadable(key: unknown): boolean {
  return isScalar(key) && key.value !== '__proto__' && !(key.value === '<<' && key.type === 'PLAIN');
}

/** The name of an entry, as it was written. */
export function keyOf(key: unknown): string {
  return isScalar(key) ? (key.source ?? String(key.value)) : String(key);
}

/** A value as YAML in block style, ending with a newline. */
export function write(value: Value): string {
  return new Document(value, WRITTEN).toString(STYLE);
}

/**
 * A value as YAML, with the comments, the order and the style that `source` has for what stands in both: for what is at
 * `from` in the source and at `into` in the value. A source that cannot be read is as good as none.
 */
export function writeAs(
  value: Value,
  source: string,
  { from = [], into = [] }: { from?: string[]; into?: string[] } = {}
): string {
  const old = parsed(source);
  const node = from.length ? old.getIn(from, true) : old.contents;
  const made = new Document<Node>(value, WRITTEN);
  if (old.errors.length || old.warnings.length || !isNode(node)) {
    return made.toString(STYLE);
  }
  const inner = into.reduce<Value>((found, part) => (found as { [key: string]: Value })[part], value);
  if (into.length) {
    made.setIn(into, fitted(node, inner));
  } else {
    made.contents = fitted(node, inner);
  }
  made.commentBefore = old.commentBefore;
  made.comment = old.comment;
  return made.toString(STYLE);
}

/** The node that has this value, made from one that may have another. */
function fitted(node: Node | null | undefined, value: Value): Node {
  if (isMap(node) && isCollection(value) && !Array.isArray(value)) {
    return fitMap(node, value);
  }
  if (isSeq(node) && Array.isArray(value)) {
    return fitList(node, value);
  }
  if (isScalar(node) && !isCollection(value) && node.value === value && !node.tag && !node.anchor) {
    return node;
  }
  const made = new Document(value, WRITTEN).contents as Node;
  made.commentBefore = node?.commentBefore;
  made.spaceBefore = node?.spaceBefore;
  if (isScalar(made)) {
    made.comment = node?.comment;
  }
  return made;
}

function fitMap(map: YAMLMap, value: { [key: string]: Value }): Node {
  const names = map.items.map(({ key }) => keyOf(key));
  const kept = map.items.filter((_, at) => Object.hasOwn(value, names[at]));
  kept.forEach(pair => (pair.value = fitted(pair.value as Node | null, value[keyOf(pair.key)])));
  const added = Object.keys(value).filter(name => !names.includes(name));
  map.items = [
    ...kept,
    ...added.map(name => new Pair<unknown, unknown>(new Scalar(name), fitted(null, value[name])))
  ];
  map.anchor = map.tag = undefined;
  return map;
}

/** Items keep what belongs to them when others are taken away; those that were changed follow in their order. */
function fitList(list: YAMLSeq, value: Value[]): Node {
  const left = list.items.filter(isNode);
  const same = value.map(item => {
    const text = JSON.stringify(item);
    const at = left.findIndex(node => JSON.stringify(node) === text);
    return at < 0 ? undefined : left.splice(at, 1)[0];
  });
  list.items = value.map((item, at) => fitted(same[at] ?? left.shift(), item));
  list.anchor = list.tag = undefined;
  return list;
}

function isCollection(value: Value): value is Collection {
  return typeof value === 'object' && value !== null;
}
