"""The I/O of a preflight: everything is asked at once, and for a few seconds at most; nothing is changed."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.catalog import CATALOG
from cpod_jupyter.api.records import parse_record
from cpod_jupyter.api.resources import (
    DATASETSTORAGES,
    FINETUNES,
    MODELSTORAGES,
    NODES,
    PODS,
    SECRETS,
    Object,
    Resource,
    of_object,
)
from cpod_jupyter.api.rows import BadRow, Example, data_files, examples_of, most_tokens, parse_line, read_row
from cpod_jupyter.api.sources import split_checksum
from cpod_jupyter.errors import ApiError, ApiUnreachable, BadRequest, CpodError, Forbidden, Invalid, NotFound
from cpod_jupyter.operator.catalogue import catalogue
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.settings_file import settings_of_home
from cpod_jupyter.sdk.content import Content
from cpod_jupyter.sdk.preflight.asks import Named, named_storages, secrets_of
from cpod_jupyter.sdk.preflight.facts import Data, Facts, Speed
from cpod_jupyter.sdk.preflight.planned import planned
from cpod_jupyter.sdk.preflight.rules import judge
from cpod_jupyter.sdk.preflight.storages import storage_of
from cpod_jupyter.sdk.preflight.verdict import Verdict
from cpod_jupyter.sdk.upload import storage_of as storage_of_content

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client
    from cpod_jupyter.sdk.session import Session

_AT_ONCE = 8
_TAIL = 200
"""Lines of an earlier run's log in which its speed is looked for."""
_SHARE = 0.5
"""Of the time that is left, for reading data."""


def preflight(session: Session, obj: Object, content: Content | None = None, *, seconds: float = 4.0) -> Verdict:
    """The verdict on a checked object. What cannot be asked, or not within `seconds`, is noted in it.

    `content` is a dataset that is to be uploaded for it.

    Raises ApiUnreachable when the server does not answer at all, CpodError for a kind that is not known.
    """
    facts = gather(session, obj, content, seconds=seconds)
    return dataclasses.replace(judge(facts), plan=planned(facts), refusal=facts.refusal)


def gather(session: Session, obj: Object, content: Content | None = None, *, seconds: float = 4.0) -> Facts:
    resource = of_object(obj)
    if resource is None:
        raise CpodError(f"unknown kind {obj.get('kind')!r}")
    until = time.monotonic() + seconds
    settings = settings_of_home(session.engine.home) if session.engine else Settings()
    client, namespace = session.client, meta.namespace_of(obj) or session.namespace
    named = list(named_storages(resource, obj))
    asks: dict[str, Callable[[], Any]] = {
        "refusal": lambda: _refusal(session, obj),
        "nodes": lambda: client.list(NODES).items,
        "pods": lambda: client.list(PODS).items,
        "secrets": lambda: {name: client.has(SECRETS, name, namespace) for name in secrets_of(obj)},
    }
    for kind, storages in (("models", MODELSTORAGES), ("datasets", DATASETSTORAGES)):
        wanted = [item for item in named if f"{item.kind}s" == kind]
        if any(not item.public for item in wanted):
            asks[kind] = functools.partial(_items, client, storages, namespace)
        if any(item.public for item in wanted):
            asks[f"public_{kind}"] = functools.partial(_items, client, storages, settings.public_namespace)
    if resource == FINETUNES:
        asks["catalogue"] = lambda: catalogue(client, settings)
        asks["speed"] = lambda: _speed(client, obj, namespace)
    found, unread = _asked(asks, until)
    facts = Facts(
        resource=resource, obj=obj, settings=settings, unread=unread, free_memory=_free_memory(session),
        **{"refusal": None, "catalogue": CATALOG, "secrets": {}, **found},
    )  # fmt: skip
    if content is not None:
        return _with_content(facts, content, until)
    return _with_data(facts, session, named, until)


def _with_content(facts: Facts, content: Content, until: float) -> Facts:
    """The facts as if the content were a dataset already; whether each row is sound was looked at before."""
    storage = {**storage_of_content(content, content.name, meta.namespace_of(facts.obj)), "status": {"phase": "done"}}
    tally = _Tally(until)
    for line in content.files[0].chunks():
        if tally.is_late:
            break
        tally.add(read_row(parse_line(line)))
    data = tally.data(whole=tally.rows == content.rows)
    return dataclasses.replace(facts, datasets=[*(facts.datasets or ()), storage], data=data)


def _asked(asks: Mapping[str, Callable[[], Any]], until: float) -> tuple[dict[str, Any], dict[str, str]]:
    """The answers in time, and why there is none to the others. A silent server is an error, not a note."""
    found: dict[str, Any] = {}
    unread: dict[str, str] = {}
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cpod-preflight")
    futures: dict[str, Future[Any]] = {name: pool.submit(ask) for name, ask in asks.items()}
    for name, future in futures.items():
        try:
            found[name] = future.result(max(0.01, until - time.monotonic()))
        except FutureTimeout:
            unread[name] = "no answer in time"
        except ApiError as error:
            unread[name] = str(error)
    pool.shutdown(wait=False, cancel_futures=True)
    return found, unread


def _items(client: Client, resource: Resource, namespace: str) -> list[Object]:
    return client.list(resource, namespace).items


def _refusal(session: Session, obj: Object) -> ApiError | None:
    try:
        session.validate(obj)
    except (BadRequest, Forbidden, Invalid, NotFound) as error:
        return error
    return None


def _free_memory(session: Session) -> int | None:
    if session.engine is None:
        return None
    import psutil

    return int(psutil.virtual_memory().available)


def _speed(client: Client, obj: Object, namespace: str) -> Speed | None:
    """What the newest finished fine-tune of the same model, by the same way, has reported of its speed at its end."""
    spec = obj["spec"]
    same = [
        item
        for item in client.list(FINETUNES, namespace).items
        if (item.get("status") or {}).get("phase") == "Succeeded"
        and all(item["spec"].get(field) == spec.get(field, default) for field, default in _SAME.items())
    ]
    for run in sorted(same, key=lambda item: str(item["metadata"].get("creationTimestamp")), reverse=True)[:3]:
        job = names.cpodjob_of_finetune(meta.name_of(run))
        for pod in client.list(PODS, namespace, label_selector=f"{names.LABEL_CPODJOB}={job}").items:
            try:
                lines = client.log_tail(meta.name_of(pod), namespace, _TAIL)
            except (ApiError, ApiUnreachable):
                continue
            for line in reversed(lines):
                value = (parse_record(line) or {}).get("tokens_per_second")
                if isinstance(value, (int, float)) and value > 0:
                    return Speed(float(value), f"finetune/{meta.name_of(run)}")
    return None


_SAME = {"model": None, "finetuneType": "lora", "gpuCount": 0, "gpuProduct": ""}
"""Fields that decide about the speed, with their defaults."""


def _with_data(facts: Facts, session: Session, named: list[Named], until: float) -> Facts:
    """The facts with the rows of a fine-tune's dataset, where its file lies on this machine: that is the engine's."""
    dataset = next((item for item in named if item.kind == "dataset"), None)
    if facts.resource != FINETUNES or dataset is None or session.engine is None:
        return facts
    storage = storage_of(facts, dataset)
    path = _path_of(storage) if storage is not None else None
    if path is None or not path.exists():
        return facts
    format = str((facts.obj["spec"].get("config") or {}).get("dataset_format", "auto"))
    data = read_data(path, time.monotonic() + _SHARE * max(0.0, until - time.monotonic()), format)
    return dataclasses.replace(facts, data=data)


def _path_of(storage: Object) -> Path | None:
    spec = storage["spec"]
    name = str(spec.get("datasetname") or "")
    if spec.get("pvc") or not name:
        return None
    if not name.startswith("file://") and (str(spec.get("datasettype") or "file").lower() != "file" or "://" in name):
        return None
    return Path(split_checksum(name.removeprefix("file://"))[0])


def read_data(path: Path, until: float, format: str = "auto") -> Data:
    """The rows of a file or folder, judged as the trainer does, until that time by the monotonic clock."""
    tally, faults = _Tally(until), list[str]()
    for file in data_files(path) if path.is_dir() else [path]:
        place = file.relative_to(path) if path.is_dir() else file.name
        try:
            for number, example in examples_of(file, format):
                if tally.is_late:
                    return tally.data(faults, whole=False)
                tally.add(example)
                if isinstance(example, BadRow):
                    faults.append(f"{place} row {number}: {example}")
        except OSError as error:
            faults.append(f"{place} cannot be read: {error.strerror}")
        except ValueError as error:
            faults.append(f"{place} is broken: {error}")
    return tally.data(faults)


class _Tally:
    """What the rows that were read come to."""

    def __init__(self, until: float) -> None:
        self.rows = 0
        self._until = until
        self._tokens = 0
        self._longest = 0
        self._kind = ""

    @property
    def is_late(self) -> bool:
        """Whether the time is over; the clock is looked at now and then."""
        return self.rows % 256 == 255 and time.monotonic() > self._until

    def add(self, example: Example | BadRow) -> None:
        self.rows += 1
        if not isinstance(example, BadRow):
            self._tokens += sum(map(_tokens, example.texts))
            self._longest = max(self._longest, most_tokens(example))
            self._kind = example.kind

    def data(self, faults: Sequence[str] = (), *, whole: bool = True) -> Data:
        """Of a part of the rows it is not known how long the longest is."""
        return Data(self.rows, self._tokens, tuple(faults), whole, self._kind, self._longest if whole else 0)


def _tokens(text: str) -> int:
    ascii_letters = len(text.encode("ascii", "ignore"))
    return max(1, ascii_letters // 4 + len(text) - ascii_letters)
