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
