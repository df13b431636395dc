"""Lists in pieces and of a certain version: `limit`, `continue`, `resourceVersion` (API concepts,
"Retrieving large results sets in chunks" and "Resource versions in metadata")."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.selectors import Matches
from cpod_jupyter.engine.store import place_of
from cpod_jupyter.errors import BadRequest, Expired, Invalid, Timeout


@dataclass(frozen=True)
class ListOptions:
    """Which version of a list, and which piece of it. `limit` 0 is all; `start` is the last place already seen."""

    limit: int = 0
    exactly: int | None = None
    start: tuple[str, str] | None = None

    @classmethod
    def of(cls, query: Mapping[str, str], newest: int) -> ListOptions:
        """Raises BadRequest or Invalid for what makes no sense, Timeout for a version to come."""
        try:
            limit = int(query.get("limit") or 0)
        except ValueError as error:
            raise BadRequest(f"limit must be a number, not {query['limit']!r}") from error
        version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
        if token := query.get("continue", ""):
            if version not in ("", "0"):
                raise BadRequest("specifying resource version is not allowed when using continue")
            if match:
                raise Invalid("resourceVersionMatch is forbidden when continue is provided")
            revision, start = _read(token)
            return cls(max(limit, 0), revision, start)
        if match not in ("", "Exact", "NotOlderThan"):
            raise Invalid(f"resourceVersionMatch: Unsupported value: {match!r}: Exact, NotOlderThan")
        if match and not version:
            raise Invalid("resourceVersionMatch is forbidden unless resourceVersion is provided")
        if version and not version.isdigit():
            raise BadRequest(f"Invalid resourceVersion {version!r}")
        if match == "Exact" and version == "0":
            raise Invalid('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
        if int(version or 0) > newest:
            causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
            text = f"Too large resource version: {version}, current: {newest}"
            raise Timeout(text, {"causes": causes, "retryAfterSeconds": 1})
        return cls(max(limit, 0), int(version) if match == "Exact" else None)


def page(
    objects: Objects, kind: ServedKind, namespace: str | None, matches: Matches, options: ListOptions, *, counted: bool
) -> tuple[list[Object], dict[str, Any]]:
    """The objects of one piece, and the list's metadata. `counted`: nothing was selected, so what remains is
    told. Raises Expired when the version is no longer kept."""
    with objects.store.lock:
        if options.exactly is None:
            found, revision = objects.list(kind, namespace)
        else:
            revision = options.exactly
            found = [objects.typed(kind, obj) for obj in _as_of(objects, kind, namespace, revision)]
    chosen = [obj for obj in found if (options.start is None or place_of(obj) > options.start) and matches(obj)]
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if options.limit and len(chosen) > options.limit:
        left = len(chosen) - options.limit
        chosen = chosen[: options.limit]
        metadata["continue"] = _token(revision, place_of(chosen[-1]))
        if counted:
            metadata["remainingItemCount"] = left
    return chosen, metadata


def _as_of(objects: Objects, kind: ServedKind, namespace: str | None, revision: int) -> list[Object]:
    try:
        return objects.store.list_at(kind.key, namespace, revision)
    except Expired as error:
        text = "The provided continue parameter or resourceVersion is too old to display a consistent list result"
        raise Expired(f"{text}: list again without it") from error


def _token(revision: int, place: tuple[str, str]) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": list(place)})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(token: str) -> tuple[int, tuple[str, str]]:
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = found["start"]
        return int(found["rv"]), (str(namespace), str(name))
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise BadRequest("continue key is not valid: it must be the token of a list that was not complete") from error
