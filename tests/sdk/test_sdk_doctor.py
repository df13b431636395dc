"""`cpod doctor`: from facts to findings, and the facts of a real engine."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import pytest
from whole_engine import run

from cpod_jupyter.api import meta
from cpod_jupyter.api.crds import engine_crds
from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, Object
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.doctor import Level, examine, findings, is_healthy, text
from cpod_jupyter.sdk.doctor.facts import Facts, Machine

DEFINITIONS = {meta.name_of(definition): definition for definition in engine_crds()}
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


def storage_class(name: str, provisioner: str, *, default: bool = True) -> Object:
    return {"metadata": {"name": name, "annotations": DEFAULT if default else {}}, "provisioner": provisioner}


def node(gpus: str = "", labels: dict[str, str] | None = None) -> Object:
    return {
        "metadata": {"name": "node", "labels": labels or {}},
        "status": {"allocatable": {"nvidia.com/gpu": gpus} if gpus else {}},
    }


A100 = node("8", {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/cuda.driver.major": "550"})
LEASE: Object = {"spec": {"holderIdentity": "pod-1"}}
GOOD = Facts(
    server="https://cluster", context="lab", namespace="team", version="v1.31.2", user="ada", definitions=DEFINITIONS,
    lease=LEASE, lease_age=3.0, serving_runtimes=9, storage_classes=[storage_class("nfs", "nfs.csi.k8s.io")],
    nodes=[A100], quotas=[], secrets={"huggingface": True},
)  # fmt: skip
DOCTOR = (sys.executable, "-m", "cpod_jupyter.cli", "doctor", "--context", "engine")
MACHINE = Machine("/home/ada/cpod", 100 * 2**30, 16 * 2**30, "processes",
                  dict.fromkeys(("mpirun", "podman", "git"), True),
                  dict.fromkeys(("torch", "transformers", "trl"), True))  # fmt: skip


def without(*names: str) -> dict[str, Object]:
    return {name: definition for name, definition in DEFINITIONS.items() if name not in names}


def other_schema() -> dict[str, Object]:
    changed = json.loads(json.dumps(DEFINITIONS["finetunes.cpod.cpod"]))
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["new"] = {}
    return {**DEFINITIONS, "finetunes.cpod.cpod": changed}


def served_as_v1(name: str) -> dict[str, Object]:
    changed = json.loads(json.dumps(DEFINITIONS[name]))
    for version in changed["spec"]["versions"]:
        version["served"] = version["name"] == "v1"
    return {**DEFINITIONS, name: changed}


def test_of_a_good_cluster_nothing_is_said_but_that_it_is_good() -> None:
    found = findings(GOOD)
    assert [finding.message for finding in found if finding.level is not Level.OK] == []
    assert is_healthy(found)
    assert found[0].message == "Kubernetes v1.31.2 at https://cluster, context lab as ada"
    assert [finding.message for finding in found if finding.about == "GPUs"] == ["8 NVIDIA-A100-SXM4-80GB, driver 550"]


CASES: list[tuple[str, dict[str, Any], Level, str, str]] = [
    ("old server", {"version": "v1.20.2"}, Level.NOTE, "older than 1.25, so immutable fields", "upgrade"),
    (
        "no kinds",
        {"definitions": without("finetunes.cpod.cpod")},
        Level.PROBLEM,
        "not installed: FineTune",
        "cpod install",
    ),
    (
        "other schema",
        {"definitions": other_schema()},
        Level.NOTE,
        "another schema than this version's: FineTune",
        "cpod install",
    ),
    ("no operator", {"lease": None}, Level.PROBLEM, "nobody holds its lease", "cpod install"),
    ("lease given up", {"lease": {"spec": {"holderIdentity": ""}}}, Level.PROBLEM, "nobody holds its lease", "logs"),
    (
        "dead operator",
        {"lease_age": 400.0},
        Level.PROBLEM,
        "pod-1 last renewed its lease 400 s ago: it is gone",
        "logs",
    ),
    (
        "Go operator",
        {"former_age": 2.0},
        Level.PROBLEM,
        "the Go operator acts on the same kinds",
        "scale its Deployment to 0",
    ),
    (
        "no Kubeflow",
        {"definitions": without("pytorchjobs.kubeflow.org")},
        Level.NOTE,
        "not served; CPodJobs of type pytorch",
        "training-operator",
    ),
    (
        "MPI v1",
        {"definitions": served_as_v1("mpijobs.kubeflow.org")},
        Level.NOTE,
        "served as v1, and CPodJobs of type mpi need kubeflow.org/v2beta1",
        "mpi-operator",
    ),
    (
        "no KServe",
        {"definitions": without("inferenceservices.serving.kserve.io")},
        Level.NOTE,
        "not served; Inferences need it",
        "KServe",
    ),
    (
        "no runtimes",
        {"serving_runtimes": 0},
        Level.NOTE,
        "an Inference with predictor.model finds no runtime",
        "runtimes",
    ),
    (
        "no class",
        {"storage_classes": []},
        Level.PROBLEM,
        "there is no default class: claims stay Pending",
        "storageClass",
    ),
    (
        "no such class",
        {"settings": Settings(storage_class="fast")},
        Level.PROBLEM,
        "there is no storage class 'fast'",
        "name one",
    ),
    (
        "RWO class",
        {"storage_classes": [storage_class("gp3", "ebs.csi.aws.com")]},
        Level.PROBLEM,
        "offers ReadWriteOnce alone",
        "ReadWriteMany",
    ),
    (
        "unknown class",
        {"storage_classes": [storage_class("own", "example.com/own")]},
        Level.NOTE,
        "cannot be told",
        "see its",
    ),
    ("no GPUs", {"nodes": [node()]}, Level.NOTE, "no node offers any", "GPU operator"),
    ("no product", {"nodes": [node("2")]}, Level.NOTE, "do not say which product", "feature discovery"),
    (
        "no Secret",
        {"secrets": {"huggingface": False}},
        Level.NOTE,
        "no Secret huggingface in namespace team",
        "kubectl create",
    ),
    (
        "full quota",
        {"quotas": [{"metadata": {"name": "q"}, "status": {"hard": {"pods": "4"}, "used": {"pods": "4"}}}]},
        Level.NOTE,
        "ResourceQuota q is used up: pods",
        "delete",
    ),
    (
        "no rights",
        {"refused": [("create", FINETUNES, ""), ("get", CPODJOBS, "log")]},
        Level.PROBLEM,
        "you may not: create finetunes, get cpodjobs/log",
        "role `edit`",
    ),
    (
        "hidden",
        {"nodes": None, "hidden": {"GPUs": "nodes is forbidden"}},
        Level.NOTE,
        "not looked at: nodes is forbidden",
        "",
    ),
    (
        "full disk",
        {"machine": replace(MACHINE, disk_free=2**30)},
        Level.PROBLEM,
        "only 1 GiB of disk free",
        "CPOD_HOME",
    ),
    ("no torch", {"machine": replace(MACHINE, modules={})}, Level.PROBLEM, "Python lacks torch", "[runtime]"),
    (
        "no mpirun",
        {"machine": replace(MACHINE, programs={"podman": True, "git": True})},
        Level.NOTE,
        "no MPIJobs",
        "mpirun",
    ),
]


@pytest.mark.parametrize(
    ("changes", "level", "sentence", "advice"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_is_wrong_is_said_with_what_to_do(
    changes: dict[str, Any], level: Level, sentence: str, advice: str
) -> None:
    found = findings(replace(GOOD, **changes))
    (said,) = [finding for finding in found if finding.level is not Level.OK]
    assert said.level is level
    assert sentence in said.message
    assert advice in said.advice
    assert is_healthy(found) is (level is Level.NOTE)
    assert said.message in text(found)


def test_the_engine_is_examined(session: Session) -> None:
    found = {finding.about: finding for finding in examine(session)}
    assert found["server"].message.endswith("context engine as cpod")
    for about in ("kinds", "operator", "PyTorchJob", "MPIJob", "InferenceService", "rights"):
        assert found[about].level is Level.OK, found[about]
    assert found["engine"].message.startswith(str(session.engine.home if session.engine else ""))


def test_the_command_says_it_to_people_and_to_programs(session: Session) -> None:
    said = run(*DOCTOR, "-o", "json")
    listed = json.loads(said.stdout)
    assert {"level", "about", "message", "advice"} == set(listed[0])
    assert said.returncode == int(any(finding["level"] == "problem" for finding in listed))
    assert "ok    kinds" in run(*DOCTOR).stdout
