"""What a preflight knows: gathered once, then only read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cpod_jupyter.api.catalog import CATALOG, BaseModel
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.errors import ApiError
from cpod_jupyter.operator.settings import Settings


@dataclass(frozen=True)
class Data:
    """What was read of a dataset's file or folder on this machine."""

    rows: int
    """Sound rows and wrong ones."""
    tokens: int
    """About, of the sound rows: a token for 4 ASCII characters, and one for each other character."""
    faults: tuple[str, ...] = ()
    whole: bool = True
    """False when reading stopped at its limit."""
    examples: str = ""
    """What the sound rows are: conversations, texts or preferences."""
    longest: int = 0
    """Tokens of the longest sound row at most."""


@dataclass(frozen=True)
class Speed:
    """Tokens a second that an earlier run has reported, and which run."""

    tokens_per_second: float
    run: str


@dataclass(frozen=True)
class Facts:
    """None stands for what could not be asked; `unread` says of it why."""

    resource: Resource
    obj: Object
    settings: Settings = field(default_factory=Settings)
    models: Sequence[Object] | None = None
    datasets: Sequence[Object] | None = None
    public_models: Sequence[Object] | None = None
    public_datasets: Sequence[Object] | None = None
    catalogue: Sequence[BaseModel] = CATALOG
    secrets: Mapping[str, bool] = field(default_factory=dict)
    nodes: Sequence[Object] | None = None
    pods: Sequence[Object] | None = None
    free_memory: int | None = None
    """Bytes of this machine that are free, where its engine is the only node."""
    refusal: ApiError | None = None
    """What the server says to the object, created in a dry run; None when it takes it."""
    data: Data | None = None
    speed: Speed | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
