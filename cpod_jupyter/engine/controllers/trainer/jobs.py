"""The objects that a TrainJob consists of: batch Jobs, the headless Service, claims. Pure.

Source: the JobSet API v1alpha2 (names, labels, hostnames, volumeClaimPolicies).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.trainjob import LABEL_ANCESTOR, LABEL_JOBSET, LABEL_REPLICATED_JOB, LABEL_RESTART_ATTEMPT
from cpod_jupyter.engine.controllers.job_indexes import ADDRESSES_ANNOTATION
from cpod_jupyter.engine.controllers.trainer.policies import place_key
from cpod_jupyter.engine.controllers.trainer.steps import Step, jobset_of
from cpod_jupyter.engine.controllers.training.addresses import Endpoints

PART_ANNOTATION = "cpod.cpod/trainjob-part"
"""On a Job: what its TrainJob must know of it when the runtime may have changed, as JSON (see `Part`)."""


@dataclass(frozen=True)
class Part:
    """A Job's place in its TrainJob.

    `needs`: the jobs that come before it, and in which state; `decides`: All or Any when its success counts for the
    whole, else empty; `of`: how many Jobs there are; `patches`: the digest of the runtimePatches it was made with.
    """

    needs: tuple[tuple[str, str], ...]
    decides: str
    of: int
    patches: str

    @classmethod
    def of_job(cls, job: Object) -> Part:
        kept = json.loads((job["metadata"].get("annotations") or {}).get(PART_ANNOTATION) or "{}")
        needs = tuple((str(name), str(state)) for name, state in kept.get("needs") or [])
        return cls(needs, str(kept.get("decides", "All")), int(kept.get("of", 1)), str(kept.get("patches", "")))

    def text(self) -> str:
        return json.dumps({"needs": self.needs, "decides": self.decides, "of": self.of, "patches": self.patches})


def job_name(train_job: Object, step: str) -> str:
    return f"{meta.name_of(train_job)}-{step}-0"


def patches_digest(train_job: Object) -> str:
    return meta.spec_hash(train_job["spec"].get("runtimePatches") or [])


def batch_job(
    train_job: Object, runtime: Object, found: Sequence[Step], step: Step, places: Endpoints, attempt: int
) -> Object:
    """The Indexed Job of a step. Where it needs others, it is made suspended."""
    name = meta.name_of(train_job)
    labels = {
        LABEL_JOBSET: name,
        LABEL_REPLICATED_JOB: step.name,
        "jobset.sigs.k8s.io/replicatedjob-replicas": "1",
        "jobset.sigs.k8s.io/job-index": "0",
        LABEL_RESTART_ATTEMPT: str(attempt),
        **({LABEL_ANCESTOR: step.ancestor} if step.ancestor else {}),
    }
    success = jobset_of(runtime).get("successPolicy") or {}
    targets = success.get("targetReplicatedJobs") or [entry.name for entry in found]
    decides = str(success.get("operator") or "All") if step.name in targets else ""
    part = Part(step.needs, decides, len(found), patches_digest(train_job))
    metadata = step.template.get("metadata") or {}
    spec = {"backoffLimit": 6, **step.template["spec"]}
    spec |= {"parallelism": step.count, "completions": step.count, "completionMode": "Indexed"}
    spec["suspend"] = bool(step.needs)
    spec["template"] = _pod_template(train_job, runtime, step, places, labels)
    return owned(
        train_job,
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": job_name(train_job, step.name),
                "labels": {**(metadata.get("labels") or {}), **(train_job["spec"].get("labels") or {}), **labels},
                "annotations": {**(metadata.get("annotations") or {}), PART_ANNOTATION: part.text()},
            },
            "spec": spec,
        },
    )


def _pod_template(
    train_job: Object, runtime: Object, step: Step, places: Endpoints, labels: Mapping[str, str]
) -> dict[str, Any]:
    template = step.pod_template
    metadata = template.get("metadata") or {}
    addresses = ",".join(places[place_key(step, index)].address for index in range(step.count))
    pod: dict[str, Any] = {"restartPolicy": "OnFailure", "subdomain": subdomain(train_job, runtime), **template["spec"]}
    mounted = {
        mount["name"]
        for container in [*(pod.get("initContainers") or []), *pod["containers"]]
        for mount in container.get("volumeMounts") or []
    }
    volumes = list(pod.get("volumes") or [])
    there = {volume["name"] for volume in volumes}
    for claim in claims(train_job, runtime):
        volume = str(claim["metadata"]["labels"][_CLAIM_LABEL])
        if volume in mounted - there:
            volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": meta.name_of(claim)}})
    if volumes:
        pod["volumes"] = volumes
    return {
        "metadata": {
            "labels": {**(metadata.get("labels") or {}), **labels},
            "annotations": {**(metadata.get("annotations") or {}), ADDRESSES_ANNOTATION: addresses},
        },
        "spec": pod,
    }


def subdomain(train_job: Object, runtime: Object) -> str:
    """The name of the headless Service: the TrainJob's, unless the runtime has another."""
    return str((jobset_of(runtime).get("network") or {}).get("subdomain") or meta.name_of(train_job))


def headless_service(train_job: Object, runtime: Object) -> Object:
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {LABEL_JOBSET: meta.name_of(train_job)},
    }
    metadata = {"name": subdomain(train_job, runtime)}
    return owned(train_job, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


_CLAIM_LABEL = "cpod.cpod/volume"


def claims(train_job: Object, runtime: Object) -> list[Object]:
    """The claims of volumeClaimPolicies: `TEMPLATE-JOB`, mounted by the containers that mount TEMPLATE. Those that are
    to be retained have no owner."""
    found = []
    for policy in jobset_of(runtime).get("volumeClaimPolicies") or []:
        kept = (policy.get("retentionPolicy") or {}).get("whenDeleted") == "Retain"
        for template in policy.get("templates") or []:
            given = template["metadata"]
            metadata = {
                "name": f"{given['name']}-{meta.name_of(train_job)}",
                "namespace": meta.namespace_of(train_job),
                "labels": {
                    **(given.get("labels") or {}),
                    LABEL_JOBSET: meta.name_of(train_job),
                    _CLAIM_LABEL: given["name"],
                },
                "annotations": dict(given.get("annotations") or {}),
            }
            claim = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": metadata,
                "spec": template["spec"],
            }
            found.append(claim if kept else owned(train_job, claim))
    return found


def owned(train_job: Object, obj: Object) -> Object:
    """The object in the TrainJob's namespace, controlled by it."""
    owner = {"namespace": meta.namespace_of(train_job), "ownerReferences": [meta.owner_reference(train_job)]}
    return {**obj, "metadata": {**obj["metadata"], **owner}}
