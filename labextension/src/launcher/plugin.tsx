import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import {
  ICommandPalette,
  MainAreaWidget,
  ReactWidget,
  showErrorMessage,
  WidgetTracker
} from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { TranslationBundle } from '@jupyterlab/translation';
import { addIcon } from '@jupyterlab/ui-components';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import React from 'react';

import { sentence } from '../errors';
import { IAddress } from '../block/state';
import { ICore } from '../core';
import { Server } from '../server';
import { cpodCell, insertBelowActive } from './cells';
import { Form, IFormActions, IStart } from './form';
import { IPlace } from '../sidebar/place';
import { Kind, KINDS, kindOf, namespaceOf } from './spec';

const LAUNCH = 'cpod:launch';
const EDIT = 'cpod:edit-cell';
/** Commands that show an object, the better first: other plugins bring them. */
const OPEN = 'cpod:open';
const OPEN_DEPLOYMENT = 'cpod:open-deployment';
const NAMESPACE = 'cpod-launch';

/** A form in a tab of the main area; knows what is in it, for a reload. */
class FormWidget extends ReactWidget {
  constructor(
    private _server: Server,
    public start: IStart,
    private _actions: IFormActions,
    private _trans: TranslationBundle
  ) {
    super();
    this.addClass('cpodForm-widget');
  }

  render(): JSX.Element {
    return <Form server={this._server} start={this.start} actions={this._actions} trans={this._trans} />;
  }
}

/** The form for new objects: from the launcher, the palette, or a cell. */
export const launcher: JupyterFrontEndPlugin<void> = {
  id: 'cpod-jupyter:launcher',
  description: 'A form that makes fine-tunes, jobs and deployments.',
  autoStart: true,
  requires: [ICore],
  optional: [INotebookTracker, ILauncher, ICommandPalette, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    { server, place, trans }: ICore,
    notebooks: INotebookTracker | null,
    cards: ILauncher | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ) => {
    const { commands } = app;
    const tracker = new WidgetTracker<MainAreaWidget<FormWidget>>({ namespace: NAMESPACE });

    const open = (address: IAddress): void => {
      const command = [OPEN, ...(address.kind === 'inference' ? [OPEN_DEPLOYMENT] : [])].find(each =>
        commands.hasCommand(each)
      );
      if (command) {
        void commands.execute(command, { ...address });
      }
    };
    const insert = (text: string): void => {
      const panel = notebooks?.currentWidget;
      if (!panel) {
        throw new Error(trans.__('Open a notebook first: the cell is put below its active one'));
      }
      insertBelowActive(panel, text);
      app.shell.activateById(panel.id);
    };
    const show = (start: IStart): MainAreaWidget<FormWidget> => {
      const keep = (next: IStart): void => {
        content.start = next;
        void tracker.save(widget);
      };
      const actions = { open, insert: notebooks ? insert : null, keep };
      const content = new FormWidget(server, start, actions, trans);
      const widget = new MainAreaWidget({ content });
      widget.id = `cpod-launch-${Date.now()}-${(count += 1)}`;
      widget.title.label = trans.__('Launch');
      widget.title.icon = addIcon;
      widget.title.closable = true;
      app.shell.add(widget, 'main');
      app.shell.activateById(widget.id);
      void tracker.add(widget);
      return widget;
    };
    let count = 0;

    commands.addCommand(LAUNCH, {
      label: args =>
        isKind(args.kind)
          ? trans.__('New %1', KINDS[args.kind])
          : trans.__('New fine-tune, job or deployment'),
      caption: trans.__('Fill in a form and run it on the cluster or on this machine'),
      icon: args => (args.isPalette ? undefined : addIcon),
      execute: args => show(at(startOf(args), place.current))
    });
    commands.addCommand(EDIT, {
      label: trans.__('Open the %1 cell in the form', '%%cpod'),
      isEnabled: () => cpodCell(notebooks?.currentWidget ?? null) !== null,
      execute: async () => {
        const cell = cpodCell(notebooks?.currentWidget ?? null);
        try {
          const text = await server.manifest({ text: cell ?? '' });
          const kind = kindOf(text);
          if (!kind) {
            throw new Error(trans.__('The form makes %1 only.', Object.values(KINDS).join(', ')));
          }
          show(at(startOf({ kind, text }), place.current));
        } catch (error) {
          await showErrorMessage(trans.__('The cell cannot be opened in the form'), sentence(error));
        }
      }
    });

    for (const kind of Object.keys(KINDS)) {
      palette?.addItem({ command: LAUNCH, category: trans.__('cpod'), args: { kind, isPalette: true } });
      cards?.add({ command: LAUNCH, category: trans.__('cpod'), args: { kind } });
    }
    palette?.addItem({ command: EDIT, category: trans.__('cpod') });
    notebooks?.activeCellChanged.connect(() => commands.notifyCommandChanged(EDIT));
    void restorer?.restore(tracker, {
      command: LAUNCH,
      args: ({ content }) => ({ ...content.start }),
      name: ({ id }) => id
    });
  }
};

function isKind(value: unknown): value is Kind {
  return typeof value === 'string' && value in KINDS;
}

/** What a command's arguments ask for; what is not given is left to the form. */
function startOf(args: ReadonlyPartialJSONObject): IStart {
  const text = (key: string): string => (typeof args[key] === 'string' ? (args[key] as string) : '');
  const named = isKind(args.kind) ? args.kind : null;
  return {
    kind: named ?? (text('text') ? kindOf(text('text')) : null) ?? 'finetune',
    context: text('context'),
    namespace: text('namespace') || (text('text') ? namespaceOf(text('text')) : ''),
    text: text('text')
  };
}

/** The same where the sidebar is, unless it says itself where it is. */
function at(start: IStart, place: IPlace | null): IStart {
  const context = start.context || (place?.context ?? '');
  const here = place?.context === context ? place.namespace : '';
  return { ...start, context, namespace: start.namespace || here };
}
