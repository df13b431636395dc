import { IAddress } from './block/state';
import { IList, IListPlace } from './rows';

export type { IList, IRow } from './rows';

/** What hands out live lists: `Stream`. */
export interface ILists {
  subscribeList(where: IListPlace, listener: (list: IList) => void): () => void;
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
