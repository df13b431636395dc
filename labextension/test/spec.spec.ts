import { describe, expect, it } from 'vitest';

import {
  fieldsOf,
  fromYaml,
  homeless,
  IManifest,
  ISchema,
  labelOf,
  namespaceOf,
  specFields,
  toYaml,
  typedNumber,
  withValue
} from '../src/launcher/spec';
import { Value, write } from '../src/launcher/yaml';
import { plainValue, read } from '../src/launcher/yamlreader';

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
    expect(plainValue(read(write(value)))).toEqual(value);
    expect(plainValue(read(write(text)))).toEqual(text);
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
    expect(plainValue(read(write({ a: value, b: [value] })))).toEqual({ a: value, b: [value] })
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
    expect(plainValue(read(text))).toEqual({
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
    ['a: 1\na: 2', 'line 2: a is there twice'],
    ['a: &x 1', 'line 1: the form does not read anchors and tags'],
    ['a: 1\n---\nb: 2', 'line 3: there is more than one object in it'],
    ['a: b: c', 'line 1: a second ": " on one line; quote the value if the colon belongs to it'],
    ['a:\n  b: 1\n c: 2', 'line 3: not in line with what is above it'],
    ['a: [1, 2', 'line 1: a ] is missing'],
    ['a: "b', 'line 1: a quote is missing'],
    ['a:\n\t- b', 'line 2: a tab; indent with spaces'],
    ['__proto__: {a: 1}', 'line 1: the form cannot read a key named __proto__'],
    [`a: ${'['.repeat(100)}`, 'line 1: too deep']
  ])('says what is wrong with %j', (text, message) => expect(() => read(text)).toThrow(message));
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

  it('comes back from its YAML as it was', () => expect(fromYaml(toYaml(job), schema)).toEqual(job));

  it('is read as its schema means it: what is to be text stays as it was written', () => {
    const text = 'kind: CPodJob\nmetadata: {name: 12, namespace: team}\nspec:\n  image: 1.10\n  hyperParameters: {a: 5e-5, b: 1.0, c: yes}\n  port: http\n  unknown: 1.0\n'; // prettier-ignore
    expect(fromYaml(text, schema)).toEqual({
      kind: 'job',
      metadata: { name: '12' },
      spec: { image: '1.10', hyperParameters: { a: '5e-5', b: '1.0', c: 'yes' }, port: 'http', unknown: 1 }
    });
    expect(namespaceOf(text)).toBe('team');
    expect(fromYaml('kind: Pod\nspec: {}\n', schema)).toBeNull();
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
