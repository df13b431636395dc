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
import { addIcon, LabIcon } from '@jupyterlab/ui-components';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import React from 'react';

import { sentence } from '../errors';
import { IAddress } from '../block/state';
import { ICore } from '../core';
import { deploymentIcon, fineTuneIcon, jobIcon } from '../icons';
import { Server } from '../server';
import { cpodCell, insertBelowActive, intoActive } from './cells';
import { manifestLikeCell } from './comments';
import { Form, IFormActions, IStart } from './form';
import { IPlace } from '../sidebar/place';
import { Kind, KINDS, kindOf, namespaceOf } from './spec';

const LAUNCH = 'cpod:launch';
const EDIT = 'cpod:edit-cell';
/** Commands that show an object, the better first: other plugins bring them. */
const OPEN = 'cpod:open';
const OPEN_DEPLOYMENT = 'cpod:open-deployment';
const NAMESPACE = 'cpod-launch';
const ICONS: Record<Kind, LabIcon> = { finetune: fineTuneIcon, job: jobIcon, inference: deploymentIcon };

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
    const show = (
      start: IStart,
      id = '',
      putBack: IFormActions['putBack'] = null
    ): MainAreaWidget<FormWidget> => {
      const keep = (next: IStart): void => {
        content.start = next;
        widget.title.label = trans.__('New %1', KINDS[next.kind]);
        void tracker.save(widget);
      };
      const actions = { open, insert: notebooks ? insert : null, putBack, keep };
      const content = new FormWidget(server, start, actions, trans);
      const widget = new MainAreaWidget({ content });
      widget.id = id || `cpod-launch-${Date.now()}-${(count += 1)}`;
      widget.title.label = trans.__('New %1', KINDS[start.kind]);
      widget.title.icon = addIcon;
      widget.title.closable = true;
      app.shell.add(widget, 'main');
      app.shell.activateById(widget.id);
      void tracker.add(widget);
      return widget;
    };
    let count = 0;
    // As people say it: what the kinds are called stands in the palette and in the form.
    const titles: Record<Kind, string> = {
      finetune: trans.__('Fine-tune'),
      job: trans.__('Job'),
      inference: trans.__('Deployment')
    };
    const captions: Record<Kind, string> = {
      finetune: trans.__('Fine-tune a model: fill in a form, and run it on the cluster or on this machine'),
      job: trans.__('Run a job: fill in a form, and run it on the cluster or on this machine'),
      inference: trans.__('Deploy a model: fill in a form, and chat with it')
    };

    commands.addCommand(LAUNCH, {
      label: ({ kind, isPalette }) =>
        !isKind(kind)
          ? trans.__('New fine-tune, job or deployment')
          : isPalette
            ? trans.__('New %1', KINDS[kind])
            : titles[kind],
      caption: ({ kind }) =>
        isKind(kind)
          ? captions[kind]
          : trans.__('Fill in a form and run it on the cluster or on this machine'),
      icon: ({ kind, isPalette }) => (isPalette ? undefined : isKind(kind) ? ICONS[kind] : addIcon),
      execute: args =>
        show(at(startOf(args, trans), place.current), typeof args.id === 'string' ? args.id : '')
    });
    commands.addCommand(EDIT, {
      label: trans.__('Open the %1 cell in the form', '%%cpod'),
      isEnabled: () => cpodCell(notebooks?.currentWidget ?? null) !== null,
      execute: async () => {
        const panel = notebooks?.currentWidget ?? null;
        const cell = cpodCell(panel) ?? '';
        const into = panel && intoActive(panel, trans.__('The cell is gone; insert another one.'));
        try {
          const text = manifestLikeCell(await server.manifest({ text: cell }), cell, trans);
          const kind = kindOf(text, trans);
          if (!kind) {
            throw new Error(trans.__('The form makes %1 only.', Object.values(KINDS).join(', ')));
          }
          const putBack = (changed: string): void => {
            into?.(changed);
            app.shell.activateById(panel!.id);
          };
          show(at(startOf({ kind, text }, trans), place.current), '', putBack);
        } catch (error) {
          await showErrorMessage(trans.__('The cell cannot be opened in the form'), sentence(error));
        }
      }
    });

    for (const [rank, kind] of Object.keys(KINDS).entries()) {
      palette?.addItem({ command: LAUNCH, category: trans.__('cpod'), args: { kind, isPalette: true } });
      cards?.add({ command: LAUNCH, category: trans.__('cpod'), rank, args: { kind } });
    }
    palette?.addItem({ command: EDIT, category: trans.__('cpod') });
    notebooks?.activeCellChanged.connect(() => commands.notifyCommandChanged(EDIT));
    void restorer?.restore(tracker, {
      command: LAUNCH,
      args: ({ content, id }) => ({ ...content.start, id }), // the same id, by which the layout knows its place
      name: ({ id }) => id
    });
  }
};

function isKind(value: unknown): value is Kind {
  return typeof value === 'string' && value in KINDS;
}

/** What a command's arguments ask for; what is not given is left to the form. */
function startOf(args: ReadonlyPartialJSONObject, trans: TranslationBundle): IStart {
  const text = (key: string): string => (typeof args[key] === 'string' ? (args[key] as string) : '');
  const named = isKind(args.kind) ? args.kind : null;
  return {
    kind: named ?? (text('text') ? kindOf(text('text'), trans) : null) ?? 'finetune',
    context: text('context'),
    namespace: text('namespace') || (text('text') ? namespaceOf(text('text'), trans) : ''),
    text: text('text')
  };
}

/** The same where the sidebar is, unless it says itself where it is. */
function at(start: IStart, place: IPlace | null): IStart {
  const context = start.context || (place?.context ?? '');
  const here = place?.context === context ? place.namespace : '';
  return { ...start, context, namespace: start.namespace || here };
}
