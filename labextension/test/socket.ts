import { Stream } from '../src/stream';

/** A socket whose other end the test holds. */
export class Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  readyState = 0;
  sent: any[] = [];

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.readyState = 3;
  }

  opens(): void {
    this.readyState = 1;
    this.onopen!();
  }

  breaks(): void {
    this.readyState = 3;
    this.onclose!();
  }

  says(message: unknown): void {
    this.onmessage!({ data: JSON.stringify(message) });
  }
}

/** A stream, and the sockets that it has opened. */
export function streamed(): { stream: Stream; sockets: Socket[] } {
  const sockets: Socket[] = [];
  const open = (): WebSocket => sockets[sockets.push(new Socket()) - 1] as unknown as WebSocket;
  return { stream: new Stream(open, 'lost'), sockets };
}
