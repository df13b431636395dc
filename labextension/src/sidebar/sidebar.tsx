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
import { Doctor } from '../cluster/doctor';
import { EngineDown } from '../cluster/down';
import { ClusterSection, IClusterActions } from '../cluster/section';
import { ICore } from '../core';
import { cpodIcon } from '../icons';
import { SeenWidget } from '../seen';
import { IListActions, IOffer, RowList } from './list';
import { RowsModel } from './model';
import { Picker } from './picker';
import { atWork, Group, SectionName } from './rows';

/** The part of the height below which an open section counts as having no room: a filter and a row need more. */
const LEAST = 0.15;

/** The attribute of the sidebar's tab (after `data-`) from which the style sheet takes the number of jobs. */
const BADGE = 'cpod-running';

/** What the rows of a list can do, given where the list is. */
export type ActionsOf = (model: RowsModel) => IListActions;

/** The sidebar: where one works, a section for each list, and one for the cluster. */
export class Sidebar extends SidePanel {
  constructor(
    private _core: ICore,
    doctor: Doctor,
    actions: ActionsOf,
    cluster: IClusterActions,
    translator: ITranslator | undefined
  ) {
    super({ translator });
    const { jobs, place, settings, stream, trans } = _core;
    this.id = 'cpod-sidebar';
    this.addClass('cpodLab-sidebar');
    this.title.icon = cpodIcon;
    this.node.tabIndex = -1;
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
      const section = new Section(_core, model, title, actions(model), cluster.start);
      this._lists.set(group, section);
      this._add(group, section);
    }
    this._add('cluster', new ClusterSection(_core, doctor, cluster));
    if (this.content instanceof AccordionPanel) {
      this.content.expansionToggled.connect(giveRoom);
    }
    this._openAsSet();
    settings.changed.connect((_, keys) => {
      if (keys.includes('sections')) {
        this._openAsSet();
      }
    });
    jobs.changed.connect(this._count, this);
    this._count();
  }

  /** Bring a section into view, with its keys. */
  reveal(name: SectionName): void {
    const section = this._sections.get(name)!;
    if (this.content instanceof AccordionPanel) {
      this.content.expand(this.widgets.indexOf(section));
    }
    // Not at once: the palette gives the keys back to the widget in front when a command has run.
    void Promise.resolve().then(() => section.activate());
  }

  /** The keys begin where one works; what that is may not be known yet. */
  protected onActivateRequest(): void {
    (this.header.node.querySelector<HTMLElement>('select:not(:disabled)') ?? this.node).focus();
  }

  /** What one may choose from may have changed since the sidebar was seen last. */
  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this._core.place.refresh();
  }

  /** A button that makes a new object, in the sections whose kinds the form makes. */
  addNew(make: (kind: string) => void): void {
    const { trans } = this._core;
    const finetune = { label: trans.__('Fine-tune a model'), run: () => make('finetune') };
    const inference = { label: trans.__('Deploy a model'), run: () => make('inference') };
    this._lists.get('jobs')!.addNew(trans.__('New job'), finetune);
    this._lists.get('deployments')!.addNew(trans.__('New deployment'), inference);
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

  private _add(name: SectionName, section: Section | ClusterSection): void {
    this._sections.set(name, section);
    this.addWidget(section);
  }

  /** Open the sections that are set to be, and close the others. */
  private _openAsSet(): void {
    const { sections } = this._core.settings.current;
    for (const [name, section] of this._sections) {
      if (this.content instanceof AccordionPanel) {
        const index = this.widgets.indexOf(section);
        if (sections[name]) {
          this.content.expand(index);
        } else {
          this.content.collapse(index);
        }
      }
    }
  }

  private _sections = new Map<SectionName, Section | ClusterSection>();
  private _lists = new Map<Group, Section>();
}

/** Give each open section without room an equal share of the height; the others share the rest as they did. */
function giveRoom(content: AccordionPanel): void {
  const sizes = content.relativeSizes();
  const open = sizes.map((_, at) => !content.widgets[at].isHidden);
  const small = sizes.map((size, at) => open[at] && size < LEAST);
  const count = open.filter(Boolean).length;
  if (small.includes(true)) {
    const left = 1 - small.filter(Boolean).length / count;
    content.setRelativeSizes(sizes.map((size, at) => (small[at] ? 1 / count : open[at] ? size * left : 0)));
  }
}

/** A list with its title and a button that asks again. */
class Section extends PanelWithToolbar {
  constructor(core: ICore, model: RowsModel, title: string, actions: IListActions, start: () => void) {
    super();
    this.addClass('cpodLab-section');
    this.title.label = title;
    this._list = new ListWidget(core, model, title, actions, start);
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

  /** A button that makes a new object; an empty list offers the same in words. */
  addNew(tooltip: string, offer: IOffer): void {
    this.toolbar.insertItem(0, 'new', new ToolbarButton({ icon: addIcon, tooltip, onClick: offer.run }));
    this._list.offer = offer;
  }

  protected onActivateRequest(): void {
    this._list.node.querySelector<HTMLElement>('[role=grid]')?.focus();
  }

  private _list: ListWidget;
}

/** A list that is live while it can be seen. */
class ListWidget extends SeenWidget {
  constructor(
    private _core: ICore,
    private _model: RowsModel,
    private _title: string,
    private _actions: IListActions,
    private _start: () => void
  ) {
    super();
    this.addClass('cpodLab-listWidget');
    _model.changed.connect(this.update, this);
    _core.engine.changed.connect(this.update, this);
    _core.settings.changed.connect(this.update, this);
    _core.refreshed.connect(_model.refresh, _model);
  }

  set offer(offer: IOffer) {
    this._offer = offer;
    this.update();
  }

  protected render(): JSX.Element {
    const { rows, trouble } = this._model;
    const { engine, settings, trans } = this._core;
    const down = <EngineDown doing={engine.doing} onStart={this._start} trans={trans} />;
    return (
      <RowList
        label={this._title}
        rows={rows}
        trouble={engine.missed ? down : trouble && <p className="cpodLab-trouble">{trouble}</p>}
        order={settings.current.order}
        seen={this.seen}
        actions={this._actions}
        offer={this._offer}
        trans={trans}
      />
    );
  }

  protected onSeen(seen: boolean): void {
    if (seen) {
      this._close = this._model.open();
    } else {
      this._close?.();
      this._close = null;
    }
  }

  private _offer: IOffer | null = null;
  private _close: (() => void) | null = null;
}

/** The picker, as the place is now. */
class PickerWidget extends ReactWidget {
  constructor(private _core: ICore) {
    super();
    _core.engine.changed.connect(this.update, this); // with the place
  }

  protected render(): JSX.Element {
    const { engine, place, trans } = this._core;
    return (
      <Picker
        current={place.current}
        contexts={place.contexts}
        namespaces={place.namespaces}
        // The sections say that the engine does not run, and what to do.
        trouble={engine.missed ? '' : place.trouble}
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
