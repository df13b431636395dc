import {
  addIcon,
  PanelWithToolbar,
  ReactWidget,
  SidePanel,
  ToolbarButton,
  refreshIcon
} from '@jupyterlab/ui-components';
import { ITranslator } from '@jupyterlab/translation';
import { Message } from '@lumino/messaging';
import { AccordionPanel } from '@lumino/widgets';
import React from 'react';

import { IRow } from '../rows';
import { ICore } from '../core';
import { cpodIcon } from '../icons';
import { IListActions, RowList } from './list';
import { RowsModel } from './model';
import { Picker } from './picker';
import { atWork, Group } from './rows';

/** The sections that are closed at first, so that the others have room. */
const CLOSED: Group[] = ['models', 'datasets'];

/** The attribute of the sidebar's tab (after `data-`) from which the style sheet takes the number of jobs. */
const BADGE = 'cpod-running';

/** What the rows of a list can do, given where the list is. */
export type ActionsOf = (model: RowsModel) => IListActions;

/** The sidebar: where one works, and a section for each list. */
export class Sidebar extends SidePanel {
  constructor(
    private _core: ICore,
    actions: ActionsOf,
    translator: ITranslator | undefined
  ) {
    super({ translator });
    const { jobs, place, stream, trans } = _core;
    this.id = 'cpod-sidebar';
    this.addClass('cpodLab-sidebar');
    this.title.icon = cpodIcon;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'cpod');
    this.header.addWidget(new PickerWidget(_core));
    const titles: [Group, string][] = [
      ['jobs', trans.__('Jobs')],
      ['deployments', trans.__('Deployments')],
      ['models', trans.__('Models')],
      ['datasets', trans.__('Datasets')]
    ];
    for (const [group, title] of titles) {
      const model = group === 'jobs' ? jobs : new RowsModel(stream, place, group);
      const section = new Section(_core, model, title, actions(model));
      this._sections.set(group, section);
      this.addWidget(section);
    }
    if (this.content instanceof AccordionPanel) {
      for (const group of CLOSED) {
        this.content.collapse(this.widgets.indexOf(this._sections.get(group)!));
      }
    }
    jobs.changed.connect(this._count, this);
    this._count();
  }

  /** Bring a section into view, with its keys. */
  reveal(group: Group): void {
    const section = this._sections.get(group)!;
    const index = this.widgets.indexOf(section);
    if (this.content instanceof AccordionPanel) {
      this.content.expand(index);
    }
    section.focus();
  }

  /** What one may choose from may have changed since the sidebar was seen last. */
  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this._core.place.refresh();
  }

  /** A button that makes a new object, in the sections whose kinds the form makes. */
  addNew(make: (kind: string) => void): void {
    const { trans } = this._core;
    this._sections.get('jobs')!.addNew(trans.__('New job'), () => make('finetune'));
    this._sections.get('deployments')!.addNew(trans.__('New deployment'), () => make('inference'));
  }

  /** How many jobs are at work, where it can be seen while the sidebar is closed. */
  private _count(): void {
    const { jobs, trans } = this._core;
    const count = atWork(jobs.rows ?? []);
    // A badge by the style sheet: a label of the tab would take the place of its name for screen readers.
    const { [BADGE]: _, ...others } = this.title.dataset;
    this.title.dataset = count > 0 ? { ...others, [BADGE]: String(count) } : others;
    this.title.caption =
      count > 0 ? trans._n('cpod: %1 job runs', 'cpod: %1 jobs run', count) : trans.__('cpod');
    const section = this._sections.get('jobs')!;
    section.title.label = count > 0 ? trans.__('Jobs (%1)', count) : trans.__('Jobs');
  }

  private _sections = new Map<Group, Section>();
}

/** A list with its title and a button that asks again. */
class Section extends PanelWithToolbar {
  constructor(core: ICore, model: RowsModel, title: string, actions: IListActions) {
    super();
    this.addClass('cpodLab-section');
    this.title.label = title;
    this._list = new ListWidget(core, model, title, actions);
    this.addWidget(this._list);
    this.toolbar.addItem(
      'refresh',
      new ToolbarButton({
        icon: refreshIcon,
        tooltip: core.trans.__('Refresh %1', title),
        onClick: () => model.refresh()
      })
    );
  }

  addNew(tooltip: string, onClick: () => void): void {
    this.toolbar.insertItem(0, 'new', new ToolbarButton({ icon: addIcon, tooltip, onClick }));
  }

  focus(): void {
    this._list.node.querySelector<HTMLElement>('[role=grid]')?.focus();
  }

  private _list: ListWidget;
}

/** A list that is live while it can be seen. */
class ListWidget extends ReactWidget {
  constructor(
    private _core: ICore,
    private _model: RowsModel,
    private _title: string,
    private _actions: IListActions
  ) {
    super();
    this.addClass('cpodLab-listWidget');
    _model.changed.connect(this.update, this);
    _core.refreshed.connect(_model.refresh, _model);
  }

  protected render(): JSX.Element {
    const { rows, trouble } = this._model;
    return (
      <RowList
        label={this._title}
        rows={rows}
        trouble={trouble}
        seen={this._close !== null}
        actions={this._actions}
        trans={this._core.trans}
      />
    );
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._look();
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._look();
  }

  protected onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this._look();
  }

  protected onAfterDetach(message: Message): void {
    super.onAfterDetach(message);
    this._look();
  }

  private _look(): void {
    const seen = this.isAttached && this.isVisible;
    if (seen && !this._close) {
      this._close = this._model.open();
    } else if (!seen && this._close) {
      this._close();
      this._close = null;
    }
    this.update();
  }

  private _close: (() => void) | null = null;
}

/** The picker, as the place is now. */
class PickerWidget extends ReactWidget {
  constructor(private _core: ICore) {
    super();
    _core.place.changed.connect(this.update, this);
  }

  protected render(): JSX.Element {
    const { place, trans } = this._core;
    return (
      <Picker
        current={place.current}
        contexts={place.contexts}
        namespaces={place.namespaces}
        trouble={place.trouble}
        onContext={name => void place.chooseContext(name)}
        onNamespace={name => place.chooseNamespace(name)}
        onRefresh={() => this._core.refresh()}
        trans={trans}
      />
    );
  }
}

/** The words of a notification about a job that has ended. */
export function endWords(row: IRow, core: ICore): string {
  const { kind, name, phase, reason } = row;
  return reason
    ? core.trans.__('%1 %2: %3. %4', kind, name, phase, reason)
    : core.trans.__('%1 %2: %3', kind, name, phase);
}
