"""apps/v1 Deployments: ReplicaSets of the present template grow while those of earlier ones shrink."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import DEPLOYMENTS, EVENTS, PODS, REPLICASETS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.engine.controllers import deployment_rollout as rollout
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.deployment_status import deployment_status, is_complete, seconds_left
from cpod_jupyter.engine.controllers.ownership import claimed
from cpod_jupyter.engine.strategies.faults import selects
from cpod_jupyter.errors import AlreadyExists, NotFound

Note = tuple[str, str]
"""Reason and message of the Progressing condition."""


class DeploymentReconciler:
    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._events = Recorder(api, "deployment-controller", EVENTS)

    def strays(self, replicaset: Object) -> Iterable[Key]:
        """The Deployment that has a ReplicaSet; of one that nobody has, those that could adopt it."""
        if meta.controller_of(replicaset) is not None:
            return to_controller("Deployment")(replicaset)
        labels, namespace = replicaset["metadata"].get("labels") or {}, meta.namespace_of(replicaset)
        found = self._api.list(DEPLOYMENTS, namespace).items if labels else []
        return [Key(namespace, meta.name_of(item)) for item in found if selects(item["spec"]["selector"], labels)]

    def of_ending_pod(self, pod: Object) -> Iterable[Key]:
        """Recreate waits for the end of pods, which no ReplicaSet counts any more."""
        owner = meta.controller_of(pod)
        if owner is None or owner.get("kind") != "ReplicaSet" or not meta.is_going(pod):
            return []
        try:
            return self.strays(self._api.get(REPLICASETS, str(owner["name"]), meta.namespace_of(pod)))
        except NotFound:
            return []

    def reconcile(self, key: Key) -> float | None:
        try:
            deployment = self._api.get(DEPLOYMENTS, key.name, key.namespace)
        except NotFound:
            return None
        replicasets = claimed(self._api, REPLICASETS, deployment)
        note = None
        if not meta.is_going(deployment):
            note = self._act(deployment, replicasets)
            replicasets = claimed(self._api, REPLICASETS, deployment)
            self._forget(deployment, replicasets)
        return self._write_status(deployment, replicasets, note)

    def _act(self, deployment: Object, replicasets: list[Object]) -> Note | None:
        new = rollout.new_replicaset(deployment, replicasets)
        if deployment["spec"].get("paused") or rollout.is_scaled(deployment, replicasets):
            self._resize(deployment, replicasets, rollout.scaled_sizes(deployment, new, replicasets))
            return None
        old = [item for item in replicasets if item is not new]
        if deployment["spec"]["strategy"]["type"] == "Recreate":
            self._resize(deployment, old, {meta.name_of(item): 0 for item in old})
            if self._has_pods(old):
                return None
            return self._grow(deployment, new, old, int(deployment["spec"]["replicas"]))
        note = self._grow(deployment, new, old, rollout.size_of_new(deployment, new, replicasets))
        if note is None and new is not None:
            new = self._api.get(REPLICASETS, meta.name_of(new), meta.namespace_of(new))
            self._resize(deployment, old, rollout.sizes_of_old(deployment, new, old))
        return note

    def _has_pods(self, replicasets: list[Object]) -> bool:
        uids = {meta.uid_of(item) for item in replicasets}
        if not uids:
            return False
        for pod in self._api.list(PODS, meta.namespace_of(replicasets[0])).items:
            owner = meta.controller_of(pod)
            if owner and owner.get("uid") in uids and podset.phase(pod) not in (podset.SUCCEEDED, podset.FAILED):
                return True
        return False

    def _grow(self, deployment: Object, new: Object | None, old: list[Object], size: int) -> Note | None:
        """Have the new ReplicaSet at a size and the newest revision; the note when it had to be made."""
        newest = max(map(rollout.revision_of, old), default=0) + 1
        if new is None:
            return self._create(deployment, newest, size)
        kept = new["metadata"].get("annotations") or {}
        wanted = {**rollout.copied_annotations(deployment), **rollout.size_annotations(deployment)}
        revision = rollout.revision_of(new)
        if revision < newest:
            history = [
                *filter(None, str(kept.get(rollout.HISTORY, "")).split(",")),
                *([str(revision)] * bool(revision)),
            ]
            wanted[rollout.REVISION] = str(newest)
            if history:
                wanted[rollout.HISTORY] = ",".join(history)
        change: dict[str, Any] = {}
        if any(kept.get(name) != value for name, value in wanted.items()):
            change["metadata"] = {"annotations": wanted}
        if int(new["spec"].get("minReadySeconds") or 0) != int(deployment["spec"].get("minReadySeconds") or 0):
            change["spec"] = {"minReadySeconds": deployment["spec"].get("minReadySeconds") or 0}
        if change:
            self._api.patch(REPLICASETS, meta.name_of(new), change, meta.namespace_of(new))
        self._keep_revision(deployment, max(revision, newest))
        self._resize(deployment, [new], {meta.name_of(new): size})
        if meta.condition(deployment, "Progressing") is None:
            return "FoundNewReplicaSet", f'Found new replica set "{meta.name_of(new)}"'
        return None

    def _create(self, deployment: Object, revision: int, size: int) -> Note | None:
        wanted = rollout.build_replicaset(deployment, revision, size)
        name = meta.name_of(wanted)
        try:
            self._api.create(REPLICASETS, wanted)
        except AlreadyExists:
            # Somebody else's ReplicaSet has the name: the next hash is another.
            status = deployment.get("status") or {}
            count = int(status.get("collisionCount") or 0) + 1
            change = {"status": {"collisionCount": count}}
            self._api.patch(DEPLOYMENTS, meta.name_of(deployment), change, meta.namespace_of(deployment),
                            subresource="status")  # fmt: skip
            raise
        self._keep_revision(deployment, revision)
        self._events.normal(deployment, "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {size}")
        return "NewReplicaSetCreated", f'Created new replica set "{name}"'

    def _keep_revision(self, deployment: Object, revision: int) -> None:
        if rollout.revision_of(deployment) != revision:
            change = {"metadata": {"annotations": {rollout.REVISION: str(revision)}}}
            self._api.patch(DEPLOYMENTS, meta.name_of(deployment), change, meta.namespace_of(deployment))

    def _resize(self, deployment: Object, replicasets: list[Object], sizes: rollout.Sizes) -> None:
        wanted = rollout.size_annotations(deployment)
        for item in replicasets:
            name, before, size = meta.name_of(item), rollout.replicas(item), sizes[meta.name_of(item)]
            kept = item["metadata"].get("annotations") or {}
            if before == size and (not size or all(kept.get(key) == value for key, value in wanted.items())):
                continue
            change = {"metadata": {"annotations": wanted}, "spec": {"replicas": size}}
            self._api.patch(REPLICASETS, name, change, meta.namespace_of(item))
            if before != size:
                way = "up" if size > before else "down"
                text = f"Scaled {way} replica set {name} from {before} to {size}"
                self._events.normal(deployment, "ScalingReplicaSet", text)

    def _forget(self, deployment: Object, replicasets: list[Object]) -> None:
        """Delete what the history has no room for, once the rollout is through."""
        if not is_complete(deployment, deployment.get("status") or {}):
            return
        new = rollout.new_replicaset(deployment, replicasets)
        for item in rollout.outdated(deployment, [item for item in replicasets if item is not new]):
            self._api.delete(REPLICASETS, meta.name_of(item), meta.namespace_of(item), uid=meta.uid_of(item))

    def _write_status(self, seen: Object, replicasets: list[Object], note: Note | None) -> float | None:
        deployment = self._api.get(DEPLOYMENTS, meta.name_of(seen), meta.namespace_of(seen))
        if deployment["metadata"]["generation"] != seen["metadata"]["generation"]:
            return 0.0  # changed meanwhile: what is observed here is not of that generation
        new = rollout.new_replicaset(deployment, replicasets)
        status = deployment_status(deployment, new, replicasets, note)
        if status != deployment.get("status"):
            self._api.replace(DEPLOYMENTS, {**deployment, "status": status}, subresource="status")
        left = seconds_left(deployment, status["conditions"])
        return left + 0.1 if left else None


def deployment_controller(api: KubeApi) -> Controller:
    """Rolls Deployments out."""
    reconciler = DeploymentReconciler(api)
    sources = {DEPLOYMENTS: to_itself, REPLICASETS: reconciler.strays, PODS: reconciler.of_ending_pod}
    return Controller("deployment", reconciler.reconcile, sources)
