import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import ts from 'typescript';
import { describe, expect, it } from 'vitest';

/** Attributes, and fields of options, whose texts a person reads or hears. */
const SPOKEN = new Set([
  'aria-label',
  'aria-description',
  'aria-valuetext',
  'alt',
  'caption',
  'label',
  'placeholder',
  'title',
  'tooltip',
  'body',
  'message'
]);
/** Calls whose texts a person reads, when they are given as they are. */
const SAID = /^(Notification\.\w+|Error|showErrorMessage|setAttribute)$/;
const LETTERS = /\p{L}{2}/u;
/** What is the same in all languages. */
const NAMES = new Set(['cpod']);

/** Texts in a source that a person would read as they stand there: the line, and the text. */
export function untranslated(source: string): string[] {
  const file = ts.createSourceFile('x.tsx', source, ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX);
  const found: string[] = [];
  const keep = (node: ts.Node, text: string): void => {
    if (LETTERS.test(text) && !NAMES.has(text.trim())) {
      const { line } = file.getLineAndCharacterOfPosition(node.getStart());
      found.push(`${line + 1}: ${text.trim()}`);
    }
  };
  /** The literals that an expression can come out as; what is given to calls is theirs. */
  const literals = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node)) {
      keep(node, node.text);
    } else if (ts.isTemplateExpression(node)) {
      keep(
        node,
        [node.head, ...node.templateSpans.map(each => each.literal)].map(each => each.text).join(' ')
      );
      node.templateSpans.forEach(each => literals(each.expression));
    } else if (ts.isConditionalExpression(node)) {
      literals(node.whenTrue);
      literals(node.whenFalse);
    } else if (ts.isBinaryExpression(node)) {
      const compares = /^[=!]==?$/.test(node.operatorToken.getText());
      if (!compares) {
        literals(node.right);
        literals(node.left);
      }
    } else if (ts.isParenthesizedExpression(node) || ts.isJsxExpression(node) || ts.isAsExpression(node)) {
      node.forEachChild(literals);
    } else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) {
      literals(node.body);
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isJsxText(node)) {
      keep(node, node.text);
    } else if (ts.isJsxExpression(node) && !ts.isJsxAttribute(node.parent)) {
      literals(node);
    } else if (ts.isJsxAttribute(node) && SPOKEN.has(node.name.getText()) && node.initializer) {
      literals(node.initializer);
    } else if (ts.isPropertyAssignment(node) && SPOKEN.has(node.name.getText().replace(/'/g, ''))) {
      literals(node.initializer);
    } else if ((ts.isCallExpression(node) || ts.isNewExpression(node)) && SAID.test(calleeOf(node))) {
      const [first, second] = node.arguments ?? [];
      if (calleeOf(node) !== 'setAttribute') {
        literals(first);
      } else if (ts.isStringLiteral(first) && SPOKEN.has(first.text)) {
        literals(second);
      }
    } else if (
      ts.isBinaryExpression(node) &&
      node.operatorToken.kind === ts.SyntaxKind.EqualsToken &&
      /\.(title\.(label|caption)|textContent)$/.test(node.left.getText())
    ) {
      literals(node.right);
    }
    node.forEachChild(visit);
  };
  visit(file);
  return found;
}

/** The name of what is called; of a method, with what it is a method of where that is a name. */
function calleeOf({ expression }: ts.CallExpression | ts.NewExpression): string {
  const text = expression.getText();
  return text.endsWith('.setAttribute') ? 'setAttribute' : text;
}

const SOURCES = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(name =>
  /\.tsx?$/.test(name)
);

describe('Every text that a person reads', () => {
  it.each([
    ['<p>Some words</p>', '1: Some words'],
    ['<p>{busy ? "Some words" : trans.__("x")}</p>', '1: Some words'],
    ['<p>{name || `is ${there} now`}</p>', '1: is   now'],
    ['<input aria-label="Some words" />', '1: Some words'],
    ['<input title={kind === "job" ? "Some words" : ""} />', '1: Some words'],
    ['add({ label: () => "Some words" })', '1: Some words'],
    ['throw new Error("Some words")', '1: Some words'],
    ['Notification.info("Some words")', '1: Some words'],
    ['node.setAttribute("aria-label", "Some words")', '1: Some words'],
    ['this.title.label = "Some words"', '1: Some words']
  ])('is found here: %s', (source, expected) => {
    expect(untranslated(source)).toEqual([expected]);
  });

  it.each([
    '<p>{trans.__("Some words")}</p>',
    '<p className="some words">{kind === "job" && name}</p>',
    '<input aria-label={trans.__("%1: %2", "one", name)} />',
    '<p>… · {count}</p>',
    'node.setAttribute("role", "region")',
    'this.title.label = this.address.name'
  ])('is not suspected here: %s', source => {
    expect(untranslated(source)).toEqual([]);
  });

  it.each(SOURCES)('goes through the translator in %s', name => {
    expect(untranslated(readFileSync(join('src', name), 'utf8'))).toEqual([]);
  });
});
