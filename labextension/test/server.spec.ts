import { ServerConnection } from '@jupyterlab/services';
import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import { Server } from '../src/server';

const tuned = { context: 'engine', namespace: 'default', kind: 'inference', name: 'tuned' };
const question = { messages: [{ role: 'user', content: 'Who?' }] };

/** A server that answers everything in one way, and what it was asked. */
function answering(answer: () => Response): { server: Server; asked: Request[] } {
  const asked: Request[] = [];
  const settings = ServerConnection.makeSettings({
    baseUrl: 'http://localhost/base/',
    fetch: async (request: RequestInfo | URL) => {
      asked.push(request as Request);
      return answer();
    }
  });
  return { server: new Server(settings, nullTranslator.load('')), asked };
}

function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), { status, headers: { 'Content-Type': 'application/json' } });
}

/** An answer that comes in these pieces of bytes. */
function pieces(...parts: Uint8Array[]): Response {
  const body = new ReadableStream({
    start: controller => {
      parts.forEach(part => controller.enqueue(part));
      controller.close();
    }
  });
  return new Response(body, { headers: { 'Content-Type': 'text/plain' } });
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('Server', () => {
  it('asks below the base URL, with what it is about', async () => {
    const { server, asked } = answering(() => json(['default']));
    expect(await server.namespaces('a b')).toEqual(['default']);
    expect(asked[0].url).toMatch(/^http:\/\/localhost\/base\/cpod\/namespaces\?context=a%20b(&\d+)?$/);
  });

  it('sends addresses without what else is known of an object', async () => {
    const { server, asked } = answering(() => json(tuned));
    expect(await server.deploy({ ...tuned, phase: 'Ready' } as any, 'other')).toEqual(tuned);
    expect([asked[0].method, await asked[0].json()]).toEqual(['POST', { ...tuned, as: 'other' }]);
  });

  it("rejects with the server's sentence", async () => {
    const { server } = answering(() => json({ message: 'there is no such job' }, 404));
    await expect(server.cancel(tuned)).rejects.toThrow('there is no such job');
  });

  it('explains a server without the extension', async () => {
    const { server } = answering(() => new Response('<html>', { status: 404 }));
    await expect(server.contexts()).rejects.toThrow('server extension does not run');
  });

  it('hands an answer on piece by piece, letters that were torn apart too', async () => {
    const whole = bytes('Zürich');
    const { server, asked } = answering(() => pieces(whole.slice(0, 2), whole.slice(2), bytes('!\0')));
    const heard: string[] = [];
    await server.chat(tuned, { ...question, temperature: 0 }, piece => heard.push(piece));
    expect(heard).toEqual(['Z', 'ürich', '!']);
    expect(await asked[0].json()).toEqual({ ...tuned, ...question, temperature: 0 });
  });

  it('rejects when an answer breaks off in the middle', async () => {
    const heard: string[] = [];
    const told = answering(() => pieces(bytes('The first'), bytes('\0it did '), bytes('not answer')));
    await expect(told.server.chat(tuned, question, piece => heard.push(piece))).rejects.toThrow(
      'it did not answer'
    );
    const cut = answering(() => pieces(bytes('The sec')));
    await expect(cut.server.chat(tuned, question, piece => heard.push(piece))).rejects.toThrow('broke off');
    expect(heard).toEqual(['The first', 'The sec']);
  });
});
