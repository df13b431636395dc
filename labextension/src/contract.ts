import { IAddress, Tone } from './block/state';

/** An object in a list: what `subscribeList` hands out. */
export interface IRow {
  /** A word: `finetune`. */
  kind: string;
  name: string;
  namespace: string;
  phase: string;
  tone: Tone;
  /** Whether it has come to an end and will not change again. */
  final: boolean;
  /** RFC 3339. */
  created: string;
  /** `4 A100`; empty where it has none. */
  gpus: string;
  detail: string;
  reason: string;
}

export interface IRowList {
  rows: IRow[];
  /** A sentence; empty when all is well. */
  trouble: string;
}

/** What hands out live lists: `Stream`. */
export interface ILists {
  subscribeList(
    where: { context: string; namespace: string; kind: string },
    listener: (list: IRowList) => void
  ): () => void;
}

export interface IContext {
  name: string;
  server: string;
  namespace: string;
  current: boolean;
}

/** What tells where one can work: `Server`. */
export interface IPlaces {
  contexts(): Promise<{ contexts: IContext[]; engine: { running: boolean; url: string } }>;
  namespaces(context: string): Promise<string[]>;
}

export interface IEvent {
  time: string;
  type: string;
  text: string;
}

/** What is asked and done about one object: `Server`. */
export interface IObjects {
  cancel(address: IAddress): Promise<void>;
  remove(address: IAddress): Promise<void>;
  rerun(address: IAddress): Promise<IAddress>;
  deploy(address: IAddress): Promise<IAddress>;
  yaml(address: IAddress): Promise<string>;
  events(address: IAddress): Promise<IEvent[]>;
  download(address: IAddress): Promise<void>;
}
