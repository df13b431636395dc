import { nullTranslator } from '@jupyterlab/translation';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { IAddress } from '../src/block/state';
import { deeds, IDeed, IPages } from '../src/pages/actions';
import { ActionName } from '../src/sidebar/rows';

// JupyterLab's dialogs and notifications need JupyterLab around them: what they would show is kept here.
const shown = vi.hoisted(() => ({
  accept: true,
  dialogs: [] as string[],
  notes: new Map<string, string[]>()
}));
vi.mock('@jupyterlab/apputils', () => ({
  Dialog: { cancelButton: (each: unknown) => each, warnButton: (each: unknown) => each },
  showDialog: async ({ title }: { title: string }) => {
    shown.dialogs.push(title);
    return { button: { accept: shown.accept } };
  },
  Notification: {
    emit: (message: string, type: string) => {
      const id = `note-${shown.notes.size}`;
      shown.notes.set(id, [`${type}: ${message}`]);
      return id;
    },
    update: ({ id, message, type }: { id: string; message: string; type: string }) =>
      shown.notes.get(id)!.push(`${type}: ${message}`),
    error: (message: string) => shown.notes.set(`note-${shown.notes.size}`, [`error: ${message}`])
  }
}));

const facts: IAddress = { context: 'engine', namespace: 'default', kind: 'finetune', name: 'facts' };
const again: IAddress = { ...facts, name: 'facts-2' };
let commands: any;
let server: any;
let pages: IPages;
let all: Record<ActionName, IDeed>;

beforeEach(() => {
  Object.assign(shown, { accept: true, dialogs: [], notes: new Map() });
  commands = { execute: vi.fn() };
  server = {
    cancel: vi.fn(async () => undefined),
    remove: vi.fn(async () => undefined),
    rerun: vi.fn(async () => again),
    deploy: vi.fn(async () => ({ ...facts, kind: 'inference' })),
    yaml: vi.fn(async () => 'kind: FineTune')
  };
  pages = { open: vi.fn(), close: vi.fn(), current: () => null };
  all = deeds(commands, { server, trans: nullTranslator.load('') } as any, pages);
});

const notes = (): string[] => [...shown.notes.values()].flat();

describe('what can be done with an object', () => {
  it.each([
    ['cancel', 'cancel', 'Cancel finetune facts?'],
    ['delete', 'remove', 'Delete finetune facts?']
  ] as const)('asks before it does %s, and does nothing when told not to', async (deed, method, title) => {
    shown.accept = false;
    await all[deed].run(facts);
    expect(shown.dialogs).toEqual([title]);
    expect(server[method]).not.toHaveBeenCalled();
    shown.accept = true;
    await all[deed].run(facts);
    expect(server[method]).toHaveBeenCalledWith(facts);
  });

  it('closes the page of what is deleted, and only once it is', async () => {
    server.remove = async () => {
      throw new Error('you may not delete it');
    };
    await all.delete.run(facts);
    expect(pages.close).not.toHaveBeenCalled();
    expect(notes()).toEqual(['in-progress: Deleting facts …', 'error: you may not delete it']);
    server.remove = async () => undefined;
    await all.delete.run(facts);
    expect(pages.close).toHaveBeenCalledWith(facts);
  });

  it('goes to what it made', async () => {
    await all.rerun.run(facts);
    await all.deploy.run(facts);
    expect((pages.open as any).mock.calls.map(([each]: any) => [each.kind, each.name])).toEqual([
      ['finetune', 'facts-2'],
      ['inference', 'facts']
    ]);
    expect(notes()).toContain('success: Submitted facts again');
  });

  it('hands the manifest to the form, or says why there is none', async () => {
    await all.clone.run(facts);
    const text = 'kind: FineTune';
    expect(commands.execute).toHaveBeenCalledWith('cpod:launch', {
      context: 'engine',
      namespace: 'default',
      text
    });
    server.yaml = async () => {
      throw new Error('the engine does not run');
    };
    await all.clone.run(facts);
    expect(commands.execute).toHaveBeenCalledTimes(1);
    expect(notes()).toEqual(['error: the engine does not run']);
  });

  it('opens a page, or its log', async () => {
    await all.open.run(facts);
    await all.logs.run(facts);
    expect((pages.open as any).mock.calls).toEqual([[facts], [facts, 'log']]);
  });
});
