"""Fault 18 (B32): the operator may do on a cluster what its code does, and nothing else."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from authorized import GRANTED, Use
from operator_cluster import NAMESPACE, RUNNING, Cluster
from ray_kind import RAY_CRD
from test_operator_public import bound_original, copy_made, tidied
from test_operator_sources import too_small

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME
from cpod_jupyter.api.names import LABEL_JOB
from cpod_jupyter.api.resources import (
    CPODJOBS,
    CRDS,
    DATASETSTORAGES,
    FINETUNES,
    INFERENCES,
    INFERENCESERVICES,
    JOBS,
    MODELSTORAGES,
    MPIJOBS_V2BETA1,
    PERSISTENTVOLUMES,
    PYTORCHJOBS,
    TFJOBS,
    Resource,
)
from cpod_jupyter.client.client import Client
from cpod_jupyter.engine.certs import ensure_credentials
from cpod_jupyter.errors import ApiUnreachable
from cpod_jupyter.operator.access import GRANTS, cluster_rules, lease_rules
from cpod_jupyter.operator.settings import Settings

EXPOSED: dict[str, Any] = {"ingress": True, "web_ui": True, "web_ui_image": "page:1", "ingress_domain": "one.example"}
JOB_KINDS = {JOBS: "Complete", PYTORCHJOBS: "Succeeded", MPIJOBS_V2BETA1: "Succeeded", TFJOBS: "Succeeded"}
REPLICA = {"replicas": 1, "template": {"spec": {"containers": [{"name": "tensorflow", "image": "image"}]}}}


def test_no_rule_has_a_wildcard_or_reads_secrets() -> None:
    """Fault 18 (B32)."""
    rules = [*cluster_rules(), *lease_rules("lease")]
    said = yaml.safe_dump(rules)
    assert "*" not in said
    assert "secrets" not in said
    assert all(set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"} for rule in rules)
    bound = {"escalate", "bind", "impersonate", "deletecollection"}
    assert not any(bound & set(rule["verbs"]) for rule in rules)
    clusters = [grant for grant in GRANTS if not grant.resource.namespaced and grant.resource != PERSISTENTVOLUMES]
    written = {verb for grant in clusters for verb in grant.verbs}
    assert written <= {"get", "list", "watch"}, "the cluster's own objects are only read, but for volumes of copies"


def test_each_resource_is_granted_once() -> None:
    named = [(grant.resource.group, grant.name) for grant in GRANTS]
    assert len(named) == len(set(named))


def test_the_role_has_what_the_operator_uses_and_nothing_more(cluster: Cluster) -> None:
    """What the whole flow uses, with what each controller watches, is the role; `AuthorizedApi` refuses the rest.

    A web page and Ingresses are off by default, and so is what is asked for them.
    """
    cluster = Cluster(cluster.api, cluster.store, replace(cluster.settings, **EXPOSED))
    _everything(cluster)
    used = cluster.operator_api.used | _served_by_ray_and_elsewhere(cluster)
    watched = {
        (verb, source.group, source.plural)
        for controller in cluster.controllers
        for source in controller.sources
        for verb in ("list", "watch")
    }
    assert _said(GRANTED - watched - used) == [], "granted, and not used: let _everything use it, or take it away"
    assert _said(watched - GRANTED) == [], "watched, and not granted: add it to GRANTS"


def test_a_server_that_another_authority_vouches_for_is_not_trusted(kubeconfig: Path, tmp_path: Path) -> None:
    """Fault 18 (B32): TLS is verified."""
    document = yaml.safe_load(kubeconfig.read_text())
    other = ensure_credentials(tmp_path / "other")
    authority = base64.b64encode(other.ca.read_bytes()).decode()
    document["clusters"][0]["cluster"]["certificate-authority-data"] = authority
    wrong = tmp_path / "wrong"
    wrong.write_text(yaml.safe_dump(document))
    client = Client.from_kubeconfig(wrong)
    with pytest.raises(ApiUnreachable, match="certificate verify failed"):
        client.list(JOBS)
    client.close()


def _said(uses: set[Use] | frozenset[Use]) -> list[str]:
    return sorted(f"{verb} {name} ({group or 'core'})" for verb, group, name in uses)


def _everything(cluster: Cluster) -> None:
    """Each kind from its beginning to its end, edited, failed and begun anew."""
    cluster.node("here", {"cpu": "4", "memory": "16Gi"})
    cluster.apply(MODELSTORAGES, "base", {"modeltype": "huggingface", "modelname": "org/base"})
    cluster.apply(DATASETSTORAGES, "facts", {"datasettype": "huggingface", "datasetname": "org/facts"})
    _end_jobs(cluster)
    _storages(cluster)
    _jobs(cluster)
    _finetunes(cluster)
    _inferences(cluster)


def _end_jobs(cluster: Cluster, ends: str = "") -> None:
    """Each job that has not ended does, and what comes of that is done."""
    for resource, good in JOB_KINDS.items():
        for name in cluster.names(resource):
            if not (cluster.status(resource, name).get("conditions") or []):
                cluster.end(resource, name, ends or good)


def _storages(cluster: Cluster) -> None:
    cluster.edit(DATASETSTORAGES, "facts", {"datasetname": "org/more-facts"})
    cluster.until(lambda: _phase(cluster, DATASETSTORAGES, "facts") == "downloading" and _open(cluster))
    _end_jobs(cluster)
    for kind in (MODELSTORAGES, DATASETSTORAGES):
        bound_original(cluster, kind)
        copy_made(cluster, kind)
        cluster.api.delete(kind, "shared", "public")
        cluster.until(lambda: all("-default" not in name for name in tidied(cluster)))
    too_small(cluster)
    cluster.apply(MODELSTORAGES, "running", {"modelname": "pypi://one"})
    cluster.pod(cluster.get(JOBS, "model-running"), LABEL_JOB, RUNNING)


def _open(cluster: Cluster) -> list[str]:
    return [
        name for kind in JOB_KINDS for name in cluster.names(kind) if not cluster.status(kind, name).get("conditions")
    ]


def _phase(cluster: Cluster, resource: Resource, name: str) -> Any:
    return cluster.status(resource, name).get("phase")


def _jobs(cluster: Cluster) -> None:
    saved = {"modelSavePath": "/data/save", "modelSaveVolumeSize": 100, "ckptPath": "/ckpt", "ckptVolumeSize": 100}
    two = {"workerReplicas": 2, "gpuRequiredPerReplica": 1}
    model = {"pretrainModelName": "base", "pretrainModelPath": "/data/model"}
    cluster.apply(CPODJOBS, "general", {"jobType": "general", "image": "image", "command": ["true"], **saved, **model})
    cluster.apply(CPODJOBS, "pytorch", {"jobType": "pytorch", "image": "image", "command": ["true"], **two})
    cluster.apply(CPODJOBS, "mpi", {"jobType": "mpi", "image": "image", "command": ["true"], **two})
    cluster.apply(
        CPODJOBS,
        "tf",
        {"jobType": "tensorFlow", "image": "image", "replicaSpecs": {"Chief": REPLICA, "Worker": REPLICA}},
    )
    cluster.pod(cluster.get(PYTORCHJOBS, "pytorch"), LABEL_JOB_NAME, RUNNING)
    _end_jobs(cluster, "Failed")
    for name in ("general", "pytorch", "mpi", "tf"):
        cluster.edit(CPODJOBS, name, {"duration": 1})
        cluster.until(lambda name=name: meta.is_true(cluster.get(CPODJOBS, name), "DataPreparing"))
    _end_jobs(cluster)
    ended = [cluster.get(CPODJOBS, name) for name in ("general", "pytorch", "mpi", "tf")]
    assert all(meta.is_true(job, "Succeeded") for job in ended), [job.get("status") for job in ended]


def _finetunes(cluster: Cluster) -> None:
    spec = {"model": "base", "dataset": "facts", "hyperParameters": {"n_epochs": "1"}}
    cluster.apply(FINETUNES, "tune", spec)
    _end_jobs(cluster, "Failed")
    assert _phase(cluster, FINETUNES, "tune") == "Failed"
    cluster.edit(FINETUNES, "tune", {"hyperParameters": {"n_epochs": "2"}})
    cluster.until(lambda: _phase(cluster, FINETUNES, "tune") != "Failed" and bool(_open(cluster)))
    _end_jobs(cluster)
    assert _phase(cluster, FINETUNES, "tune") == "Succeeded", cluster.status(FINETUNES, "tune")


def _inferences(cluster: Cluster) -> None:
    container = {"name": "kserve-container", "image": "image:1"}
    cluster.apply(INFERENCES, "serve", {"modelId": "base", "predictor": {"containers": [container]}})
    cluster.end(INFERENCESERVICES, "serve-is", "Ready")
    cluster.edit(INFERENCES, "serve", {"predictor": {"containers": [{**container, "image": "image:2"}]}})
    assert cluster.exists(INFERENCESERVICES, "serve-is")
    assert cluster.api.list(INFERENCES, NAMESPACE).items


def _served_by_ray_and_elsewhere(cluster: Cluster) -> set[Use]:
    """Uses of an operator with other settings: all that is exposed is changed, and then taken away."""
    cluster.api.create(CRDS, RAY_CRD)
    cluster.apply(INFERENCES, "ray", {"modelId": "base", "backend": "ray"})
    cluster.edit(INFERENCES, "ray", {"gpuCount": 2})
    changed = {**EXPOSED, "web_ui_image": "page:2", "ingress_domain": "two.example"}
    used: set[Use] = set()
    for settings in (changed, {}):
        other = Cluster(cluster.api, cluster.store, Settings(**settings))
        other.settle()
        used |= other.operator_api.used
    return used
