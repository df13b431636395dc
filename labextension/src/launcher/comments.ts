/**
 * Between a `%%cpod` cell and its manifest the server carries the values. What a person wrote around them (comments,
 * order, style) is put back here; what cannot be put back is left out.
 */

import { TranslationBundle } from '@jupyterlab/translation';

import { plainValue, Value } from './spec';
import { writeAs } from './yaml';

/** The manifest that the server made of a cell, written as the cell is. */
export function manifestLikeCell(manifest: string, cell: string, trans: TranslationBundle): string {
  const [, body] = parts(cell);
  return like(manifest, value => writeAs(value, body, { into: isWhole(body) ? [] : ['spec'] }), trans);
}

/** The cell that the server made of a manifest, written as the manifest is. */
export function cellLikeManifest(cell: string, manifest: string, trans: TranslationBundle): string {
  const [line, body] = parts(cell);
  if (!body) {
    return cell;
  }
  const from = isWhole(body) ? [] : ['spec'];
  return `${line}\n${like(body, value => writeAs(value, manifest, { from }), trans)}`;
}

function like(text: string, written: (value: Value) => string, trans: TranslationBundle): string {
  try {
    const found = written(plainValue(text, trans));
    return braces(found) === braces(text) ? found : text; // in a cell, one in a comment would be evaluated
  } catch {
    return text;
  }
}

/** A cell's first line, and its body. */
function parts(cell: string): [line: string, body: string] {
  const text = cell.trimStart();
  const end = text.indexOf('\n');
  return end < 0 ? [text, ''] : [text.slice(0, end), text.slice(end + 1)];
}

/** Whether a body is a manifest, and not its spec alone. */
function isWhole(body: string): boolean {
  return /^apiVersion\s*:/m.test(body);
}

function braces(text: string): number {
  return text.split('{{').length;
}
