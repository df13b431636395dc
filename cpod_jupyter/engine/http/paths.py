"""From a URL path to what it names (Kubernetes API concepts, "Resource URIs")."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from cpod_jupyter.engine.kinds import Kinds, ServedKind
from cpod_jupyter.errors import NotFound


@dataclass(frozen=True)
class Target:
    """A collection, an object, or a subresource of one. `namespace` None is all of them."""

    kind: ServedKind
    namespace: str | None
    name: str | None = None
    subresource: str = ""
    rest: str = ""
    """What follows a proxy subresource, still quoted."""

    @property
    def scope(self) -> str:
        """The namespace as the store has it: empty for cluster-wide kinds."""
        return self.namespace or ""


def parse(path: str, kinds: Kinds) -> Target:
    """What a path names; it is still quoted, so that a quoted slash in a name separates nothing.

    Raises NotFound when it names nothing that is served.
    """
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise NotFound("the server could not find the requested resource")
    if rest[0] == "namespaces" and len(rest) >= 3 and not (not group and rest[2] in ("status", "finalize")):
        kind = kinds.find(group, version, rest[2])
        if not kind.resource.namespaced:
            raise NotFound("the server could not find the requested resource")
        return _target(kind, unquote(rest[1]), rest[3:])
    kind = kinds.find(group, version, rest[0])
    if kind.resource.namespaced and len(rest) > 1:
        raise NotFound("the server could not find the requested resource")
    return _target(kind, None, rest[1:])


def _target(kind: ServedKind, namespace: str | None, rest: list[str]) -> Target:
    name = unquote(rest[0]) if rest else None
    subresource = rest[1] if len(rest) > 1 else ""
    return Target(kind, namespace, name, subresource, "/".join(rest[2:]))
