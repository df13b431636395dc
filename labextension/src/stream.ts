import { IAddress, IBlockState, keyOf, readState } from './block/state';

/** Milliseconds to wait before a lost connection is taken up again: at first, and at most. */
const SOONEST = 500;
const LATEST = 15000;

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

/**
 * The one connection of a page to the server extension: states of the objects that somebody looks at.
 *
 * It is opened for the first subscriber and closed after the last; a lost one is taken up again, with all that was
 * subscribed.
 */
export class Stream {
  constructor(
    private _open: () => WebSocket,
    private _lost: string
  ) {}

  /** Hear of an object until the returned function is called. */
  subscribe(address: IAddress, listener: Listener): () => void {
    const key = keyOf(address);
    let topic = this._topics.get(key);
    if (!topic) {
      topic = { address, listeners: new Set() };
      this._topics.set(key, topic);
      this._send({ subscribe: key, address });
    }
    topic.listeners.add(listener);
    this._connect();
    return () => this._unsubscribe(key, listener);
  }

  private _unsubscribe(key: string, listener: Listener): void {
    const topic = this._topics.get(key);
    topic?.listeners.delete(listener);
    if (topic && topic.listeners.size === 0) {
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
      for (const [key, { address }] of this._topics) {
        this._send({ subscribe: key, address });
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
      tell(topic.listeners, { state: null, bundle: null, trouble: this._lost, over: false });
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
    if (topic) {
      tell(topic.listeners, {
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

  private _topics = new Map<string, { address: IAddress; listeners: Set<Listener> }>();
  private _socket: WebSocket | null = null;
  private _timer = 0;
  private _pause = SOONEST;
}

function tell(listeners: Set<Listener>, news: INews): void {
  for (const listener of [...listeners]) {
    listener(news);
  }
}
