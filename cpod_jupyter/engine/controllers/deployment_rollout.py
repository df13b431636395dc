"""How a Deployment's ReplicaSets are made and sized. Pure; the arithmetic is the deployment controller's
(Kubernetes, "Deployments": rolling update, proportional scaling)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MAXIMUM,
    "deprecated.deployment.rollback.to",
}  # fmt: skip

Sizes = dict[str, int]
"""Wanted numbers of pods by ReplicaSet name."""


def replicas(replicaset: Object | None) -> int:
    """How many pods a ReplicaSet is asked to have."""
    return int(replicaset["spec"].get("replicas") or 0) if replicaset else 0


def counted(replicaset: Object | None, counter: str) -> int:
    """A counter of a ReplicaSet's status."""
    return int((replicaset.get("status") or {}).get(counter) or 0) if replicaset else 0


def bounds(deployment: Object) -> tuple[int, int]:
    """maxSurge and maxUnavailable in pods: a percentage of surge rounds up, of unavailability down."""
    spec = deployment["spec"]
    wanted = int(spec["replicas"])
    if spec["strategy"]["type"] == "Recreate":
        return 0, 0
    rolling = spec["strategy"].get("rollingUpdate") or {}
    surge = _pods(rolling.get("maxSurge", "25%"), wanted, math.ceil)
    unavailable = _pods(rolling.get("maxUnavailable", "25%"), wanted, math.floor)
    if not surge and not unavailable:
        unavailable = 1  # both rounded to nothing: the rollout must still be able to move
    return surge, min(unavailable, wanted)


def _pods(value: Any, wanted: int, rounded: Any) -> int:
    if isinstance(value, str):
        return int(rounded(int(value.rstrip("%")) * wanted / 100))
    return int(value)


def _plain(template: Mapping[str, Any]) -> dict[str, Any]:
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    return {**template, "metadata": metadata}


def new_replicaset(deployment: Object, replicasets: Iterable[Object]) -> Object | None:
    """The oldest ReplicaSet with the Deployment's present template."""
    wanted = _plain(deployment["spec"]["template"])
    same = [item for item in replicasets if _plain(item["spec"]["template"]) == wanted]
    return min(same, key=_age, default=None)


def _age(replicaset: Object) -> tuple[str, str]:
    return str(replicaset["metadata"].get("creationTimestamp")), meta.name_of(replicaset)


def oldest_first(replicasets: Iterable[Object]) -> list[Object]:
    return sorted(replicasets, key=_age)


def revision_of(obj: Object | None) -> int:
    text = str((obj or {"metadata": {}})["metadata"].get("annotations", {}).get(REVISION, "0"))
    return int(text) if text.isdigit() else 0


def copied_annotations(deployment: Object) -> dict[str, str]:
    """The Deployment's annotations that its ReplicaSets carry as well (the cause of a change among them)."""
    found = deployment["metadata"].get("annotations") or {}
    return {key: value for key, value in found.items() if key not in _NOT_COPIED}


def size_annotations(deployment: Object) -> dict[str, str]:
    wanted = int(deployment["spec"]["replicas"])
    return {DESIRED: str(wanted), MAXIMUM: str(wanted + bounds(deployment)[0])}


def build_replicaset(deployment: Object, revision: int, size: int) -> Object:
    """The ReplicaSet of the present template, named and labelled by the template's hash."""
    template = copy.deepcopy(deployment["spec"]["template"])
    collisions = (deployment.get("status") or {}).get("collisionCount") or 0
    digest = meta.spec_hash([_plain(template), collisions] if collisions else _plain(template))
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), HASH_LABEL: digest}
    selector = copy.deepcopy(deployment["spec"]["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta.name_of(deployment)}-{digest}",
            "namespace": meta.namespace_of(deployment),
            "labels": metadata["labels"],
            "annotations": {
                **copied_annotations(deployment),
                **size_annotations(deployment),
                REVISION: str(revision),
            },
            "ownerReferences": [meta.owner_reference(deployment)],
        },
        "spec": {
            "replicas": size,
            "selector": selector,
            "template": template,
            "minReadySeconds": int(deployment["spec"].get("minReadySeconds") or 0),
        },
    }


def size_of_new(deployment: Object, new: Object | None, replicasets: Iterable[Object]) -> int:
    """How many pods the new ReplicaSet may have now, within maxSurge over all of them."""
    wanted, present = int(deployment["spec"]["replicas"]), replicas(new)
    if deployment["spec"]["strategy"]["type"] == "Recreate" or present >= wanted:
        return wanted
    room = wanted + bounds(deployment)[0] - sum(map(replicas, replicasets))
    return present + max(0, min(room, wanted - present))


def sizes_of_old(deployment: Object, new: Object | None, old: Sequence[Object]) -> Sizes:
    """How many pods the old ReplicaSets may lose now: those that are not available first, then others as long as
    enough stay available."""
    sizes = {meta.name_of(item): replicas(item) for item in old}
    least = int(deployment["spec"]["replicas"]) - bounds(deployment)[1]
    coming = replicas(new) - counted(new, "availableReplicas")
    room = sum(sizes.values()) + replicas(new) - least - coming
    if room <= 0:
        return sizes
    for item in oldest_first(old):
        dead = max(0, min(room, replicas(item) - counted(item, "availableReplicas")))
        sizes[meta.name_of(item)] -= dead
        room -= dead
    spare = sum(counted(item, "availableReplicas") for item in old) + counted(new, "availableReplicas") - least
    for item in oldest_first(old):
        gone = max(0, min(spare, sizes[meta.name_of(item)]))
        sizes[meta.name_of(item)] -= gone
        spare -= gone
    return sizes


def is_scaled(deployment: Object, replicasets: Iterable[Object]) -> bool:
    """Whether the Deployment's number of pods was changed since its ReplicaSets were sized."""
    wanted = str(deployment["spec"]["replicas"])
    for item in replicasets:
        kept = (item["metadata"].get("annotations") or {}).get(DESIRED)
        if replicas(item) and kept is not None and kept != wanted:
            return True
    return False


def scaled_sizes(deployment: Object, new: Object | None, replicasets: Sequence[Object]) -> Sizes:
    """Sizes after the Deployment itself was scaled: of one ReplicaSet, or in the midst of a rollout of each in
    proportion (proportional scaling)."""
    wanted = int(deployment["spec"]["replicas"])
    sizes = {meta.name_of(item): replicas(item) for item in replicasets}
    active = [item for item in replicasets if replicas(item)]
    if len(active) <= 1:
        target = active[0] if active else new
        if target is not None:
            sizes[meta.name_of(target)] = wanted
        return sizes
    if new is not None and replicas(new) == wanted == counted(new, "availableReplicas"):
        return {name: wanted if name == meta.name_of(new) else 0 for name in sizes}
    if deployment["spec"]["strategy"]["type"] != "RollingUpdate":
        return sizes
    allowed = wanted + bounds(deployment)[0] if wanted else 0
    left = allowed - sum(map(replicas, active))
    for item in sorted(active, key=lambda item: (-replicas(item), _age(item))):
        kept = str((item["metadata"].get("annotations") or {}).get(MAXIMUM, ""))
        before = int(kept) if kept.isdigit() and int(kept) else sum(map(replicas, active))
        share = round(replicas(item) * allowed / before) - replicas(item)
        share = max(left, min(share, 0)) if left < 0 else min(left, max(share, 0))
        sizes[meta.name_of(item)] += share
        left -= share
    largest = meta.name_of(max(active, key=replicas))
    sizes[largest] = max(0, sizes[largest] + left)
    return sizes


def outdated(deployment: Object, old: Iterable[Object]) -> list[Object]:
    """Old ReplicaSets without pods beyond revisionHistoryLimit, the oldest revisions."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None:
        return []
    empty = [item for item in old if not replicas(item) and not counted(item, "replicas") and not meta.is_going(item)]
    return sorted(empty, key=revision_of)[: max(0, len(empty) - int(limit))]
