"""The verbs as HTTP has them: query parameters in, objects, lists, tables and watch streams out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.events import check_new, core_fields, to_core
from cpod_jupyter.engine.http.paging import ListOptions, page
from cpod_jupyter.engine.http.paths import Target
from cpod_jupyter.engine.http.scale import get_scale, patch_scale, update_scale
from cpod_jupyter.engine.http.shapes import shown, shown_list
from cpod_jupyter.engine.http.streams import Stream, Waker, WatchOptions
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.engine.managers import MANAGER_LENGTH, manager_of
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.patches import APPLY_PATCH, patched
from cpod_jupyter.engine.selectors import Matches, field_selector, label_selector
from cpod_jupyter.engine.watches import WatchScope, open_watch
from cpod_jupyter.errors import BadRequest, Expired, Invalid

_PROPAGATION = ("Background", "Foreground", "Orphan")


class Verbs:
    """One method a verb; each answers with what goes into the body."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._streams: set[Stream] = set()
        self._waker = Waker()

    def close(self) -> None:
        """End every watch, so that a shutdown does not wait for them."""
        for stream in list(self._streams):
            stream.end()

    def get(self, request: web.Request, target: Target) -> Any:
        if target.subresource == "scale":
            return get_scale(self._objects, target)
        obj = self._objects.get(target.kind, target.scope, str(target.name))
        return shown(request, target.kind, obj)

    def list(self, request: web.Request, target: Target) -> Any:
        query = request.query
        options = ListOptions.of(query, self._objects.store.revision)
        counted = not query.get("labelSelector") and not query.get("fieldSelector")
        matches = _selection(request, target)
        items, metadata = page(self._objects, target.kind, target.namespace, matches, options, counted=counted)
        return shown_list(request, target.kind, items, metadata)

    def create(self, request: web.Request, target: Target, obj: Any) -> Any:
        namespace = target.scope
        if target.kind.resource.namespaced and target.namespace is None:
            raise BadRequest("a namespace is needed in the URL to create this kind")
        if target.kind.stored_as:
            check_new(obj)
        done = self._objects.create(
            self._stored(target), namespace, _stored_form(target, obj),
            dry_run=_dry_run(request.query), strict=_strict(request), manager=_manager(request, "CreateOptions"),
        )  # fmt: skip
        return shown(request, target.kind, self._objects.typed(target.kind, done))

    def update(self, request: web.Request, target: Target, obj: Any) -> Any:
        manager, dry_run = _manager(request, "UpdateOptions"), _dry_run(request.query)
        if target.subresource == "scale":
            return update_scale(self._objects, target, obj, dry_run=dry_run, manager=manager)
        done = self._objects.update(
            self._stored(target), target.scope, str(target.name), _stored_form(target, obj),
            subresource=target.subresource, dry_run=dry_run, strict=_strict(request), manager=manager,
        )  # fmt: skip
        return shown(request, target.kind, self._objects.typed(target.kind, done))

    def _stored(self, target: Target) -> ServedKind:
        return self._objects.kinds.stored(target.kind)

    def patch(self, request: web.Request, target: Target, patch: Any) -> tuple[Any, int]:
        """The body of the answer and its code: 201 when an apply created the object."""
        kind = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
        manager = _manager(request, "PatchOptions", apply=kind == APPLY_PATCH)
        if target.subresource == "scale":
            dry_run = _dry_run(request.query)
            return patch_scale(self._objects, target, kind, patch, dry_run=dry_run, manager=manager), 200
        if target.kind.stored_as:
            return self._patch_form(request, target, kind, patch), 200
        if kind == APPLY_PATCH:
            done, created = self._objects.apply(
                target.kind, target.scope, str(target.name), patch, manager,
                force=request.query.get("force", "").lower() in ("true", "1"),
                subresource=target.subresource, dry_run=_dry_run(request.query), strict=_strict(request),
            )  # fmt: skip
            return shown(request, target.kind, done), 201 if created else 200
        done = self._objects.patch(
            target.kind, target.scope, str(target.name), kind, patch, manager=manager,
            subresource=target.subresource, dry_run=_dry_run(request.query), strict=_strict(request),
        )  # fmt: skip
        return shown(request, target.kind, done), 200

    def _patch_form(self, request: web.Request, target: Target, content_type: str, patch: Any) -> Any:
        """Patch an object in another form than it is stored in."""
        with self._objects.store.lock:
            old = self._objects.get(target.kind, target.scope, str(target.name))
            new = patched(old, content_type, patch, schema=target.kind.schema, built_in=True)
            return self.update(request, target, new)

    def delete(self, request: web.Request, target: Target, options: Any) -> Any:
        if not isinstance(options, dict):
            raise BadRequest("the body of a DELETE must be DeleteOptions")
        asked = {**request.query, **{name: value for name, value in options.items() if value is not None}}
        if target.name:
            return self._delete_one(target, target.name, target.scope, asked)
        matches = _selection(request, target)
        found, revision = self._objects.list(target.kind, target.namespace)
        chosen = [obj for obj in found if matches(obj)]
        for obj in chosen:
            metadata = obj["metadata"]
            self._delete_one(target, metadata["name"], metadata.get("namespace", ""), asked)
        resource = target.kind.resource
        return {
            "kind": resource.list_kind,
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(revision)},
            "items": chosen,
        }

    def _delete_one(self, target: Target, name: str, namespace: str, asked: Mapping[str, Any]) -> Object:
        grace = asked.get("gracePeriodSeconds")
        try:
            seconds = int(grace) if grace is not None else None
        except (TypeError, ValueError) as error:
            raise BadRequest(f"gracePeriodSeconds must be a number, not {grace!r}") from error
        orphan = str(asked.get("orphanDependents", "")).lower() == "true"
        propagation = str(asked.get("propagationPolicy") or ("Orphan" if orphan else "Background"))
        if propagation not in _PROPAGATION:
            choices = ", ".join(f'"{choice}"' for choice in _PROPAGATION)
            raise Invalid(
                f'DeleteOptions.meta.k8s.io "{name}" is invalid: propagationPolicy: Unsupported value: '
                f'"{propagation}": supported values: {choices}'
            )
        obj, gone = self._objects.delete(
            self._stored(target),
            namespace,
            name,
            grace_seconds=seconds,
            propagation=propagation,
            preconditions=asked.get("preconditions"),
            dry_run=_dry_run(asked),
        )
        if not gone or target.kind.key in ("/pods", "/services", "/serviceaccounts", "/persistentvolumeclaims"):
            return self._objects.typed(target.kind, obj)
        resource = target.kind.resource
        details = {"name": name, "group": resource.group, "kind": resource.plural, "uid": obj["metadata"]["uid"]}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {key: value for key, value in details.items() if value},
        }

    # ---- watch

    async def watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        scope = WatchScope(target.kind, target.namespace, _selection(request, target))
        options = WatchOptions.of(request.query, self._objects.store.revision)
        stream = Stream(request, target.kind, self._objects.store, self._waker)
        try:
            stop, revision = open_watch(self._objects, scope, options.since, stream.deliver)
        except Expired as error:
            return await stream.refuse(error)
        self._streams.add(stream)
        try:
            return await stream.run(options, revision)
        except ConnectionError:
            return web.Response()  # the client is gone: nobody reads it
        finally:
            stop()
            self._streams.discard(stream)


def _stored_form(target: Target, obj: Any) -> Any:
    return to_core(obj) if target.kind.stored_as else obj


def _selection(request: web.Request, target: Target) -> Matches:
    labels = label_selector(request.query.get("labelSelector", ""))
    asked = request.query.get("fieldSelector", "")
    fields = field_selector(
        core_fields(asked) if target.kind.stored_as else asked, target.kind.key, target.kind.selectable
    )
    name = target.name

    def matches(obj: Object) -> bool:
        obj = _stored_form(target, obj)
        return labels(obj) and fields(obj) and (name is None or obj["metadata"]["name"] == name)

    return matches


def _dry_run(asked: Mapping[str, Any]) -> bool:
    value = asked.get("dryRun")
    if value in (None, "", []):
        return False
    if value in ("All", ["All"]):
        return True
    raise BadRequest(f'dryRun must be "All", not {value!r}')


def _manager(request: web.Request, options: str, *, apply: bool | None = None) -> str:
    """Who writes: the query's fieldManager, else the User-Agent (metav1 validation, ValidatePatchOptions)."""
    asked = request.query.get("fieldManager", "")
    faults = []
    if apply is False and "force" in request.query:
        faults.append(("force", "FieldValueForbidden", "Forbidden: may not be specified for non-apply patch"))
    if apply and not asked:
        faults.append(("fieldManager", "FieldValueRequired", "Required value: is required for apply patch"))
    if len(asked) > MANAGER_LENGTH:
        text = f"Too long: may not be more than {MANAGER_LENGTH} bytes"
        faults.append(("fieldManager", "FieldValueTooLong", text))
    if not asked.isprintable():
        text = f"Invalid value: {json.dumps(asked)}: has characters that cannot be printed"
        faults.append(("fieldManager", "FieldValueInvalid", text))
    if faults:
        causes = [{"reason": reason, "message": text, "field": field} for field, reason, text in faults]
        listed = ", ".join(f"{field}: {text}" for field, _, text in faults)
        details = {"group": "meta.k8s.io", "kind": options, "causes": causes}
        raise Invalid(f'{options}.meta.k8s.io "" is invalid: {listed}', details)
    return manager_of(asked, request.headers.get("User-Agent", ""))


def _strict(request: web.Request) -> bool:
    return request.query.get("fieldValidation") == "Strict"
