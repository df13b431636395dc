import { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useId, useMemo, useReducer, useRef, useState } from 'react';

import { IAddress, keyOf } from '../../block/state';
import { Conversation, IChatServer, IMessage, IParameters } from './conversation';

export interface IPlaygroundProps {
  server: IChatServer;
  /** One deployment, or two that are asked the same. */
  addresses: IAddress[];
  /** What the fields for it begin with. */
  start: IParameters;
  trans: TranslationBundle;
}

/** Ask a deployment, or two side by side, and read the answers as they are written: as text, whatever is in them. */
export function Playground({ server, addresses, start, trans }: IPlaygroundProps): JSX.Element {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const kept = useRef(new Map<string, Conversation>());
  const conversations = useMemo(
    () =>
      addresses.map(address => {
        const key = keyOf(address);
        const known = kept.current.get(key) ?? new Conversation(server, address, draw);
        kept.current.set(key, known);
        return known;
      }),
    [server, addresses.map(keyOf).join(' ')]
  );
  useEffect(() => () => kept.current.forEach(each => each.stop()), []);
  const busy = conversations.some(each => each.busy);
  return (
    <section className="cpodChat" aria-label={trans.__('Chat')}>
      <div className="cpodChat-panes">
        {conversations.map(each => (
          <Pane key={keyOf(each.address)} conversation={each} count={each.messages.length} trans={trans} />
        ))}
      </div>
      <Prompt
        busy={busy}
        start={start}
        trans={trans}
        ask={(prompt, parameters) => conversations.forEach(each => void each.ask(prompt, parameters))}
        stop={() => conversations.forEach(each => each.stop())}
        clear={() => conversations.forEach(each => each.clear())}
      />
    </section>
  );
}

interface IPaneProps {
  conversation: Conversation;
  count: number;
  trans: TranslationBundle;
}

function Pane({ conversation, trans }: IPaneProps): JSX.Element {
  const { name } = conversation.address;
  const log = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    if (log.current && follows.current) {
      log.current.scrollTop = log.current.scrollHeight;
    }
  });
  return (
    <div className="cpodChat-pane">
      <h3>{name}</h3>
      <div
        ref={log}
        className="cpodChat-log"
        role="log"
        tabIndex={0}
        aria-label={trans.__('Conversation with %1', name)}
        aria-busy={conversation.busy}
        onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
          follows.current = scrollHeight - scrollTop - clientHeight < 30;
        }}
      >
        {conversation.messages.map((message, at) => (
          <Message key={at} message={message} name={name} trans={trans} />
        ))}
      </div>
    </div>
  );
}

function Message(props: { message: IMessage; name: string; trans: TranslationBundle }): JSX.Element {
  const { message, name, trans } = props;
  const { role, content, state, failure } = message;
  return (
    <div className={`cpodChat-message cpodChat-${role}`} data-state={state}>
      <b>{role === 'user' ? trans.__('You') : name}</b>
      <p>{content || (state === 'writing' ? '…' : '')}</p>
      {state === 'stopped' && <p className="cpodLab-dim">{trans.__('(stopped)')}</p>}
      {state === 'failed' && <p className="cpodForm-fault">{failure}</p>}
    </div>
  );
}

interface IPromptProps {
  busy: boolean;
  start: IParameters;
  ask(prompt: string, parameters: IParameters): void;
  stop(): void;
  clear(): void;
  trans: TranslationBundle;
}

function Prompt({ busy, start, ask, stop, clear, trans }: IPromptProps): JSX.Element {
  const id = useId();
  const [prompt, setPrompt] = useState('');
  const [temperature, setTemperature] = useBegun(start.temperature);
  const [most, setMost] = useBegun(start.max_tokens);
  const faults = {
    temperature: within(temperature, 0, 2) ? '' : trans.__('From 0 to 2'),
    most: within(most, 1, 1e6) && /^\d*$/.test(most.trim()) ? '' : trans.__('A whole number from 1')
  };
  const can = !busy && prompt.trim() !== '' && !faults.temperature && !faults.most;
  const send = (): void => {
    if (can) {
      ask(prompt, {
        ...(temperature.trim() && { temperature: Number(temperature) }),
        ...(most.trim() && { max_tokens: Number(most) })
      });
      setPrompt('');
    }
  };
  const number = (key: 'temperature' | 'most', label: string, value: string, set: (text: string) => void) => (
    <span>
      <label htmlFor={`${id}-${key}`}>{label}</label>
      <input
        id={`${id}-${key}`}
        type="text"
        inputMode="decimal"
        size={6}
        value={value}
        placeholder={trans.__('default')}
        aria-invalid={faults[key] !== ''}
        aria-describedby={faults[key] ? `${id}-${key}-fault` : undefined}
        onChange={event => set(event.target.value)}
      />
      {faults[key] && (
        <span id={`${id}-${key}-fault`} className="cpodForm-fault">
          {faults[key]}
        </span>
      )}
    </span>
  );
  return (
    <div className="cpodChat-prompt">
      <label htmlFor={`${id}-prompt`}>
        {trans.__('Message (Enter sends, Shift+Enter makes a new line)')}
      </label>
      <textarea
        id={`${id}-prompt`}
        rows={3}
        value={prompt}
        onChange={event => setPrompt(event.target.value)}
        onKeyDown={event => {
          if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
            event.preventDefault();
            send();
          }
        }}
      />
      <div className="cpodChat-tools">
        <button type="button" className="cpodLab-button cpodForm-main" disabled={!can} onClick={send}>
          {trans.__('Send')}
        </button>
        <button type="button" className="cpodLab-button" disabled={!busy} onClick={stop}>
          {trans.__('Stop')}
        </button>
        <button type="button" className="cpodLab-button" onClick={clear}>
          {trans.__('Clear')}
        </button>
        {number('temperature', trans.__('Temperature'), temperature, setTemperature)}
        {number('most', trans.__('Most tokens'), most, setMost)}
      </div>
    </div>
  );
}

/** A field that begins with a setting, and goes with it while nobody has written into it. */
function useBegun(value: number | undefined): [string, (text: string) => void] {
  const set = value === undefined ? '' : String(value);
  const [text, setText] = useState(set);
  const [before, setBefore] = useState(set);
  if (set !== before) {
    setBefore(set);
    setText(text === before ? set : text);
  }
  return [text, setText];
}

/** Whether a text is empty or a number between two. */
function within(text: string, least: number, most: number): boolean {
  const number = Number(text.trim());
  return text.trim() === '' || (number >= least && number <= most);
}
