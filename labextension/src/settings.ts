import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { JSONExt, ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';

import type { Order, SectionName } from './sidebar/rows';

/** What a person has set; `schema/core.json` says what each means. */
export interface ISettings {
  readonly notify: 'always' | 'failures' | 'never';
  /** Which sections are open in a new workspace. */
  readonly sections: Readonly<Record<SectionName, boolean>>;
  readonly order: Order;
  readonly context: string;
  readonly namespace: string;
  /** Absent for the deployment's own. */
  readonly temperature?: number;
  readonly maxTokens?: number;
}

/** Where JupyterLab has no settings; the schema's defaults. */
export const DEFAULTS: ISettings = {
  notify: 'always',
  sections: { jobs: true, deployments: true, models: false, datasets: false, cluster: false },
  order: 'age',
  context: '',
  namespace: ''
};

/** The settings as they are now, and word of what changes. */
export class Settings {
  constructor(private _source: ISettingRegistry.ISettings | null) {
    this._current = this._read();
    _source?.changed.connect(() => {
      const before = this._current;
      this._current = this._read();
      this._changed.emit(
        (Object.keys({ ...before, ...this._current }) as (keyof ISettings)[]).filter(
          key => !JSONExt.deepEqual((before[key] ?? null) as any, (this._current[key] ?? null) as any)
        )
      );
    });
  }

  /** Those of a plugin; the defaults where JupyterLab does not know its schema. */
  static async load(registry: ISettingRegistry | null, plugin: string): Promise<Settings> {
    try {
      return new Settings((await registry?.load(plugin)) ?? null);
    } catch (error) {
      console.warn(`The settings of ${plugin} cannot be read`, error);
      return new Settings(null);
    }
  }

  get current(): ISettings {
    return this._current;
  }

  /** The names of those that have another value now. */
  get changed(): ISignal<this, (keyof ISettings)[]> {
    return this._changed;
  }

  private _read(): ISettings {
    const found = (this._source?.composite ?? {}) as ReadonlyPartialJSONObject;
    return { ...DEFAULTS, ...found } as ISettings;
  }

  private _current: ISettings;
  private _changed = new Signal<this, (keyof ISettings)[]>(this);
}
