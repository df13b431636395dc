"""The verbs on objects, with the semantics of the Kubernetes API server.

Everything that changes an object passes here, whether it comes over HTTP or from the engine's own
controllers: names, schemas, defaults, versions, generations, finalizers, deletion
(Kubernetes API conventions, "Metadata" and "Concurrency control").
"""

from __future__ import annotations

import builtins
import copy
import datetime as dt
import uuid
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Problem
from cpod_jupyter.engine import definitions, managers, quota
from cpod_jupyter.engine.admission import admitted
from cpod_jupyter.engine.apply import applied, checked_config
from cpod_jupyter.engine.envelope import check_name, checked_envelope, content, generated_name, kept_metadata
from cpod_jupyter.engine.events import from_core
from cpod_jupyter.engine.failures import conflict, details_of, invalid, not_found
from cpod_jupyter.engine.kinds import Kinds, ServedKind
from cpod_jupyter.engine.managers import Entry, Writer
from cpod_jupyter.engine.patches import patched
from cpod_jupyter.engine.store import ObjectKey, Store
from cpod_jupyter.errors import AlreadyExists, BadRequest, Conflict, Forbidden, MethodNotAllowed, NotFound

_NAME_TRIES = 8
"""Times that a generated name which is taken is drawn again (the API server's retries of generateName)."""
_NAMESPACE = "/namespaces"
_IMMORTAL = ("default", "kube-system", "kube-public")
_CRD = "apiextensions.k8s.io/customresourcedefinitions"


class Objects:
    """The verbs. Objects handed out are the stored ones: callers must not change them.

    `manager` is who is to own what a write changes (managers.py); None leaves the owners as they are.
    """

    def __init__(self, store: Store, kinds: Kinds) -> None:
        self.store = store
        self.kinds = kinds
        for definition in store.list(_CRD):
            self._serve(definition)

    # ---- reading

    def get(self, kind: ServedKind, namespace: str, name: str) -> Object:
        found = self.store.get((kind.key, namespace, name))
        if found is None:
            raise not_found(kind, name)
        return self.typed(kind, found)

    def list(self, kind: ServedKind, namespace: str | None) -> tuple[list[Object], int]:
        """The objects, and the revision that they are of."""
        with self.store.lock:
            found = self.store.list(kind.key, namespace)
            return [self.typed(kind, obj) for obj in found], self.store.revision

    @staticmethod
    def typed(kind: ServedKind, obj: Object) -> Object:
        """The object in the version asked for (conversion strategy None: only apiVersion and schema differ)."""
        if obj.get("apiVersion") == kind.resource.api_version:
            return obj
        if kind.stored_as:
            return from_core(obj)
        return {**kind.decoded(obj), "apiVersion": kind.resource.api_version}

    # ---- writing

    def create(
        self,
        kind: ServedKind,
        namespace: str,
        obj: Object,
        *,
        dry_run: bool = False,
        strict: bool = False,
        manager: str | None = None,
        owners: builtins.list[Entry] | None = None,
    ) -> Object:
        """`owners` are the entries of an object that is created by an apply."""
        new = checked_envelope(kind, copy.deepcopy(obj), namespace)
        metadata = new["metadata"]
        if metadata.get("resourceVersion"):
            raise BadRequest("resourceVersion should not be set on objects to be created")
        if generated := bool(not metadata.get("name") and metadata.get("generateName")):
            metadata["name"] = generated_name(metadata)
        check_name(kind, metadata.get("name"))
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"):
            metadata.pop(field, None)
        asked = metadata.pop("managedFields", None)
        metadata.update(uid=str(uuid.uuid4()), creationTimestamp=meta.now())
        if kind.counts_generations:
            metadata["generation"] = 1
        if kind.has_status:
            new.pop("status", None)
        with self.store.lock:
            if kind.terminating:
                raise MethodNotAllowed("create not allowed while custom resource definition is terminating")
            self._check_namespace(kind, namespace)
            key = (kind.key, namespace, metadata["name"])
            for _ in range(_NAME_TRIES if generated else 0):
                if self.store.get(key) is None:
                    break
                metadata["name"] = generated_name(metadata)
                key = (kind.key, namespace, metadata["name"])
            if self.store.get(key) is not None:
                raise AlreadyExists(f'{kind.resource.qualified} "{key[2]}" already exists', details_of(kind, key[2]))
            new = admitted(kind, new, strict)
            quota.admit(self.store, kind, new)
            managers.settle(kind.schema, kind.has_status, None, new, _writer(kind, manager, ""), asked, owners)
            return new if dry_run else self._written(kind, key, new)

    def update(
        self,
        kind: ServedKind,
        namespace: str,
        name: str,
        obj: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
        strict: bool = False,
        manager: str | None = None,
    ) -> Object:
        new = checked_envelope(kind, copy.deepcopy(obj), namespace)
        if new["metadata"].get("name", name) != name:
            raise BadRequest(f"the name of the object ({new['metadata']['name']}) does not match the URL ({name})")
        with self.store.lock:
            old = self.get(kind, namespace, name)
            asked = new["metadata"].get("resourceVersion")
            if not asked and not kind.built_in and not subresource:
                problem = Problem(
                    ("metadata", "resourceVersion"), "FieldValueInvalid", "must be specified for an update"
                )
                raise invalid(kind, name, [problem])
            if asked and asked != old["metadata"]["resourceVersion"]:
                raise conflict(kind, name)
            return self._replaced(kind, old, new, subresource, dry_run, strict, manager)

    def patch(
        self,
        kind: ServedKind,
        namespace: str,
        name: str,
        content_type: str,
        patch: Any,
        *,
        subresource: str = "",
        dry_run: bool = False,
        strict: bool = False,
        manager: str | None = None,
    ) -> Object:
        with self.store.lock:
            old = self.get(kind, namespace, name)
            new = patched(old, content_type, patch, schema=kind.schema, built_in=kind.built_in)
            metadata = new.get("metadata")
            if not isinstance(metadata, dict) or metadata.get("name") != name:
                raise BadRequest("a patch may not change the name of an object")
            asked = metadata.get("resourceVersion")
            if asked and asked != old["metadata"]["resourceVersion"]:
                raise conflict(kind, name)
            if not subresource and content(new) != content(old):
                new = managers.copied(new)  # strategies fill in defaults; without a change they leave it alone
            return self._replaced(kind, old, new, subresource, dry_run, strict, manager)

    def apply(
        self,
        kind: ServedKind,
        namespace: str,
        name: str,
        config: Object,
        manager: str,
        *,
        force: bool = False,
        subresource: str = "",
        dry_run: bool = False,
        strict: bool = False,
    ) -> tuple[Object, bool]:
        """Server-side apply. The object as it is now, and whether the apply created it."""
        writer = Writer(manager, kind.resource.api_version, subresource)
        config = checked_config(config, writer, name)
        config = checked_envelope(kind, config, namespace)
        asked = config["metadata"]
        with self.store.lock:
            found = self.store.get((kind.key, namespace, name))
            if found is None:
                if subresource:
                    raise not_found(kind, name)
                if asked.get("uid"):
                    raise conflict(
                        kind, name, f"uid mismatch: the provided object specified uid {asked['uid']}, and no "
                        "existing object was found",
                    )  # fmt: skip
                new, owners = applied(kind.schema, None, config, writer, kind.has_status, force)
                done = self.create(kind, namespace, new, dry_run=dry_run, strict=strict, owners=owners)
                return done, True
            old = self.typed(kind, found)
            if asked.get("resourceVersion", old["metadata"]["resourceVersion"]) != old["metadata"]["resourceVersion"]:
                raise conflict(kind, name)
            new, owners = applied(kind.schema, old, config, writer, kind.has_status, force)
            if content(new) != content(old):
                new = managers.copied(new)
            new["metadata"] = {**new["metadata"], "uid": asked.get("uid", old["metadata"]["uid"])}
            return self._replaced(kind, old, new, subresource, dry_run, strict, manager, owners), False

    def delete(
        self,
        kind: ServedKind,
        namespace: str,
        name: str,
        *,
        grace_seconds: int | None = None,
        propagation: str = "Background",
        preconditions: dict[str, Any] | None = None,
        dry_run: bool = False,
    ) -> tuple[Object, bool]:
        """The object as it is now, and whether it is gone already."""
        if kind.key == _NAMESPACE and name in _IMMORTAL:
            words = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
            raise Forbidden(words, details_of(kind, name))
        with self.store.lock:
            old = self.get(kind, namespace, name)
            for field in ("uid", "resourceVersion"):
                wanted = (preconditions or {}).get(field)
                if wanted and wanted != old["metadata"].get(field):
                    raise Conflict(
                        f"Precondition failed: {field} in precondition: {wanted}, {field} in object meta: "
                        f"{old['metadata'].get(field)}",
                        details_of(kind, name),
                    )
            if dry_run:
                return old, not (old["metadata"].get("finalizers") or kind.key == "/pods")
            return self._deleted(kind, old, grace_seconds, propagation)

    def finish(self, kind: ServedKind, obj: Object) -> None:
        """Take away an object whose deletion had to wait for what it held; for the collector."""
        with self.store.lock:
            self._removed(kind, (kind.key, meta.namespace_of(obj), meta.name_of(obj)))

    # ---- the steps of writing; the lock is held

    def _deleted(
        self, kind: ServedKind, old: Object, grace_seconds: int | None, propagation: str
    ) -> tuple[Object, bool]:
        metadata = dict(old["metadata"])
        key = (kind.key, meta.namespace_of(old), meta.name_of(old))
        finalizers = list(metadata.get("finalizers") or [])
        extra = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation)
        if extra and extra not in finalizers:
            finalizers.append(extra)
        grace = self._grace(kind, old, grace_seconds)
        waits = bool(finalizers) or grace > 0 or kind.key in (_NAMESPACE, _CRD)
        if not waits:
            return self._removed(kind, key), True
        if finalizers:
            metadata["finalizers"] = finalizers
        if not metadata.get("deletionTimestamp"):
            if kind.counts_generations:
                metadata["generation"] = int(metadata.get("generation") or 1) + 1
            gone_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=grace)
            metadata["deletionTimestamp"] = gone_at.strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata["deletionGracePeriodSeconds"] = grace
        elif grace < int(metadata.get("deletionGracePeriodSeconds") or 0):
            metadata["deletionGracePeriodSeconds"] = grace
        new = {**old, "metadata": metadata}
        if kind.key == _NAMESPACE:
            new["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
        elif kind.key == _CRD:
            new["status"] = self._definition_status(new)
            self._serve(new)
        return (old if new == old else self.store.put(key, new)), False

    @staticmethod
    def _grace(kind: ServedKind, old: Object, asked: int | None) -> int:
        """Seconds that the kubelet has to end a pod; other kinds have none."""
        if kind.key != "/pods":
            return 0
        if (old.get("status") or {}).get("phase") in ("Succeeded", "Failed") or not old["spec"].get("nodeName"):
            return 0
        return int(old["spec"].get("terminationGracePeriodSeconds", 30)) if asked is None else max(0, asked)

    def _removed(self, kind: ServedKind, key: ObjectKey) -> Object:
        last = self.store.remove(key)
        if kind.key == _CRD:
            self.kinds.remove(last)
            for other in self._same_group(last):  # a name that it had may be free for another now
                status = self._definition_status(other)
                if status != other.get("status"):
                    self._serve(self.store.put((_CRD, "", meta.name_of(other)), {**other, "status": status}))
        return self.typed(kind, last)

    def _replaced(
        self,
        kind: ServedKind,
        old: Object,
        new: Object,
        subresource: str,
        dry_run: bool,
        strict: bool,
        manager: str | None,
        owners: builtins.list[Entry] | None = None,
    ) -> Object:
        if subresource == "status":
            if not kind.has_status:
                raise NotFound("the server could not find the requested resource", details_of(kind, meta.name_of(old)))
            new = {**old, "status": new.get("status") or {}}
        elif subresource == "finalize" and kind.key == _NAMESPACE:
            new = {**old, "spec": {"finalizers": (new.get("spec") or {}).get("finalizers") or []}}
        elif subresource:
            raise MethodNotAllowed(f"the subresource {subresource!r} is not served by this engine")
        elif kind.has_status:
            new["status"] = old.get("status")
            if new["status"] is None:
                del new["status"]
            if kind.key == _NAMESPACE:
                new["spec"] = old["spec"]  # its finalizers are changed by the subresource alone
        new["metadata"] = kept_metadata(kind, old, new["metadata"])
        asked = new["metadata"].pop("managedFields", None)
        part = subresource if kind.built_in and subresource == "status" else ""
        new = admitted(kind, new, strict, old=old, part=part)
        if not subresource:
            quota.admit(self.store, kind, new, old)
        if kind.counts_generations and content(old) != content(new):
            new["metadata"]["generation"] = int(old["metadata"].get("generation") or 1) + 1
        writer = _writer(kind, manager, subresource)
        managers.settle(kind.schema, kind.has_status, old, new, writer, asked, owners)
        if new == old or dry_run:
            return new
        key = (kind.key, meta.namespace_of(old), meta.name_of(old))
        return self._written(kind, key, new)

    def _written(self, kind: ServedKind, key: ObjectKey, new: Object) -> Object:
        metadata = new["metadata"]
        ending = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
        holds = (kind.key == "/pods" and metadata.get("deletionGracePeriodSeconds")) or (
            kind.key == _NAMESPACE and new["spec"].get("finalizers")
        )
        if ending and not holds:
            self.store.put(key, new)
            return self._removed(kind, key)
        if kind.key == _CRD:
            new["status"] = self._definition_status(new)
        elif not kind.built_in:
            new["apiVersion"] = kind.storage_api_version
        stored = self.store.put(key, new)
        if kind.key == _CRD:
            self._serve(stored)
        elif kind.key == _NAMESPACE:
            self._ensure_service_account(key[2])
        return self.typed(kind, stored)

    def _same_group(self, definition: Object) -> builtins.list[Object]:
        """The other definitions of a definition's group."""
        group, name = definition["spec"]["group"], meta.name_of(definition)
        return [
            other for other in self.store.list(_CRD) if other["spec"]["group"] == group and meta.name_of(other) != name
        ]

    def _definition_status(self, definition: Object) -> dict[str, Any]:
        others, taken = self._same_group(definition), self.kinds.built_in_names(definition["spec"]["group"])
        return definitions.status(definition, others, taken)

    def _serve(self, definition: Object) -> None:
        """Serve what a definition says, if its names are its own; stored objects get its new defaults."""
        if not definitions.is_established(definition):
            return
        for kind in self.kinds.install(definition):
            if kind.resource.version == kind.storage_version:
                self.store.revise(kind.key, kind.decoded)

    def _ensure_service_account(self, namespace: str) -> None:
        """Every namespace has the account `default` (the service account controller's work)."""
        kind = self.kinds.find("", "v1", "serviceaccounts")
        terminating = self.store.get((_NAMESPACE, "", namespace)) or {"metadata": {"deletionTimestamp": "now"}}
        if meta.is_going(terminating) or self.store.get((kind.key, namespace, "default")):
            return
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        self.create(kind, namespace, account)

    def _check_namespace(self, kind: ServedKind, namespace: str) -> None:
        if not kind.resource.namespaced:
            return
        holder = self.store.get((_NAMESPACE, "", namespace))
        if holder is None:
            raise NotFound(f'namespaces "{namespace}" not found', {"name": namespace, "kind": "namespaces"})
        if meta.is_going(holder):
            raise Forbidden(
                f"unable to create new content in namespace {namespace} because it is being terminated",
                {"name": namespace, "kind": "namespaces"},
            )


def _writer(kind: ServedKind, manager: str | None, subresource: str) -> Writer | None:
    return None if manager is None else Writer(manager, kind.resource.api_version, subresource)
