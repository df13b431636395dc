"""To a cluster: a claim, a pod that has it mounted, and a tar stream into the pod, as `kubectl cp` does it.

The pod and the claim are there for as long as it takes. Whatever ends an upload early takes both away: the claim
belongs to the pod, and the pod ends by itself when whoever feeds it is killed.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import DEPLOYMENTS, PODS, PVCS, Object
from cpod_jupyter.api.sources import split_checksum
from cpod_jupyter.errors import ApiError, CpodError, NotFound, WaitTimeout, WorkFailed
from cpod_jupyter.operator import pods as words
from cpod_jupyter.operator.builders.claims import claim_volume, with_headroom
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.sdk.content import Content
from cpod_jupyter.sdk.install.manifests import LABELS

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

Tell = Callable[[str, int, int], None]
"""Told now and then: what is being done, and of how many bytes how many."""

FOLDER = "content"
"""In the claim: the root of a volume may hold a `lost+found`."""
_PREFIX = "upload-"
_MOUNTED = "/data/upload"
_LONGEST_SECONDS = 6 * 3600
_START_SECONDS = 300.0
_LOOK_SECONDS = 0.3
_TELL_SECONDS = 0.2
_SMALLEST_BYTES = 16 << 20
_RECEIVE = 'mkdir -p "$2" && head -c "$1" | tar -xf - -C "$2"'


class Staged:
    """A claim with what was uploaded. `owned_by` gives it to the storage that is copied from it; leaving the context
    without that takes it away."""

    def __init__(self, client: Client, name: str, namespace: str) -> None:
        self._client = client
        self.claim = name
        self._namespace = namespace

    @property
    def uri(self) -> str:
        return f"pvc://{self.claim}/{FOLDER}"

    def owned_by(self, storage: Object) -> None:
        """Let the claim go with the storage."""
        reference = {**meta.owner_reference(storage), "controller": False, "blockOwnerDeletion": False}
        patch = {"metadata": {"ownerReferences": [reference]}}
        self._client.patch(PVCS, self.claim, patch, self._namespace)

    def remove(self) -> None:
        """Delete the claim: what was in it is elsewhere, or not wanted."""
        with contextlib.suppress(NotFound):
            self._client.delete(PVCS, self.claim, self._namespace)


def claim_in(source: str) -> str:
    """The claim of a storage's source, where that is one of ours; else empty."""
    found = re.fullmatch(rf"pvc://({_PREFIX}[0-9a-f]{{10}}-[0-9a-f]{{6}})/{FOLDER}", split_checksum(source)[0])
    return found[1] if found else ""


@contextlib.contextmanager
def received(client: Client, namespace: str, content: Content, tell: Tell, image: str = "") -> Iterator[Staged]:
    """Send the content into a claim of its own. When the context is left by an error or an interrupt, nothing stays.

    Raises WaitTimeout when the pod doesn't start, WorkFailed when the command in it fails, ApiError, ApiUnreachable.
    """
    _tidy(client, namespace)
    name = f"{_PREFIX}{content.sha256[:10]}-{secrets.token_hex(3)}"
    pod = client.create(PODS, _pod(name, namespace, image or runtime_image(client)))
    staged = Staged(client, name, namespace)
    try:
        client.create(PVCS, _claim(name, pod, content))
        _wait_running(client, name, namespace, tell)
        size = sum(len(part) for part in _headers(content)) + sum(_padded(file.size) for file in content.files)
        command = ["sh", "-c", _RECEIVE, "receive", str(size), f"{_MOUNTED}/{FOLDER}"]
        client.feed(name, namespace, command, _told(_archive(content), size, tell))
        yield staged
    except BaseException:
        staged.remove()
        raise
    finally:
        with contextlib.suppress(NotFound):
            client.delete(PODS, name, namespace, grace_seconds=0)


def _tidy(client: Client, namespace: str) -> None:
    """Take away what an upload has left that was killed; its pod has ended by itself, and the claim goes with it."""
    for pod in client.list(PODS, namespace, label_selector=names.LABEL_RECEIVER).items:
        if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
            with contextlib.suppress(NotFound):
                client.delete(PODS, meta.name_of(pod), namespace, uid=meta.uid_of(pod))


def runtime_image(client: Client) -> str:
    """The runtime's image, as the cluster's operator has it, whose nodes can pull that; else its published name."""
    selector = ",".join(f"{key}={value}" for key, value in LABELS.items())
    try:
        found = client.list(DEPLOYMENTS, label_selector=selector).items
    except ApiError:
        found = []
    containers = [container for item in found for container in item["spec"]["template"]["spec"]["containers"]]
    return str(containers[0]["image"]) if containers else Settings().runtime_image


def _pod(name: str, namespace: str, image: str) -> Object:
    container: dict[str, Any] = {
        "name": "receive",
        "image": image,
        "command": ["sleep", str(_LONGEST_SECONDS)],
        "volumeMounts": [{"name": "upload", "mountPath": _MOUNTED}],
    }
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {names.LABEL_RECEIVER: "true"}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _LONGEST_SECONDS,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [claim_volume("upload", name)],
        },
    }


def _claim(name: str, pod: Object, content: Content) -> Object:
    owner = {**meta.owner_reference({"apiVersion": "v1", "kind": "Pod", **pod}), "controller": False}
    size = with_headroom(max(content.size, _SMALLEST_BYTES))
    return {
        "metadata": {
            "name": name,
            "namespace": meta.namespace_of(pod),
            "labels": {names.LABEL_RECEIVER: "true"},
            "ownerReferences": [{**owner, "blockOwnerDeletion": False}],
        },
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    }


def _wait_running(client: Client, name: str, namespace: str, tell: Tell) -> None:
    until, told = time.monotonic() + _START_SECONDS, ""
    while time.monotonic() < until:
        pod = client.get(PODS, name, namespace)
        phase = (pod.get("status") or {}).get("phase")
        if phase == "Running":
            return
        if phase in ("Failed", "Succeeded"):
            raise WorkFailed(f"the pod {name}, which was to receive the upload, ended: {words.failure([pod]) or phase}")
        why = words.unschedulable([pod]) or words.held_up([pod])
        if why != told:
            told = why
            tell(f"waiting for the pod that receives it: {why or 'it starts'}", 0, 0)
        time.sleep(_LOOK_SECONDS)
    raise WaitTimeout(
        f"the pod {name}, which was to receive the upload, has not started within {_START_SECONDS:g} s"
        f"{f': {told}' if told else ''}; nothing was uploaded"
    )


def _told(parts: Iterator[bytes], size: int, tell: Tell) -> Iterator[bytes]:
    done, due = 0, 0.0
    for part in parts:
        yield part
        done += len(part)
        if time.monotonic() >= due or done == size:
            due = time.monotonic() + _TELL_SECONDS
            tell("uploading", done, size)


def _archive(content: Content) -> Iterator[bytes]:
    """A tar stream (POSIX.1-2001, pax) of the files. Raises CpodError when one is not as long as it was."""
    for file, header in zip(content.files, _headers(content), strict=False):
        yield header
        sent = 0
        for chunk in file.chunks():
            sent += len(chunk)
            if sent > file.size:
                break
            yield chunk
        if sent != file.size:
            raise CpodError(f"{content.called} changed while it was uploaded; run this again")
        yield b"\0" * (_padded(file.size) - file.size)
    yield b"\0" * 2 * tarfile.BLOCKSIZE


def _headers(content: Content) -> list[bytes]:
    """The header of each file, and the two empty blocks that end an archive."""
    found = []
    for file in content.files:
        about = tarfile.TarInfo(file.name)
        about.size, about.mode = file.size, 0o644
        found.append(about.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
    return [*found, b"\0" * 2 * tarfile.BLOCKSIZE]


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
