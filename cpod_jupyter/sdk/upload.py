"""From data in hand to a dataset or a model in the namespace: `Session.upload`, `%cpod upload`.

On the engine a dataset's rows are written once into a folder of its home that only the user can read, named by their
hash, and a model is taken from where it lies; the storage names that place. On a cluster the files go through a pod
into a claim, from which the storage is copied (`sdk.receiver`). Either way the storage's source ends in the content's
SHA-256, so that the same content is never sent twice, and what arrives otherwise is refused by who fetches it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import DATASETSTORAGES, Object
from cpod_jupyter.api.sources import split_checksum
from cpod_jupyter.errors import CpodError, Interrupted, NotFound
from cpod_jupyter.sdk.apply import Outcome
from cpod_jupyter.sdk.content import Content, dataset_content, model_content
from cpod_jupyter.sdk.handles import Storage
from cpod_jupyter.sdk.kinds import WORDS
from cpod_jupyter.sdk.receiver import Staged, Tell, claim_in, received
from cpod_jupyter.sdk.states import State, status_of

if TYPE_CHECKING:
    from cpod_jupyter.sdk.session import Session

UPLOADS = "uploads"
"""In the engine's home."""
_KEPT_SECONDS = 3600.0
"""How long a folder stays that no storage names: one may be about to."""


class UploadInterrupted(Interrupted):
    """An upload was interrupted, and what it had begun is taken away."""

    def __init__(self, title: str) -> None:
        super().__init__(f"the upload of {title} was interrupted; what it had begun was taken away")


def content_of(data: Any, *, model: bool = False) -> Content:
    """What is uploaded of data in hand. Raises PreflightFailed that names each bad row, CpodError."""
    if not model:
        return dataset_content(data)
    if not isinstance(data, (str, Path)):
        raise CpodError(f"a model is uploaded from its folder, not from a {type(data).__name__}")
    return model_content(data)


def words_of(words: Sequence[str], named: str | None) -> tuple[str, str]:
    """What and under which name, from `WHAT as NAME` or from WHAT and `--as NAME`. Raises CpodError."""
    if len(words) == 3 and words[1] == "as" and named is None:
        return words[0], words[2]
    if len(words) == 1 and named:
        return words[0], named
    raise CpodError("say what and under which name: upload rows.jsonl as facts")


def upload(
    session: Session,
    content: Content,
    name: str,
    *,
    tell: Tell | None = None,
    image: str = "",
    namespace: str = "",
) -> tuple[Storage, Outcome]:
    """Bring content into a namespace, the session's when left out, as a dataset, or a model, of that name.

    `image` is of the pod that receives it on a cluster (it needs sh, head and tar), the runtime's when left out. On
    the engine it returns at once, as other submissions do; on a cluster when the files are in the storage's own claim.
    Raises CpodError for a name that cannot be, ApiError, ApiUnreachable, WaitTimeout, WorkFailed, UploadInterrupted.
    """
    namespace = namespace or session.namespace
    resource = WORDS[content.kind]
    tell = tell or (lambda doing, done, total: None)
    try:
        existing = session.client.get(resource, name, namespace)
    except NotFound:
        existing = None
    failed = existing is not None and status_of(existing).state is State.FAILED
    if existing is not None and not failed and _holds(existing, content):
        storage = Storage(session.client, existing, resource)
        return (storage if session.engine is not None else _settled(session, storage, content, tell)), "unchanged"
    session.validate(storage_of(content, name, namespace))
    outcome: Outcome = "created" if existing is None else "configured"
    if session.engine is not None:
        wanted = storage_of(content, name, namespace, on_this_machine(session, content))
        return _submit(session, wanted, new=failed), outcome  # one that failed is made anew: its spec may be the same
    try:
        with received(session.client, namespace, content, tell, image) as staged:
            storage = _submit(session, storage_of(content, name, namespace, staged.uri))
            staged.owned_by(storage.object)
    except KeyboardInterrupt:
        raise UploadInterrupted(f"{content.kind}/{name}") from None
    return _settled(session, storage, content, tell), outcome


def _settled(session: Session, storage: Storage, content: Content, tell: Tell) -> Storage:
    """Return when the cluster has copied what was received into the storage's own claim; the other goes then.

    Raises WorkFailed, and Detached when interrupted: it goes on by itself, and the claim goes with the storage.
    """
    if storage.status.state is not State.SUCCEEDED:
        tell("the cluster copies it into its own claim", content.size, content.size)
        storage.wait()
    if claim := claim_in(str(storage.object["spec"].get(f"{content.kind}name") or "")):
        Staged(session.client, claim, storage.namespace).remove()
    return storage


def storage_of(content: Content, name: str, namespace: str, address: str = "pvc://upload/content") -> Object:
    """The storage whose files are at that address; without one, as it would be, for those that judge it before.

    Raises CpodError for a name that cannot be.
    """
    resource = WORDS[content.kind]
    if not meta.NAME_PATTERN.fullmatch(name):
        raise CpodError(
            f'the name "{name}" must be lower-case letters, digits and "-", beginning and ending with a letter or digit'
        )
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {f"{content.kind}name": f"{address}#sha256={content.sha256}"},
    }


def on_this_machine(session: Session, content: Content) -> str:
    """The address, for the engine, of the content's place on this machine; a dataset is written there first."""
    if content.place is not None:
        return f"file://{content.place}"
    assert session.engine is not None, "only the engine's pods see this machine's files"
    folder = session.engine.home / UPLOADS
    _prune(session, folder)
    return f"file://{_written(content, folder)}"


def _submit(session: Session, storage: Object, *, new: bool = False) -> Storage:
    handle, _ = session.submit(storage, new=new)
    assert isinstance(handle, Storage)
    return handle


def _holds(storage: Object, content: Content) -> bool:
    """Whether a storage was made from this content."""
    source = str(storage["spec"].get(f"{content.kind}name") or "")
    return split_checksum(source)[1] == content.sha256


def _written(content: Content, folder: Path) -> Path:
    """The folder of the content's files, written unless it is there: whole, or not at all.

    Raises CpodError when the disk takes it not, or the data are no longer what was checked.
    """
    place = folder / content.sha256[:32]
    if place.is_dir():
        os.utime(place)
        return place
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))  # 0700
        try:
            for file in content.files:
                _write(draft / file.name, file.chunks(), content)
            with contextlib.suppress(OSError):  # another has written the same meanwhile
                draft.rename(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise CpodError(f"the rows cannot be written into {folder}: {error.strerror or error}") from error
    return place


def _write(path: Path, chunks: Iterable[bytes], content: Content) -> None:
    """Write the one file of a dataset, for its user alone."""
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        for chunk in chunks:
            digest.update(chunk)
            stream.write(chunk)
    if digest.hexdigest() != content.sha256:
        raise CpodError(f"{content.called} changed while it was uploaded; run this again")


def _prune(session: Session, folder: Path) -> None:
    """Remove folders of earlier uploads that no dataset names any more."""
    if not folder.is_dir():
        return
    named = {str(item["spec"].get("datasetname")) for item in session.client.list(DATASETSTORAGES).items}
    for place in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            is_old = time.time() - place.stat().st_mtime > _KEPT_SECONDS
            if is_old and not any(str(place) in name for name in named):
                shutil.rmtree(place, ignore_errors=True)
