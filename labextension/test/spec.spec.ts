import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import { cellLikeManifest, manifestLikeCell } from '../src/launcher/comments';
import {
  fieldsOf,
  fromYaml,
  homeless,
  IManifest,
  ISchema,
  labelOf,
  namespaceOf,
  plainValue,
  specFields,
  toYaml,
  typedNumber,
  withValue
} from '../src/launcher/spec';
import { Value, write, writeAs } from '../src/launcher/yaml';

const trans = nullTranslator.load('');
const valueOf = (text: string): Value => plainValue(text, trans);

/** Texts that some reader of YAML takes for something else when they stand without quotes. */
const TRICKY = [
  'no', 'Yes', 'on', 'y', 'null', '~', '', 'true', '1', '-1', '010', '0x1f', '0b1', '1_000', '1e3', '1.0e+5', '.5', '5.',
  '12:30', '1:2:3', '2026-01-01', '.inf', '.nan', '=', '<<', '-', '- a', '--', '---', '...', '? a', ':', 'a:', 'a: b',
  ':a', 'a #b', '#a', '&a', '*a', '!a', '|', '>', '[a', '{a', '@a', '%a', '`a', '"a"', "'a'", "it's", 'a\\b', ' a', 'a ',
  '\ta', 'a\tb', 'a  b', '\u0007', '\u0085', '\u2028', '\ufeff', '日本', '😀', 'a\r\nb', 'a\n', 'a\n\n', '\na', ' a\nb',
  'a\n \nb', 'import os\nfor i in range(3):\n    print(i)  # no comment\n', '$(RANK)', '{{ data }}', '--lr=1e-5', 'a,b'
]; // prettier-ignore

const schema: ISchema = {
  type: 'object',
  required: ['image'],
  properties: {
    jobType: { type: 'string', enum: ['pytorch', 'general'], default: 'general' },
    image: { type: 'string' },
    command: { type: 'array', items: { type: 'string' } },
    gpuType: { type: 'string' },
    env: {
      type: 'array',
      items: { type: 'object', required: ['name'], properties: { name: { type: 'string' }, value: { type: 'string' } } }
    },
    hyperParameters: { type: 'object', additionalProperties: { type: 'string' } },
    port: { 'x-kubernetes-int-or-string': true },
    duration: { type: 'integer', default: 0 },
    anything: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  }
}; // prettier-ignore

describe('YAML', () => {
  it.each(TRICKY)('keeps the text %j as key, as value and in lists', text => {
    const value: Value = { [text]: text, list: [text, [text], { a: text, b: [text] }], last: 'end' };
    expect(valueOf(write(value))).toEqual(value);
    expect(valueOf(write(text))).toEqual(text);
  });

  it.each([
    0,
    -3,
    1.5,
    1e-7,
    2e-5,
    1e22,
    true,
    false,
    null,
    [],
    {},
    [[], {}],
    [[1, [2]], { a: { b: [] } }]
  ] as Value[])('keeps %j', value =>
    expect(valueOf(write({ a: value, b: [value] }))).toEqual({ a: value, b: [value] })
  );

  it('writes as a person would: no needless quotes, and scripts as they are', () => {
    const text = write({
      image: 'python:3.11',
      count: '5',
      script: 'a\n  b\n',
      rate: 1e-7,
      no: ['x', { a: 1, b: [2] }]
    });
    expect(text).toBe(
      'image: python:3.11\ncount: "5"\nscript: |\n  a\n    b\nrate: 1.0e-7\n"no":\n- x\n- a: 1\n  b:\n  - 2\n'
    );
  });

  it('reads what people write', () => {
    const text = `# a job
---
spec: # what it is
  command: [python, -c, "print('a, b: c') # no comment", {a: 1, "b": }]
  args:
  - 'it''s'   # quoted
  -   - nested
      - >-
        folded
        text

        of two lines
  - key: on
    more: |+
      kept

  plain: several
    lines of it
  "quoted": "one \\
    line\\t\\u00e9"
  at: http://x:80/#y
  nothing:
...
`;
    expect(valueOf(text)).toEqual({
      spec: {
        command: ['python', '-c', "print('a, b: c') # no comment", { a: 1, b: null }],
        args: ["it's", ['nested', 'folded text\nof two lines'], { key: true, more: 'kept\n\n' }],
        plain: 'several lines of it',
        quoted: 'one line\té',
        at: 'http://x:80/#y',
        nothing: null
      }
    });
  });

  it.each([
    ['a: 1\na: 2', 'line 2, column 1: a is there twice'],
    ['a: &x 1', 'line 1, column 7: the form does not read anchors and tags'],
    ['a: 1\n---\nb: 2', 'line 2, column 1: there is more than one object in it'],
    ['a: b: c', 'line 1, column 4: a second ": " on one line; quote the value if the colon belongs to it'],
    ['a:\n  b: 1\n c: 2', 'line 3, column 1: not in line with what is above it'],
    ['a: 1\nb: *x', 'line 2, column 4: the form does not read anchors and tags'],
    ['a: !x 1', 'line 1, column 4: the form does not read anchors and tags'],
    ['a: 1\nfoo\nb: 2', 'line 2, column 1: a key and a colon are missing'],
    ['a: @x', 'line 1, column 4: a value may not begin with @'],
    ['a: {<<: 1}', 'line 1, column 5: the form cannot read a key named <<'],
    ['a: [1, 2', 'line 1, column 9: a ] is missing'],
    ['a: "b', 'line 1, column 6: a quote is missing'],
    ['a:\n\t- b', 'line 2, column 1: a tab; indent with spaces'],
    ['__proto__: {a: 1}', 'line 1, column 1: the form cannot read a key named __proto__'],
    [`a: ${'['.repeat(100)}${']'.repeat(100)}`, 'line 1, column 64: too deep']
  ])('says what is wrong with %j', (text, message) => expect(() => valueOf(text)).toThrow(message));
});

describe('What was written by a person', () => {
  const source = `# who: me
kind: CPodJob
spec:
  # the newest
  image: 'python'   # not slim

  command: [python, -c, "print(1)"] # flow stays
  args:
  - one # first
  # of the second
  - two
  - three
  script: |
    a
  gone: 1 # with its comment
# end
`;

  it('stays as it was around what is changed, added and taken away', () => {
    const value = valueOf(source) as any;
    expect(valueOf(writeAs(value, source))).toEqual(value);
    const { gone: _, ...spec } = value.spec;
    const next = {
      ...value,
      spec: { ...spec, image: 'no', args: ['one', '2', 'three', 'four'], added: { a: [1] } }
    };
    const text = writeAs(next, source);
    expect(valueOf(text)).toEqual(next);
    expect(text).toBe(`# who: me
kind: CPodJob
spec:
  # the newest
  image: "no" # not slim

  command: [python, -c, "print(1)"] # flow stays
  args:
  - one # first
  # of the second
  - "2"
  - three
  - four
  script: |
    a
  added:
    a:
    - 1

# end
`);
    const fewer = {
      ...value,
      spec: { args: ['two', 'three'], image: { now: ['a', 'map'] }, command: 'one' }
    };
    expect(valueOf(writeAs(fewer, source))).toEqual(fewer);
    expect(writeAs(fewer, source)).toContain('  # of the second\n  - two\n  - three\n');
  });

  it('is as good as nothing where it cannot be read', () => {
    for (const wrong of ['', 'a: [', 'a: 1\n---\nb: 2', '&x a']) {
      expect(valueOf(writeAs({ a: ['no'] }, wrong))).toEqual({ a: ['no'] });
    }
  });

  it.each(TRICKY)('gives way to the text %j', text => {
    const value: Value = { kind: text, spec: { image: text, args: [text, 'two', text], [text]: text } };
    expect(valueOf(writeAs(value, source))).toEqual(value);
  });

  it('goes from a cell to its manifest and back', () => {
    const cell = '\n%%cpod job facts\n# mine\nimage: python # 3.11\ncommand: [echo, a]\n';
    const manifest = 'apiVersion: v1\nkind: CPodJob\nmetadata:\n  name: facts\nspec:\n  image: python\n  command:\n  - echo\n  - a\n'; // prettier-ignore
    const kept = manifestLikeCell(manifest, cell, trans);
    expect(kept).toBe('apiVersion: v1\nkind: CPodJob\nmetadata:\n  name: facts\nspec:\n  # mine\n  image: python # 3.11\n  command: [echo, a]\n'); // prettier-ignore
    const plain = '%%cpod job facts\nimage: python\ncommand:\n- echo\n- b\n';
    expect(cellLikeManifest(plain, kept, trans)).toBe(
      '%%cpod job facts\n# mine\nimage: python # 3.11\ncommand: [echo, b]\n'
    );
    const whole = `%%cpod apply\n${manifest}`;
    expect(cellLikeManifest(whole, kept, trans)).toBe(`%%cpod apply\n${kept}`);
    expect(manifestLikeCell(manifest, `%%cpod apply\n${kept}`, trans)).toBe(kept);
  });

  it('takes nothing into a cell that would be evaluated there', () => {
    const manifest = 'spec:\n  image: python # {{ secret }}\n';
    const cell = '%%cpod job facts\nimage: python\n';
    expect(cellLikeManifest(cell, manifest, trans)).toBe(cell);
  });
});

describe('a manifest', () => {
  const job: IManifest = {
    kind: 'job',
    metadata: { name: 'facts' },
    spec: {
      image: 'python:3.11',
      command: ['python', '-c', 'import os\nprint(os.environ["NO"])\n'],
      env: [{ name: 'NO', value: 'no' }],
      hyperParameters: { n_epochs: '3', learning_rate: '5e-5' },
      port: 80,
      duration: 5,
      anything: { deep: [{ on: 'on' }], empty: {} }
    }
  };

  it('comes back from its YAML as it was', () => expect(fromYaml(toYaml(job), schema, trans)).toEqual(job));

  it('is read as its schema means it: what is to be text stays as it was written', () => {
    const text = 'kind: CPodJob\nmetadata: {name: 12, namespace: team}\nspec:\n  image: 1.10\n  hyperParameters: {a: 5e-5, b: 1.0, c: yes}\n  port: http\n  unknown: 1.0\n'; // prettier-ignore
    expect(fromYaml(text, schema, trans)).toEqual({
      kind: 'job',
      metadata: { name: '12' },
      spec: { image: '1.10', hyperParameters: { a: '5e-5', b: '1.0', c: 'yes' }, port: 'http', unknown: 1 }
    });
    expect(namespaceOf(text, trans)).toBe('team');
    expect(fromYaml('kind: Pod\nspec: {}\n', schema, trans)).toBeNull();
  });

  it('loses groups that are emptied, but not items, and nothing that was there before', () => {
    const spec: Value = { a: { b: { c: 1 } }, list: [{ x: 1 }], kept: { empty: {} } };
    expect(withValue(spec, ['a', 'b', 'c'], undefined)).toEqual({ list: [{ x: 1 }], kept: { empty: {} } });
    expect(withValue(spec, ['list', 0, 'x'], undefined)).toEqual({ ...spec, list: [{}] });
    expect(withValue(spec, ['list', 0], undefined)).toEqual({ a: spec.a, kept: spec.kept });
    expect(withValue(undefined, ['a', 0, 'b'], 1)).toEqual({ a: [{ b: 1 }] });
  });
});

describe('the fields of a schema', () => {
  it('come in the order in which they are asked for', () => {
    expect(fieldsOf(schema).first).toEqual(['image']);
    const { first, more } = specFields('job', schema);
    expect(first).toEqual(['image', 'command', 'gpuType']);
    expect([...first, ...more].sort()).toEqual(Object.keys(schema.properties!).sort());
  });

  it('are labelled with words', () => {
    expect(['gpuRequiredPerReplica', 'modelId', 'n_epochs', 'hostIPC', 'storageUris'].map(labelOf)).toEqual([
      'GPU required per replica',
      'Model ID',
      'N epochs',
      'Host IPC',
      'Storage uris'
    ]);
  });

  it('take numbers for numbers, and leave to the server what is none', () => {
    expect(['3', '-1', '1.50', '1e3', 'three', '0x10', ''].map(typedNumber)).toEqual([3, -1, 1.5, 1000, 'three', '0x10', undefined]); // prettier-ignore
  });

  it('take the faults that are theirs', () => {
    const fault = (path: string) => ({ line: 1, column: 1, path, message: 'wrong' });
    const own = [
      'metadata.name',
      'spec.image',
      'spec.env[0].name',
      'spec.hyperParameters.a',
      'spec.anything.b[0]'
    ];
    const above = ['', 'spec', 'kind', 'spec.imag', 'spec.env[0].nam', 'spec.image.x'];
    expect(homeless([...own, ...above].map(fault), schema).map(({ path }) => path)).toEqual(above);
  });
});
