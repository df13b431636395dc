import { readFileSync } from 'node:fs';

import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { describe, expect, it, vi } from 'vitest';

import { DEFAULTS, Settings } from '../src/settings';
import { toldOf } from '../src/sidebar/rows';
import { VERSION, versionAdvice } from '../src/version';
import { done, failed, row } from './rows';

/** Settings of JupyterLab that a test changes. */
function source(composite: any): any {
  const found: any = { composite };
  found.changed = new Signal<any, void>(found);
  return found;
}

describe('Settings', () => {
  it('have the defaults of the schema where JupyterLab has none', async () => {
    const { properties } = JSON.parse(readFileSync('schema/core.json', 'utf8'));
    const defaults = Object.entries<any>(properties).filter(([, each]) => 'default' in each);
    expect(Object.fromEntries(defaults.map(([name, each]) => [name, each.default]))).toEqual(DEFAULTS);
    expect((await Settings.load(null, 'x')).current).toEqual(DEFAULTS);
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const broken: any = { load: () => Promise.reject(new Error('no schema')) };
    expect((await Settings.load(broken, 'x')).current).toEqual(DEFAULTS);
    expect(warned).toHaveBeenCalledTimes(1);
    warned.mockRestore();
  });

  it('tell which of them have changed', async () => {
    const from = source({ order: 'name', temperature: 0.5 });
    const settings = await Settings.load({ load: async () => from } as any, 'x');
    expect([settings.current.order, settings.current.notify]).toEqual(['name', 'always']);
    const heard: string[][] = [];
    settings.changed.connect((_, keys) => heard.push(keys));
    from.composite = { order: 'name', notify: 'never' };
    from.changed.emit();
    expect(heard.map(keys => keys.sort())).toEqual([['notify', 'temperature']]);
    expect(settings.current.temperature).toBeUndefined();
  });

  it.each([
    ['always', ['a', 'b']],
    ['failures', ['b']],
    ['never', []]
  ] as const)('tell %s of jobs that have ended', (notify, names) => {
    expect(toldOf([row('a', done), row('b', failed)], notify).map(each => each.name)).toEqual(names);
  });
});

describe('The version', () => {
  it('is the same in the page, in package.json and in the server', () => {
    expect(JSON.parse(readFileSync('package.json', 'utf8')).version).toBe(VERSION);
    expect(readFileSync('../cpod_jupyter/version.py', 'utf8')).toContain(`\nVERSION = "${VERSION}"\n`);
  });

  it('is a matter for advice only when there are two', () => {
    const trans = nullTranslator.load('');
    expect(versionAdvice(VERSION, trans)).toBe('');
    expect(versionAdvice('9.8.7', trans)).toContain(`${VERSION} in this page and 9.8.7 in Jupyter's server`);
  });
});
