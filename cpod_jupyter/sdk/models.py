"""The models that one can name: those of the namespace, and those of the catalogue, fetched or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.catalog import CATALOG, BaseModel
from cpod_jupyter.api.resources import MODELSTORAGES, Object
from cpod_jupyter.errors import ApiError
from cpod_jupyter.operator.builders.plan import shape_of
from cpod_jupyter.operator.catalogue import catalogue
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.settings_file import settings_of_home
from cpod_jupyter.sdk.listing import source_of
from cpod_jupyter.sdk.states import State, status_of
from cpod_jupyter.sdk.view import table
from cpod_jupyter.sdk.view.rows import Rows
from cpod_jupyter.sdk.words import amount

if TYPE_CHECKING:
    import pandas as pd

    from cpod_jupyter.sdk.session import Session

SHOWN = 25
"""Lines of a table unless all are asked for."""
COLUMNS = ("name", "state", "parameters", "size", "licence", "from")
IN_CATALOGUE, DOWNLOADED, OWN = "in catalogue", "downloaded", "own"


@dataclass(frozen=True)
class ModelInfo:
    """A model by the name that a FineTune takes."""

    name: str
    state: str
    """`own`, of the namespace; of the catalogue `downloaded`, or `in catalogue`, to be fetched when first used; or the
    phase of a storage that is not done."""
    parameters: int = 0
    """0 where not known."""
    guessed: bool = False
    """The parameters are a guess from the name or the size."""
    size: int = 0
    """Bytes of its files; 0 until they are there."""
    licence: str = ""
    """As the catalogue has it; empty where it doesn't say."""
    source: str = ""
    storage: str = ""
    """Its ModelStorage's name, where there is one."""


class Models(Rows[ModelInfo]):
    """Models, the namespace's own first. Shown as a table; `to_df()` for pandas."""

    columns = COLUMNS

    def __init__(
        self, items: Sequence[ModelInfo], namespace: str, most: int | None = SHOWN, notes: Sequence[str] = ()
    ) -> None:
        super().__init__(items)
        self.empty = f"no models in namespace {namespace}, and none in the catalogue"
        self._most = len(items) if most is None else most
        self._notes = tuple(notes)

    def rows(self) -> list[tuple[str, ...]]:
        return [_row(model) for model in self._items[: self._most]]

    def notes(self) -> list[str]:
        """What is to be said below the table: how many are not shown, what could not be asked."""
        left = len(self) - self._most
        return [*([f"{left} more; --all shows them"] if left > 0 else []), *self._notes]

    def to_dicts(self) -> list[dict[str, Any]]:
        """The same for programs."""
        return [asdict(model) for model in self]

    def to_df(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.to_dicts(), columns=list(ModelInfo.__dataclass_fields__))

    def __repr__(self) -> str:
        return "\n".join([super().__repr__(), *self.notes()])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        html = table.html(COLUMNS, self.rows(), pills=(1,)) if self else table.note(self.empty)
        html += "".join(table.note(note) for note in self.notes())
        return {"text/plain": repr(self), "text/html": html}


def models_of(session: Session, *, most: int | None = SHOWN) -> Models:
    """The models that a FineTune may name in the session's namespace; of them `most` are shown.

    Where the cluster's own catalogue may not be read, the built-in one stands for it, and that is said.
    """
    storages = session.client.list(MODELSTORAGES, session.namespace).items
    settings = settings_of_home(session.engine.home) if session.engine else Settings()
    known: Sequence[BaseModel] = CATALOG
    notes: list[str] = []
    try:
        known = catalogue(session.client, settings)
    except ApiError as error:
        notes.append(f"the catalogue is the built-in one, the cluster's own cannot be read: {error}")
    return Models(joined(storages, known), session.namespace, most, notes)


def joined(storages: Iterable[Object], known: Iterable[BaseModel]) -> list[ModelInfo]:
    """The namespace's own models, then the catalogue's, each once. Pure."""
    by_name = {meta.name_of(storage): storage for storage in storages}
    models = list(known)
    listed = [_of_catalogue(model, by_name.get(model.storage_name)) for model in models]
    taken = {model.storage_name for model in models}
    own = [_of_storage(storage) for name, storage in sorted(by_name.items()) if name not in taken]
    return [*own, *sorted(listed, key=lambda model: (model.state == IN_CATALOGUE, model.name.lower()))]


def _of_storage(storage: Object) -> ModelInfo:
    name = meta.name_of(storage)
    parameters, guessed = _parameters(storage, None)
    size = int((storage.get("status") or {}).get("size") or 0)
    return ModelInfo(name, _state(storage, OWN), parameters, guessed, size, "", source_of(storage), name)


def _of_catalogue(model: BaseModel, storage: Object | None) -> ModelInfo:
    parameters, guessed = _parameters(storage, model)
    if storage is None:
        return ModelInfo(model.name, IN_CATALOGUE, parameters, guessed, 0, model.licence, model.source)
    size = int((storage.get("status") or {}).get("size") or 0)
    state, source = _state(storage, DOWNLOADED), model.source or source_of(storage)
    return ModelInfo(model.name, state, parameters, guessed, size, model.licence, source, meta.name_of(storage))


def _state(storage: Object, done: str) -> str:
    status = status_of(storage, MODELSTORAGES)
    return done if status.state is State.SUCCEEDED else status.phase


def _parameters(storage: Object | None, model: BaseModel | None) -> tuple[int, bool]:
    shape = shape_of(storage, model)
    return (shape.parameters, shape.approximate) if shape is not None else (0, False)


def _row(model: ModelInfo) -> tuple[str, ...]:
    about = f"{'about ' if model.guessed else ''}{_billions(model.parameters)}" if model.parameters else ""
    return model.name, model.state, about, amount(model.size) if model.size else "", model.licence, model.source


def _billions(count: int) -> str:
    """135M, 6.2B."""
    return f"{count / 1e9:.1f}B" if count >= 950_000_000 else f"{count / 1e6:.0f}M"
