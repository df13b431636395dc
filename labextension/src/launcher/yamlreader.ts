/**
 * Reads the YAML that people write in manifests: block and flow collections, plain, quoted and block scalars, comments.
 *
 * Anchors, tags, and several documents in one text are refused with a sentence.
 */

import { resolved, Value } from './yaml';

/** A scalar without quotes: what it means depends on where it stands. */
export class Plain {
  constructor(readonly text: string) {}
}

export type Node = string | Plain | Node[] | { [key: string]: Node };

/** What is wrong with a text, and where; the line counts from 1. */
export class YamlError extends Error {
  constructor(
    message: string,
    readonly line: number
  ) {
    super(`line ${line}: ${message}`);
  }
}

/** How deep collections may lie in each other. */
const DEEPEST = 60;
const KEY =
  /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|(?![[\]{}#&*!|>%@`"',]|[-?:](?:\s|$))(?:[^\s:#]|:(?=\S)|\s+(?=[^\s#:])|(?<=\S)#)+)\s*:(?=\s|$)/;
const ESCAPES: Record<string, string> = {
  '0': '\0', a: '\x07', b: '\b', t: '\t', '\t': '\t', n: '\n', v: '\v', f: '\f', r: '\r', e: '\x1b', ' ': ' ', '"': '"',
  '/': '/', '\\': '\\', N: '\x85', _: '\xa0', L: '\u2028', P: '\u2029'
}; // prettier-ignore

/** A tree with every plain scalar read as what it is by itself. */
export function plainValue(node: Node): Value {
  if (node instanceof Plain) {
    return resolved(node.text);
  }
  if (Array.isArray(node)) {
    return node.map(plainValue);
  }
  if (typeof node === 'object') {
    return Object.fromEntries(Object.entries(node).map(([key, each]) => [key, plainValue(each)]));
  }
  return node;
}

/** The one document of a text. Raises YamlError. */
export function read(text: string): Node {
  return new Reader(text).document();
}

class Reader {
  constructor(text: string) {
    this._lines = text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/);
  }

  document(): Node {
    let start = this._peek();
    if (start && /^---(\s|$)/.test(start.text)) {
      this._lines[this._at] = `   ${start.text.slice(3)}`;
      start = this._peek();
    }
    const found = start ? this._block(start.indent, 0) : new Plain('');
    const end = this._peek();
    if (end && /^(---|\.\.\.)(\s|$)/.test(end.text)) {
      this._at += 1;
      if (this._peek()) {
        this._fail('there is more than one object in it');
      }
    } else if (end) {
      this._fail('not in line with what is above it');
    }
    return found;
  }

  /** A collection or a scalar whose first line has this indent. */
  private _block(indent: number, depth: number): Node {
    if (depth > DEEPEST) {
      this._fail('too deep');
    }
    const { text } = this._peek()!;
    if (/^-(\s|$)/.test(text)) {
      return this._sequence(indent, depth);
    }
    if (KEY.test(text)) {
      return this._mapping(indent, depth);
    }
    return this._inline(text, indent - 1, depth);
  }

  private _sequence(indent: number, depth: number): Node[] {
    const found: Node[] = [];
    for (
      let line = this._peek();
      line?.indent === indent && /^-(\s|$)/.test(line.text);
      line = this._peek()
    ) {
      const rest = line.text.slice(1);
      this._lines[this._at] = ' '.repeat(indent + 1) + rest;
      found.push(this._after(rest.trim(), indent, depth, false));
    }
    return found;
  }

  private _mapping(indent: number, depth: number): Node {
    const found: { [key: string]: Node } = {};
    for (let line = this._peek(); line?.indent === indent; line = this._peek()) {
      const match = KEY.exec(line.text);
      if (!match) {
        if (/^(---|\.\.\.)(\s|$)/.test(line.text)) {
          break;
        }
        this._fail('a key and a colon are missing');
      }
      const key = this._key(match[1]);
      if (Object.hasOwn(found, key)) {
        this._fail(`${key} is there twice`);
      }
      const rest = line.text.slice(match[0].length);
      found[key] = this._after(rest.trim(), indent, depth, true);
    }
    return found;
  }

  private _key(text: string): string {
    if (text === '__proto__' || text === '<<') {
      this._fail(`the form cannot read a key named ${text}`);
    }
    return /^["']/.test(text) ? this._quotedIn(text)[0] : text.trimEnd();
  }

  /** What follows a colon or a dash: on the same line, or below it and deeper. */
  private _after(rest: string, indent: number, depth: number, ofKey: boolean): Node {
    if (rest && !rest.startsWith('#')) {
      const inner = this._peek()!;
      return ofKey ? this._inline(rest, indent, depth) : this._item(inner.indent, rest, indent, depth);
    }
    this._at += 1;
    const below = this._peek();
    const beside = ofKey && below?.indent === indent && /^-(\s|$)/.test(below.text);
    return below && (below.indent > indent || beside) ? this._block(below.indent, depth + 1) : new Plain('');
  }

  private _item(inner: number, rest: string, indent: number, depth: number): Node {
    const compact = /^-(\s|$)/.test(rest) || KEY.test(rest);
    return compact ? this._block(inner, depth + 1) : this._inline(rest, indent, depth);
  }

  /** A scalar or a flow collection that begins on the current line; `indent` is that of what holds it. */
  private _inline(rest: string, indent: number, depth: number): Node {
    if (/^[&*!]/.test(rest)) {
      this._fail('the form does not read anchors and tags');
    }
    if (/^[|>]/.test(rest)) {
      return this._literal(rest, indent);
    }
    if (/^["'[{]/.test(rest)) {
      return this._flowing(rest, depth);
    }
    if (/^[%@`]/.test(rest)) {
      this._fail(`a value may not begin with ${rest[0]}`);
    }
    return this._plain(rest, indent);
  }

  private _plain(rest: string, indent: number): Plain {
    const parts = [uncommented(rest)];
    if (/:(\s|$)/.test(parts[0])) {
      this._fail('a second ": " on one line; quote the value if the colon belongs to it');
    }
    this._at += 1;
    let empty = 0;
    for (; parts[0] === rest && this._at < this._lines.length; this._at++) {
      const line = this._lines[this._at];
      const text = line.trim();
      if (!text) {
        empty += 1;
        continue;
      }
      if (indentOf(line) <= indent || text.startsWith('#') || /^(---|\.\.\.)(\s|$)/.test(line)) {
        break;
      }
      if (KEY.test(text)) {
        this._fail('deeper than what is above it');
      }
      parts.push(empty ? '\n'.repeat(empty) : ' ', uncommented(text));
      empty = 0;
    }
    return new Plain(parts.join(''));
  }

  private _literal(rest: string, indent: number): string {
    const header = /^([|>])(?:([1-9])([-+])?|([-+])([1-9])?)?\s*(?:\s#.*)?$/.exec(rest);
    if (!header) {
      this._fail('not the beginning of a block of text');
    }
    const style = header[1];
    const given = header[2] ?? header[5];
    const chomping = header[3] ?? header[4] ?? '';
    this._at += 1;
    const taken: string[] = [];
    let inner = given ? Math.max(indent, 0) + Number(given) : 0;
    for (; this._at < this._lines.length; this._at++) {
      const line = this._lines[this._at];
      if (line.trim() && !inner) {
        inner = indentOf(line);
      }
      if (line.trim() && (indentOf(line) < inner || indentOf(line) <= indent)) {
        break;
      }
      taken.push(line.slice(inner || line.length));
    }
    let end = taken.length;
    while (end && !taken[end - 1]) {
      end -= 1;
    }
    const body = style === '|' ? taken.slice(0, end).join('\n') : folded(taken.slice(0, end));
    const kept =
      taken.length - end - (this._at === this._lines.length && this._lines[this._at - 1] === '' ? 1 : 0);
    return (
      body +
      (chomping === '-' || (!body && !chomping)
        ? ''
        : '\n'.repeat(chomping === '+' ? kept + (body ? 1 : 0) : 1))
    );
  }

  /** A quoted scalar or a flow collection, which may go over several lines. */
  private _flowing(rest: string, depth: number): Node {
    const text = [rest, ...this._lines.slice(this._at + 1)].join('\n');
    this._flow = text;
    this._cursor = 0;
    const found = this._flowNode(depth);
    const used = text.slice(0, this._cursor).split('\n').length - 1;
    this._at += used;
    const left = text.slice(this._cursor).split('\n', 1)[0];
    if (left.trim() && !/^\s+#/.test(left)) {
      this._fail(`unexpected ${left.trim().slice(0, 20)}`);
    }
    this._at += 1;
    return found;
  }

  private _flowNode(depth: number): Node {
    if (depth > DEEPEST) {
      this._fail('too deep');
    }
    this._blank();
    const first = this._flow[this._cursor];
    if (first === '"' || first === "'") {
      const [text, length] = this._quotedIn(this._flow.slice(this._cursor));
      this._cursor += length;
      return text;
    }
    if (first === '[') {
      const found: Node[] = [];
      this._members(']', () => found.push(this._flowNode(depth + 1)));
      return found;
    }
    if (first === '{') {
      const found: { [key: string]: Node } = {};
      this._members('}', () => {
        const key = this._flowNode(depth + 1);
        const name = this._key(
          typeof key === 'string' ? JSON.stringify(key) : key instanceof Plain ? key.text : '<<'
        );
        this._blank();
        if (this._flow[this._cursor] === ':') {
          this._cursor += 1;
          found[name] = this._flowNode(depth + 1);
        } else {
          found[name] = new Plain('');
        }
      });
      return found;
    }
    if (first !== undefined && /[&*!]/.test(first)) {
      this._fail('the form does not read anchors and tags');
    }
    const match = /^(?:[^,[\]{}\n:#]|:(?![\s,[\]{}]|$)|(?<=\S)#)*/.exec(this._flow.slice(this._cursor))!;
    this._cursor += match[0].length;
    return new Plain(match[0].trim());
  }

  private _members(close: string, member: () => void): void {
    this._cursor += 1;
    for (;;) {
      this._blank();
      if (this._flow[this._cursor] === close) {
        this._cursor += 1;
        return;
      }
      const before = this._cursor;
      member();
      this._blank();
      if (this._flow[this._cursor] === ',') {
        this._cursor += 1;
      } else if (this._flow[this._cursor] !== close || this._cursor === before) {
        this._fail(`a ${close} is missing`);
      }
    }
  }

  /** Go over space, line ends and comments in a flow collection. */
  private _blank(): void {
    const match = /^(?:\s|(?<![^\s])#[^\n]*)*/.exec(this._flow.slice(this._cursor))!;
    this._cursor += match[0].length;
  }

  /** The text of the quoted scalar that begins here, and its length as written. */
  private _quotedIn(text: string): [string, number] {
    const double = text[0] === '"';
    const match = (double ? /^"(?:[^"\\]|\\[^])*"/ : /^'(?:[^']|'')*'/).exec(text);
    if (!match) {
      this._fail('a quote is missing');
    }
    const inner = match[0]
      .slice(1, -1)
      .replace(/(?<!\\)[ \t]*\n\s*/g, gap => '\n'.repeat(Math.max(gap.split('\n').length - 2, 0)) || ' ');
    if (!double) {
      return [inner.replace(/''/g, "'"), match[0].length];
    }
    const unescaped = inner.replace(
      /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|\n\s*|([^]))/g,
      (all, x, u, long, one) => {
        const code = x ?? u ?? long;
        if (code) {
          return u
            ? String.fromCharCode(parseInt(u, 16))
            : String.fromCodePoint(Math.min(parseInt(code, 16), 0x10ffff));
        }
        return one === undefined ? '' : (ESCAPES[one] ?? this._fail(`${all} is no escape`));
      }
    );
    return [unescaped, match[0].length];
  }

  /** The next line with something on it, which becomes the current one. */
  private _peek(): { indent: number; text: string } | null {
    for (; this._at < this._lines.length; this._at++) {
      const line = this._lines[this._at];
      const text = line.trim();
      if (text && !text.startsWith('#')) {
        if (/^ *\t/.test(line)) {
          this._fail('a tab; indent with spaces');
        }
        return { indent: indentOf(line), text };
      }
    }
    return null;
  }

  private _fail(message: string): never {
    throw new YamlError(message, Math.min(this._at + 1, this._lines.length));
  }

  private _lines: string[];
  private _at = 0;
  private _flow = '';
  private _cursor = 0;
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

function uncommented(text: string): string {
  return text.replace(/\s+#.*$/, '');
}

/** Lines of a `>` block: joined by spaces, but for empty ones and those that are indented further. */
function folded(lines: string[]): string {
  let found = '';
  lines.forEach((line, at) => {
    const before = lines[at - 1];
    if (at === 0) {
      found = line || '\n';
    } else if (line === '') {
      found += '\n';
    } else {
      const kept = /^\s/.test(line) || (before !== '' && /^\s/.test(before));
      found += before === '' ? (kept ? `\n${line}` : line) : (kept ? '\n' : ' ') + line;
    }
  });
  return found;
}
