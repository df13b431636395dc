import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import {
  Clipboard,
  ICommandPalette,
  InputDialog,
  MainAreaWidget,
  ReactWidget,
  showErrorMessage,
  WidgetTracker
} from '@jupyterlab/apputils';
import { launchIcon } from '@jupyterlab/ui-components';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import React from 'react';

import { IAddress, keyOf } from '../../block/state';
import { ICore } from '../../core';
import { DeploymentPage } from './page';

const OPEN = 'cpod:open-deployment';

class DeploymentWidget extends ReactWidget {
  constructor(
    readonly address: IAddress,
    private _core: ICore
  ) {
    super();
    this.addClass('cpodDeployment-widget');
    _core.settings.changed.connect(this.update, this);
  }

  render(): JSX.Element {
    const { server, settings, stream, trans } = this._core;
    const { temperature, maxTokens: max_tokens } = settings.current;
    return (
      <DeploymentPage
        address={this.address}
        server={server}
        stream={stream}
        start={{ temperature, max_tokens }}
        trans={trans}
        copy={text => Clipboard.copyToSystem(text)}
      />
    );
  }
}

/** Deployments in tabs of their own, with a chat. */
export const deployments: JupyterFrontEndPlugin<void> = {
  id: 'cpod-jupyter:deployments',
  description: 'Shows a deployment, and lets one chat with it.',
  autoStart: true,
  requires: [ICore],
  optional: [ICommandPalette, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    core: ICore,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ) => {
    const { trans } = core;
    const tracker = new WidgetTracker<MainAreaWidget<DeploymentWidget>>({ namespace: 'cpod-deployment' });

    const opened = (address: IAddress): MainAreaWidget<DeploymentWidget> => {
      const known = tracker.find(each => keyOf(each.content.address) === keyOf(address));
      if (known) {
        return known;
      }
      const made = new MainAreaWidget({ content: new DeploymentWidget(address, core) });
      made.id = `cpod-deployment-${keyOf(address)}`;
      made.title.label = trans.__('Chat with %1', address.name);
      made.title.caption = trans.__(
        'Deployment %1 in %2 of %3',
        address.name,
        address.namespace,
        address.context
      );
      made.title.icon = launchIcon;
      made.title.closable = true;
      app.shell.add(made, 'main');
      void tracker.add(made);
      return made;
    };

    app.commands.addCommand(OPEN, {
      label: args => (addressIn(args) ? trans.__('Chat') : trans.__('Chat with a deployment…')),
      caption: trans.__('Show a deployment with its URL, code that asks it, and a chat'),
      execute: async args => {
        const address = addressIn(args) ?? (await asked(core));
        if (address) {
          const widget = opened(address);
          app.shell.activateById(widget.id);
          return widget;
        }
        return null;
      }
    });
    palette?.addItem({ command: OPEN, category: trans.__('cpod') });
    void restorer?.restore(tracker, {
      command: OPEN,
      args: ({ content }) => ({ ...content.address }),
      name: ({ content }) => keyOf(content.address)
    });
  }
};

/** The address that a command's arguments are. */
function addressIn(args: ReadonlyPartialJSONObject): IAddress | null {
  const { context, namespace, name, kind = 'inference' } = args;
  const whole = [context, namespace, kind, name].every(each => typeof each === 'string' && each !== '');
  return whole ? ({ context, namespace, kind, name } as IAddress) : null;
}

/** A deployment by name, in the namespace that the sidebar shows or, as `namespace/name`, in another. */
async function asked({ place, trans }: ICore): Promise<IAddress | null> {
  const title = trans.__('Chat with a deployment');
  if (!place.current) {
    await place.refresh();
  }
  const here = place.current;
  if (!here) {
    await showErrorMessage(title, place.trouble);
    return null;
  }
  const { value } = await InputDialog.getText({
    title,
    label: trans.__('Its name, in namespace %1 of %2; or namespace/name', here.namespace, here.context)
  });
  const [name, namespace = here.namespace] = (value ?? '').trim().split('/').reverse();
  return name ? { context: here.context, namespace, kind: 'inference', name } : null;
}
