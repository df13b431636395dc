"""What controllers, and everything above them, ask of a Kubernetes API.

Two implementations: `client.Client` over HTTP, and `engine.local.LocalApi` inside the engine.
All calls block, are safe from several threads, and raise the errors of `cpod_jupyter.errors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from cpod_jupyter.api.resources import Object, Resource


@dataclass(frozen=True)
class WatchEvent:
    """One line of a watch. `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


@dataclass(frozen=True)
class ObjectList:
    """The items of a list, and the version from which a watch goes on."""

    items: list[Object]
    resource_version: str


Propagation = Literal["Background", "Foreground", "Orphan"]


class KubeApi(Protocol):
    """The verbs. Objects go in and come out as plain dictionaries, which the caller may change."""

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """One object. Raises NotFound."""
        ...

    def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        """All objects, of one namespace or of every one."""
        ...

    def create(self, resource: Resource, obj: Object) -> Object:
        """Store a new object, in the namespace its metadata names. Raises AlreadyExists, Invalid."""
        ...

    def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """Put the whole object, or its status; refused as Conflict when it changed since it was read."""
        ...

    def patch(
        self,
        resource: Resource,
        name: str,
        patch: dict[str, Any],
        namespace: str | None = None,
        *,
        subresource: str = "",
    ) -> Object:
        """Merge patch (RFC 7396) of the object or its status."""
        ...

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> None:
        """Delete an object; with `uid`, only if it is still that one. Raises NotFound, Conflict."""
        ...

    def log_tail(self, pod: str, namespace: str, lines: int) -> tuple[str, ...]:
        """The last lines of a pod's log so far. Raises NotFound, BadRequest before its container has started."""
        ...

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
    ) -> Iterator[WatchEvent]:
        """Changes after a version, until the time is up. Raises Expired when it is too old: list again.

        Bookmarks come in between, so that the newest version seen is known and a silent
        connection is told from a dead one.
        """
        ...
