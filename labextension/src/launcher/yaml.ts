/**
 * YAML as people write it in manifests: written so that every reader takes it alike, and read.
 *
 * JupyterLab ships no YAML library. The server reads YAML 1.1 (PyYAML), where `no`, `1_000` and `12:30` are not text:
 * whatever could be taken for something else is quoted.
 */

export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

/** Text that no reader takes for anything but this text, without quotes. */
const SAFE = /^[A-Za-z_/](?:[A-Za-z0-9_./@%+=();~-]|:(?=[^\s:])|[ ](?=[^\s#]))*$/;
/** Words that are no text in YAML 1.1. */
const WORD = /^(null|true|false|yes|no|on|off|y|n)$/i;
// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]|\p{Surrogate}/u;

/** A value in block style, ending with a newline. */
export function write(value: Value): string {
  return (isFull(value) ? linesOf(value, '') : put('', value, '')).join('\n').trimStart() + '\n';
}

function linesOf(value: Value[] | { [key: string]: Value }, pad: string): string[] {
  if (!Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, each]) => put(`${pad}${quoted(key)}:`, each, pad));
  }
  return value.flatMap(item => {
    if (!isFull(item)) {
      return put(`${pad}-`, item, pad);
    }
    const [first, ...rest] = linesOf(item, `${pad}  `);
    return [`${pad}- ${first.slice(pad.length + 2)}`, ...rest];
  });
}

/** A value after a key's colon or an item's dash. */
function put(head: string, value: Value, pad: string): string[] {
  if (isFull(value)) {
    return [head, ...linesOf(value, Array.isArray(value) ? pad : `${pad}  `)];
  }
  if (typeof value === 'string' && isBlock(value)) {
    const chomping = value.endsWith('\n\n') ? '+' : value.endsWith('\n') ? '' : '-';
    const lines = (value.endsWith('\n') ? value.slice(0, -1) : value).split('\n');
    return [`${head} |${chomping}`, ...lines.map(line => (line ? `${pad}  ${line}` : ''))];
  }
  return [`${head} ${scalar(value)}`];
}

/** Whether there is something in it: an empty list or map is written on its key's line. */
function isFull(value: Value): value is Value[] | { [key: string]: Value } {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

/** Whether a text can stand as a literal block, as scripts are best read. */
function isBlock(text: string): boolean {
  const lines = text.split('\n');
  return (
    lines.length > 1 &&
    /^[^\s]/.test(text) &&
    !UNPRINTABLE.test(text) &&
    lines.every(line => !/^\s+$/.test(line))
  );
}

function scalar(value: Value): string {
  if (typeof value === 'number' && Number.isFinite(value)) {
    const [mantissa, exponent] = String(value).split('e');
    return exponent ? `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}e${exponent}` : mantissa;
  }
  return typeof value === 'string' ? quoted(value) : JSON.stringify(value); // true, null, [], {}
}

function quoted(text: string): string {
  if (SAFE.test(text) && !WORD.test(text)) {
    return text;
  }
  const escape = (each: string): string =>
    [...Array(each.length).keys()]
      .map(at => `\\u${each.charCodeAt(at).toString(16).padStart(4, '0')}`)
      .join('');
  return JSON.stringify(text).replace(new RegExp(UNPRINTABLE, 'gu'), escape);
}

const DECIMAL = /^[-+]?(0|[1-9][0-9_]*)$/;
const BASED = /^([-+]?)0(b[01_]+|[0-7_]+|x[0-9a-fA-F_]+)$/;
const FLOAT = /^[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+][0-9]+)?$/;

/** What a plain scalar is by itself (YAML 1.1); what would be a time or a sexagesimal number stays text. */
export function resolved(text: string): string | number | boolean | null {
  if (/^(~|null|Null|NULL|)$/.test(text)) {
    return null;
  }
  if (/^(yes|Yes|YES|true|True|TRUE|on|On|ON)$/.test(text)) {
    return true;
  }
  if (/^(no|No|NO|false|False|FALSE|off|Off|OFF)$/.test(text)) {
    return false;
  }
  const bare = text.replace(/_/g, '');
  if (DECIMAL.test(text) || FLOAT.test(text)) {
    return Number(bare);
  }
  const based = BASED.exec(bare);
  if (based) {
    const [base, digits] = based[2][0] === 'b' ? [2, 1] : based[2][0] === 'x' ? [16, 1] : [8, 0];
    return (based[1] === '-' ? -1 : 1) * parseInt(based[2].slice(digits), base);
  }
  return text;
}
