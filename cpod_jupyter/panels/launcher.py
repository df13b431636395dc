"""A form for what is to be run, made from the schema of its kind: checked, previewed and submitted."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets
import yaml

from cpod_jupyter.api.resources import Object
from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.magics.written import cell_of
from cpod_jupyter.panels.base import Panel
from cpod_jupyter.panels.job import JobPanel
from cpod_jupyter.sdk import Handle, Session
from cpod_jupyter.sdk.handles import to_yaml
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.preflight import PLANNED
from cpod_jupyter.sdk.view import theme

KINDS = ("finetune", "job", "inference")
_PICKED = {
    "model": "models",
    "modelId": "models",
    "pretrainModelName": "models",
    "dataset": "datasets",
    "datasetName": "datasets",
}
"""Fields whose values are names of what is there."""
_FIRST = 6
"""Fields that stand above "More", beside the required ones."""
_SIMPLE = {"string", "integer", "number", "boolean"}


class Field:
    """One field of a spec as a widget. `value` raises CpodError for a text that is not what the schema says."""

    def __init__(self, name: str, schema: Mapping[str, Any], choices: tuple[str, ...] = ()) -> None:
        self.name = name
        self._kind = str(schema.get("type") or ("string" if schema.get("x-kubernetes-int-or-string") else "object"))
        about = str(schema.get("description") or name)
        self.default = schema.get("default")
        hint = "" if self.default is None else f"{self.default} when left empty"
        common = {"description": name, "tooltip": about, "style": {"description_width": "160px"}}
        wide = widgets.Layout(width="95%")
        if schema.get("enum"):
            options = [("", ""), *((str(value), value) for value in schema["enum"] if value != "")]
            self.widget = widgets.Dropdown(options=options, value="", **common, layout=wide)
        elif self._kind == "boolean":
            self.widget = widgets.Dropdown(
                options=[("", ""), ("yes", True), ("no", False)], value="", **common, layout=wide
            )
        elif choices:
            self.widget = widgets.Combobox(options=choices, placeholder=hint, **common, layout=wide)
        elif self._kind in _SIMPLE:
            self.widget = widgets.Text(placeholder=hint, **common, layout=wide)
        else:
            self.widget = widgets.Textarea(placeholder=hint or "YAML", rows=3, **common, layout=wide)

    def enter(self, value: Any) -> None:
        """Fill it in."""
        plain = isinstance(value, bool) or isinstance(self.widget, widgets.Dropdown)
        text = value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False).removesuffix("...\n").strip()
        self.widget.value = value if plain else text

    @property
    def value(self) -> Any:
        """What was entered; None when nothing was."""
        entered = self.widget.value
        if entered == "":
            return None
        if not isinstance(entered, str) or self._kind == "string":
            return entered
        try:
            found = yaml.safe_load(entered)
        except yaml.YAMLError as error:
            raise CpodError(f"{self.name}: not valid YAML: {str(error).splitlines()[0]}") from error
        if self._kind in ("integer", "number") and not isinstance(found, (int, float)):
            raise CpodError(f'{self.name}: "{entered}" is no number')
        return found


class LauncherPanel(Panel):
    """`manifest` is what the form describes; `opened` the panel of what was submitted last."""

    opened: JobPanel | None = None

    def __init__(self, session: Session, like: Handle | None = None) -> None:
        """`like` is what it begins with, as that was asked for. Raises CpodError for a kind that it does not make."""
        if like is not None and word_of(like.resource) not in KINDS:
            raise CpodError(f"{like.title} cannot be made in the form: it makes {', '.join(KINDS)}")
        self.session = session
        kind = KINDS[0] if like is None else word_of(like.resource)
        self.kind = widgets.Dropdown(options=KINDS, value=kind, description="Kind")
        self.name = widgets.Text(description="Name", placeholder="lower-case letters, digits and -")
        self._form = widgets.VBox()
        self._shown = widgets.VBox()
        tools = [
            self.button("Check", self._check, hint="What the server and the preflight say; nothing is submitted"),
            self.button("Show as cell", self._show_cell),
            self.button("Submit", self._submit),
        ]
        super().__init__([widgets.HBox([self.kind, self.name]), self._form, widgets.HBox(tools), self._shown])
        self.kind.observe(lambda _: self._build(), "value")
        self._build()
        for name, value in (like.object.get("spec") or {} if like is not None else {}).items():
            if name in self.fields and value != self.fields[name].default:
                self.fields[name].enter(value)

    def text(self) -> str:
        entered = yaml.safe_dump(self._entered(), sort_keys=False) if self._entered() else ""
        return f"a form for {self.kind.value}/{self.name.value or 'NAME'}\n{entered}".strip()

    def html(self) -> str:
        return theme.block(f'<pre class="cpod-log">{escape(self.text())}</pre>')

    @property
    def manifest(self) -> Object:
        """The object that the form describes, checked against the kind's schema. Raises CpodError, ManifestError with
        every fault."""
        if not self.name.value.strip():
            raise CpodError("give it a name first")
        spec = {name: field.value for name, field in self.fields.items()}
        text = yaml.safe_dump({key: value for key, value in spec.items() if value is not None}, sort_keys=False)
        (found,) = self.session.load(text, kind=self.session.kind(self.kind.value), name=self.name.value.strip())
        return found

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()
        super().close()

    def _build(self) -> None:
        schema = self.session.schema(self.kind.value)
        spec = schema.get("properties", {}).get("spec", {})
        names = self._names()
        self.fields = {
            name: Field(name, about, names.get(_PICKED.get(name, ""), ()))
            for name, about in spec.get("properties", {}).items()
        }
        required = [name for name in spec.get("required", []) if name in self.fields]
        rest = [name for name in self.fields if name not in required]
        first, more = [*required, *rest[:_FIRST]], rest[_FIRST:]
        children: list[Any] = [self.fields[name].widget for name in first]
        if more:
            drawer = widgets.Accordion([widgets.VBox([self.fields[name].widget for name in more])])
            drawer.set_title(0, "More")
            children.append(drawer)
        self._form.children = tuple(children)

    def _names(self) -> dict[str, tuple[str, ...]]:
        """Names to pick from, by what they are of."""
        return {
            "models": tuple(row[0] for row in self.session.models(most=None).rows()),
            "datasets": tuple(handle.name for handle in self.session.list("dataset")),
        }

    def _entered(self) -> dict[str, Any]:
        return {name: field.widget.value for name, field in self.fields.items() if field.widget.value != ""}

    def _check(self) -> None:
        obj = self.manifest
        shown = [widgets.HTML(theme.block(f'<pre class="cpod-log">{escape(to_yaml(obj))}</pre>'))]
        if self.session.kind(self.kind.value) in PLANNED:
            verdict = self.session.preflight(obj)
            shown.insert(0, widgets.HTML(str(verdict._repr_mimebundle_()["text/html"])))
        else:
            self.session.validate(obj)
        self._shown.children = tuple(shown)
        self.say("checked; nothing was submitted", "good")

    def _show_cell(self) -> None:
        cell = cell_of([self.manifest])
        self._shown.children = (widgets.Textarea(cell, rows=cell.count("\n") + 1, layout=widgets.Layout(width="95%")),)

    def _submit(self) -> None:
        obj = self.manifest
        if self.session.kind(self.kind.value) in PLANNED and not self.session.has(obj):
            self.session.preflight(obj).check()
        handle, outcome = self.session.submit(obj)
        if self.opened is not None:
            self.opened.close()
        self.opened = JobPanel(handle, self.session)
        self._shown.children = (self.opened,)
        self.say(f"{handle.title} {outcome}", "good")
