import React, { RefObject, useEffect, useRef, useState } from 'react';

import { sentence } from '../errors';
import { Field, Frame, idFor, IFieldProps, labelFor, useForm, useSaid } from './field';
import { dotted, ISchema, plainValue, shapeOf, Value } from './spec';
import { write } from './yaml';

/**
 * Where the keyboard goes once a row is added or removed: into the new row, or to the button that adds. Gives the ref of
 * what holds the rows, and a function to say which.
 */
function useLead(): [RefObject<HTMLFieldSetElement>, (to: 'new' | 'add') => void] {
  const box = useRef<HTMLFieldSetElement>(null);
  const wanted = useRef<'new' | 'add' | null>(null);
  useEffect(() => {
    const rows = box.current?.querySelectorAll(':scope > .cpodForm-row');
    const target =
      wanted.current === 'new'
        ? rows?.[rows.length - 1]?.querySelector<HTMLElement>('input, select, textarea, summary, button')
        : wanted.current && box.current?.querySelector<HTMLElement>(':scope > button');
    wanted.current = null;
    target?.focus();
  });
  return [box, to => (wanted.current = to)];
}

/** A list: an item below the other, each of which can be removed. */
export function ListField(props: IFieldProps): JSX.Element {
  const { trans, change } = useForm();
  const { schema, path, value } = props;
  const { ids, said } = useSaid(props);
  const [removals, setRemovals] = useState(0); // the items behind a removed one are other fields then
  const [box, lead] = useLead();
  const items = Array.isArray(value) ? value : [];
  const label = labelFor(props);
  const remove = (at: number): void => {
    lead('add');
    setRemovals(removals + 1);
    change([...path, at], undefined);
  };
  return (
    <fieldset ref={box} className="cpodForm-group" aria-describedby={ids}>
      <legend>{label}</legend>
      {said}
      {items.map((item, at) => (
        <div className="cpodForm-row" key={`${removals}-${at}`}>
          <Field
            schema={schema.items!}
            path={[...path, at]}
            value={item}
            label={trans.__('%1 %2', label, at + 1)}
          />
          <button
            type="button"
            className="cpodLab-button"
            aria-label={trans.__('Remove %1 %2', label, at + 1)}
            onClick={() => remove(at)}
          >
            {trans.__('Remove')}
          </button>
        </div>
      ))}
      <button
        type="button"
        className="cpodLab-button"
        aria-label={trans.__('Add to %1', label)}
        onClick={() => {
          lead('new');
          change([...path, items.length], empty(schema.items!));
        }}
      >
        {trans.__('Add')}
      </button>
    </fieldset>
  );
}

/** What a new item or entry is before something is typed. */
function empty(schema: ISchema): Value {
  switch (shapeOf(schema)) {
    case 'list':
      return [];
    case 'group':
    case 'map':
    case 'free':
      return {};
    case 'flag':
      return false;
    default:
      return '';
  }
}

interface IRow {
  id: number;
  key: string;
}

/** A map: a name and a value in each row. */
export function MapField(props: IFieldProps): JSX.Element {
  const { trans, change, faults } = useForm();
  const { schema, path, value } = props;
  const start = `${dotted(path)}.`;
  const inner = schema.additionalProperties as ISchema;
  const ofText = shapeOf(inner) === 'text';
  const inside = ofText ? faults.filter(fault => fault.path.startsWith(start)) : [];
  const values = (value ?? {}) as Record<string, Value>;
  const [rows, setRows] = useState<IRow[]>(Object.keys(values).map((key, id) => ({ id, key })));
  const said = useSaid(
    props,
    '',
    inside.map(fault => ({ ...fault, message: `${fault.path.slice(start.length)}: ${fault.message}` }))
  );
  const label = labelFor(props);

  const commit = (next: IRow[], known: Record<string, Value>): void => {
    setRows(next);
    const entries = next.filter(row => row.key).map(row => [row.key, known[row.key] ?? empty(inner)]);
    change(path, entries.length ? Object.fromEntries(entries) : undefined);
  };
  const isTwice = (row: IRow): boolean => row.key !== '' && rows.find(each => each.key === row.key) !== row;
  const rename = (row: IRow, key: string): void => {
    const own = isTwice(row) ? undefined : values[row.key];
    const next = rows.map(each => (each === row ? { ...row, key } : each));
    commit(next, { ...values, [key]: values[key] ?? own ?? empty(inner) });
  };
  const [box, lead] = useLead();
  const add = (): void => {
    lead('new');
    setRows([...rows, { id: Math.max(-1, ...rows.map(row => row.id)) + 1, key: '' }]);
  };
  return (
    <fieldset ref={box} className="cpodForm-group" aria-describedby={said.ids}>
      <legend>{label}</legend>
      {said.said}
      {rows.some(isTwice) && (
        <p className="cpodForm-fault" role="alert">
          {trans.__('A name is there twice; the first counts.')}
        </p>
      )}
      {rows.map((row, at) => (
        <div className="cpodForm-row" key={row.id}>
          <input
            type="text"
            aria-label={trans.__('Name %1 of %2', at + 1, label)}
            placeholder={trans.__('name')}
            value={row.key}
            aria-invalid={inside.some(fault => fault.path === start + row.key)}
            aria-describedby={said.ids}
            spellCheck={false}
            onChange={event => rename(row, event.target.value)}
          />
          {ofText ? (
            <input
              type="text"
              aria-label={trans.__('Value of %1', row.key || trans.__('name %1', at + 1))}
              placeholder={trans.__('value')}
              value={String(values[row.key] ?? '')}
              disabled={!row.key}
              aria-invalid={inside.some(fault => fault.path === start + row.key)}
              aria-describedby={said.ids}
              spellCheck={false}
              onChange={event => change([...path, row.key], event.target.value)}
            />
          ) : (
            row.key && (
              <Field schema={inner} path={[...path, row.key]} value={values[row.key]} label={row.key} />
            )
          )}
          <button
            type="button"
            className="cpodLab-button"
            aria-label={trans.__('Remove %1 from %2', row.key || at + 1, label)}
            onClick={() => {
              lead('add');
              commit(
                rows.filter(each => each !== row),
                values
              );
            }}
          >
            {trans.__('Remove')}
          </button>
        </div>
      ))}
      <button
        type="button"
        className="cpodLab-button"
        aria-label={trans.__('Add to %1', label)}
        onClick={add}
      >
        {trans.__('Add')}
      </button>
    </fieldset>
  );
}

/** What the schema does not describe: YAML by hand. */
export function FreeField(props: IFieldProps): JSX.Element {
  const form = useForm();
  const { path, value, required } = props;
  const [text, setText] = useState(value === undefined ? '' : write(value));
  const [fault, setFault] = useState('');
  const start = dotted(path);
  const inside = form.faults.filter(
    each => each.path !== start && /^[.[]/.test(each.path.slice(start.length)) && each.path.startsWith(start)
  );
  const own = fault ? [{ line: null, column: null, path: start, message: fault }] : [];
  const { ids, said, bad } = useSaid(props, form.trans.__('In YAML.'), [...own, ...inside]);
  const id = idFor(form, path);
  const type = (typed: string): void => {
    setText(typed);
    try {
      form.change(path, typed.trim() ? plainValue(typed, form.trans) : undefined);
      setFault('');
    } catch (error) {
      form.change(path, typed); // which the server refuses, too
      setFault(sentence(error));
    }
  };
  return (
    <Frame id={id} label={labelFor(props)} required={required} said={said}>
      <textarea
        id={id}
        rows={Math.min(Math.max(text.split('\n').length, 2), 20)}
        value={text}
        aria-invalid={bad}
        aria-describedby={ids}
        spellCheck={false}
        onChange={event => type(event.target.value)}
      />
    </Frame>
  );
}
