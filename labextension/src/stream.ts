import { IAddress, IBlockState, keyOf, readState } from './block/state';
import { IList, IListPlace, LiveList } from './rows';

export { IList, IListPlace, IRow } from './rows';

/** Milliseconds to wait before a lost connection is taken up again: at first, and at most. */
const SOONEST = 500;
const LATEST = 15000;
/** Milliseconds between two states of a list. */
const LIST_PAUSE = 100;

/** What comes of an object: how it is, with the output to keep once it has ended; or why that is not to be known. */
export interface INews {
  state: IBlockState | null;
  bundle: Record<string, unknown> | null;
  /** A sentence; empty when all is well. */
  trouble: string;
  /** Whether nothing more will come. */
  over: boolean;
}

type Listener = (news: INews) => void;

interface ITopic {
  /** What the server is asked: `{address}`, or `{list}`. */
  wanted: { address: IAddress } | { list: IListPlace };
  listeners: Set<Listener>;
  /** What came last of an object. */
  last: INews | null;
  list: LiveList | null;
}

/**
 * The one connection of a page to the server extension: states of the objects and
 * lists that somebody looks at.
 *
 * It is opened for the first subscriber and closed after the last; a lost one is taken up again, with all that was
 * subscribed.
 */
export class Stream {
  constructor(
    private _open: () => WebSocket,
    private _lost: string
  ) {}

  /**
   * Hear of an object until the returned function is called: soon of what is known, where others hear of it already.
   * Of one that was over the server is asked anew, for it may have begun again.
   */
  subscribe(address: IAddress, listener: Listener): () => void {
    const key = keyOf(address);
    const topic = this._topic(key, { address }, null);
    const { last } = topic;
    topic.listeners.add(listener);
    if (last) {
      queueMicrotask(() => topic.listeners.has(listener) && topic.last === last && listener(last));
    }
    if (last?.over) {
      this._send({ unsubscribe: key });
      this._send({ subscribe: key, ...topic.wanted });
    }
    return () => {
      topic.listeners.delete(listener);
      this._leave(key, topic);
    };
  }

  /**
   * Hear of all objects of a kind, or of one of the groups `jobs`, `deployments`, `models` and `datasets`, in a
   * namespace, until the returned function is called: the whole list each time, at most 10 times a second.
   */
  subscribeList(place: IListPlace, listener: (list: IList) => void): () => void {
    const { context, namespace, kind } = place;
    const key = ['list', ...[context, namespace, kind].map(encodeURIComponent)].join(':');
    const topic = this._topic(key, { list: { context, namespace, kind } }, () => new LiveList(LIST_PAUSE));
    const own = (list: IList): void => listener(list);
    topic.list!.listen(own);
    return () => {
      topic.list!.listeners.delete(own);
      this._leave(key, topic);
    };
  }

  private _topic(key: string, wanted: ITopic['wanted'], makeList: (() => LiveList) | null): ITopic {
    let topic = this._topics.get(key);
    if (!topic) {
      topic = { wanted, listeners: new Set(), last: null, list: makeList?.() ?? null };
      this._topics.set(key, topic);
      this._send({ subscribe: key, ...wanted });
    }
    this._connect();
    return topic;
  }

  private _leave(key: string, topic: ITopic): void {
    if (topic.listeners.size + (topic.list?.listeners.size ?? 0) === 0 && this._topics.get(key) === topic) {
      topic.list?.dispose();
      this._topics.delete(key);
      this._send({ unsubscribe: key });
    }
    if (this._topics.size === 0) {
      window.clearTimeout(this._timer);
      this._timer = 0;
      this._socket?.close();
      this._socket = null;
    }
  }

  private _connect(): void {
    if (this._socket || this._timer) {
      return;
    }
    const socket = (this._socket = this._open());
    socket.onopen = () => {
      this._pause = SOONEST;
      for (const [key, { wanted }] of this._topics) {
        this._send({ subscribe: key, ...wanted });
      }
    };
    socket.onmessage = event => this._receive(String(event.data));
    socket.onclose = () => {
      if (this._socket === socket) {
        this._socket = null;
        this._retry();
      }
    };
  }

  private _retry(): void {
    for (const topic of this._topics.values()) {
      tell(topic, { state: null, bundle: null, trouble: this._lost, over: false });
      topic.list?.take({ trouble: this._lost });
    }
    this._timer = window.setTimeout(() => {
      this._timer = 0;
      this._connect();
    }, this._pause);
    this._pause = Math.min(this._pause * 2, LATEST);
  }

  private _receive(text: string): void {
    const message = JSON.parse(text);
    const topic = this._topics.get(message.id);
    if (topic?.list) {
      topic.list.take(message);
    } else if (topic) {
      tell(topic, {
        state: readState(message.state),
        bundle: message.bundle ?? null,
        trouble: message.trouble ?? '',
        over: message.over === true
      });
    }
  }

  private _send(message: unknown): void {
    if (this._socket?.readyState === 1) {
      this._socket.send(JSON.stringify(message));
    }
  }

  private _topics = new Map<string, ITopic>();
  private _socket: WebSocket | null = null;
  private _timer = 0;
  private _pause = SOONEST;
}

function tell(topic: ITopic, news: INews): void {
  topic.last = news;
  for (const listener of [...topic.listeners]) {
    listener(news);
  }
}
