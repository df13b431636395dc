import { TranslationBundle } from '@jupyterlab/translation';
import React, { createContext, useContext, useState } from 'react';

import { FreeField, ListField, MapField } from './collections';
import {
  dotted,
  faultsOf,
  fieldsOf,
  hasFaultInside,
  IFault,
  ISchema,
  labelOf,
  Path,
  pickedFrom,
  shapeOf,
  typedNumber,
  Value
} from './spec';

/** What may be picked, with a word about each. */
export interface IPick {
  name: string;
  detail: string;
}

export interface IFormContext {
  trans: TranslationBundle;
  /** A prefix that makes ids one of a kind in the page. */
  id: string;
  faults: IFault[];
  picks: Record<'models' | 'datasets' | 'gpus', IPick[]>;
  change(path: Path, value: Value | undefined): void;
}

export const FormContext = createContext<IFormContext | null>(null);

export function useForm(): IFormContext {
  return useContext(FormContext)!;
}

export interface IFieldProps {
  schema: ISchema;
  path: Path;
  value: Value | undefined;
  required?: boolean;
  /** Instead of the words that the field's name is made of. */
  label?: string;
}

/** One field of a schema, whatever its shape. */
export function Field(props: IFieldProps): JSX.Element {
  switch (shapeOf(props.schema)) {
    case 'group':
      return <Group {...props} />;
    case 'list':
      return <ListField {...props} />;
    case 'map':
      return <MapField {...props} />;
    case 'free':
      return <FreeField {...props} />;
    case 'flag':
      return <Flag {...props} />;
    case 'choice':
      return <Choice {...props} />;
    default:
      return <Text {...props} />;
  }
}

/** The fields of a group: those that are asked for first, and the rest under "More". */
export function Fields({
  schema,
  path,
  value,
  order
}: IFieldProps & { order?: { first: string[]; more: string[] } }): JSX.Element {
  const { trans, faults } = useForm();
  const { first, more } = order ?? fieldsOf(schema);
  const values = (value ?? {}) as Record<string, Value>;
  const field = (name: string): JSX.Element => (
    <Field
      key={name}
      schema={schema.properties![name]}
      path={[...path, name]}
      value={values[name]}
      required={schema.required?.includes(name)}
    />
  );
  if (first.length === 0) {
    return <>{more.map(field)}</>;
  }
  const atFault = more.some(
    name => faultsOf(faults, [...path, name]).length || hasFaultInside(faults, [...path, name])
  );
  return (
    <>
      {first.map(field)}
      {more.length > 0 && (
        <Fold label={trans.__('More')} unfold={atFault || more.some(name => name in values)}>
          {() => more.map(field)}
        </Fold>
      )}
    </>
  );
}

/** Something that is drawn only once it is unfolded: a pod has thousands of fields. */
export function Fold(props: {
  label: string;
  unfold: boolean;
  describedBy?: string;
  children: () => React.ReactNode;
}): JSX.Element {
  const [open, setOpen] = useState(props.unfold);
  const [wasUnfolded, setWasUnfolded] = useState(props.unfold);
  if (props.unfold !== wasUnfolded) {
    setWasUnfolded(props.unfold);
    setOpen(open || props.unfold); // a fault in it is to be seen; closing is the person's business
  }
  return (
    <details
      className="cpodForm-fold"
      open={open}
      onToggle={event => {
        event.stopPropagation();
        setOpen(event.currentTarget.open);
      }}
    >
      <summary aria-describedby={props.describedBy}>{props.label}</summary>
      {open && <div className="cpodForm-inner">{props.children()}</div>}
    </details>
  );
}

function Group(props: IFieldProps): JSX.Element {
  const { faults } = useForm();
  const { path, value, schema } = props;
  const { ids, said } = useSaid(props);
  const label = labelFor(props);
  const inner = (): JSX.Element => <Fields schema={schema} path={path} value={value} />;
  if (typeof path[path.length - 1] === 'number' || props.required || schema.open) {
    return (
      <fieldset className="cpodForm-group" aria-describedby={ids}>
        <legend>{label}</legend>
        {said}
        {inner()}
      </fieldset>
    );
  }
  return (
    <div className="cpodForm-field" role="group" aria-label={label} aria-describedby={ids}>
      <Fold label={label} unfold={value !== undefined || hasFaultInside(faults, path)}>
        {inner}
      </Fold>
      {said}
    </div>
  );
}

export function labelFor({ label, path, schema }: IFieldProps): string {
  return label ?? schema.label ?? labelOf(String(path[path.length - 1]));
}

export function idFor(form: IFormContext, path: Path): string {
  return `${form.id}-${dotted(path)}`;
}

/** A field's help and its faults, with the ids by which its control is described. */
export function useSaid(
  { schema, path }: IFieldProps,
  hint = '',
  inside: IFault[] = []
): { ids: string | undefined; said: JSX.Element; bad: boolean } {
  const form = useForm();
  const id = idFor(form, path);
  const messages = [...faultsOf(form.faults, path), ...inside.map(fault => fault.message)];
  const help = [schema.description ?? '', hint].filter(Boolean).join(' ');
  const ids = [help && `${id}-help`, messages.length > 0 && `${id}-fault`].filter(Boolean).join(' ');
  const said = (
    <>
      {help && (
        <p id={`${id}-help`} className="cpodForm-help">
          {help}
        </p>
      )}
      {messages.length > 0 && (
        <p id={`${id}-fault`} className="cpodForm-fault">
          {messages.join('; ')}
        </p>
      )}
    </>
  );
  return { ids: ids || undefined, said, bad: messages.length > 0 };
}

/** A label, its control, and what is said about it. */
export function Frame(props: {
  id: string;
  label: string;
  required?: boolean;
  said: JSX.Element;
  children: React.ReactNode;
}): JSX.Element {
  return (
    <div className="cpodForm-field">
      <label htmlFor={props.id}>
        {props.label}
        {props.required && <span aria-hidden="true"> *</span>}
      </label>
      {props.children}
      {props.said}
    </div>
  );
}

function Text(props: IFieldProps): JSX.Element {
  const form = useForm();
  const { schema, path, value, required } = props;
  const shape = shapeOf(schema);
  const [text, setText] = useState(value === undefined || value === null ? '' : String(value));
  const from = pickedFrom(path);
  const picks = from ? form.picks[from] : [];
  const { ids, said, bad } = useSaid(props, picks.find(each => each.name === text)?.detail);
  const id = idFor(form, path);
  const type = (typed: string): void => {
    setText(typed);
    const number = shape === 'number' || (shape === 'either' && /^\d+$/.test(typed));
    const nothing = typed === '' && typeof path[path.length - 1] !== 'number';
    form.change(path, number ? typedNumber(typed) : nothing ? undefined : typed);
  };
  const common = {
    id,
    value: text,
    required,
    'aria-invalid': bad,
    'aria-describedby': ids,
    placeholder:
      schema.default === undefined || schema.default === '' ? undefined : String(schema.default as string),
    onChange: (event: React.ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) => type(event.target.value)
  };
  const long = text.includes('\n') || (typeof path[path.length - 1] === 'number' && shape === 'text');
  return (
    <Frame id={id} label={labelFor(props)} required={required} said={said}>
      {long ? (
        <textarea {...common} rows={Math.min(text.split('\n').length, 20)} spellCheck={false} />
      ) : (
        <input
          {...common}
          type="text"
          inputMode={shape === 'number' ? 'numeric' : undefined}
          list={from ? `${form.id}-${from}` : undefined}
          autoComplete="off"
          spellCheck={false}
        />
      )}
    </Frame>
  );
}

function Choice(props: IFieldProps): JSX.Element {
  const form = useForm();
  const { schema, path, value, required } = props;
  const { ids, said, bad } = useSaid(props);
  const id = idFor(form, path);
  const given = schema.default;
  const choices = schema.enum!.filter(each => each !== '' && each !== null);
  const nothing = given === undefined || given === '' ? '' : form.trans.__('%1 (the default)', String(given));
  return (
    <Frame id={id} label={labelFor(props)} required={required} said={said}>
      <select
        id={id}
        value={value === undefined ? '' : String(value)}
        aria-invalid={bad}
        aria-describedby={ids}
        onChange={event =>
          form.change(
            path,
            choices.find(each => String(each) === event.target.value)
          )
        }
      >
        <option value="">{nothing}</option>
        {choices.map(each => (
          <option key={String(each)} value={String(each)}>
            {String(each)}
          </option>
        ))}
      </select>
    </Frame>
  );
}

function Flag(props: IFieldProps): JSX.Element {
  const form = useForm();
  const { schema, path, value } = props;
  const { ids, said, bad } = useSaid(props);
  const id = idFor(form, path);
  const given = schema.default === true;
  return (
    <div className="cpodForm-field">
      <label className="cpodForm-flag">
        <input
          id={id}
          type="checkbox"
          checked={typeof value === 'boolean' ? value : given}
          aria-invalid={bad}
          aria-describedby={ids}
          onChange={({ target }) => form.change(path, target.checked === given ? undefined : target.checked)}
        />
        {labelFor(props)}
      </label>
      {said}
    </div>
  );
}
