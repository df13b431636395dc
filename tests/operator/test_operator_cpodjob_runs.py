"""CPodJobs on the engine, with real small programs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whole_engine import whole_engine

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, JOBS, MODELSTORAGES, PODS, PVCS, PYTORCHJOBS, Resource
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import NotFound


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with whole_engine(tmp_path_factory.mktemp("home")) as engine:
        found = Client.from_kubeconfig(engine.kubeconfig)
        yield found
        found.close()


def submit(client: Client, name: str, spec: dict[str, Any]) -> None:
    client.create(CPODJOBS, {"metadata": {"name": name, "namespace": "default"}, "spec": {"image": "python", **spec}})


def reached(client: Client, name: str, kind: str) -> dict[str, Any]:
    """Wait for the condition `kind` of a CPodJob; fails when the job ends otherwise."""
    until = time.monotonic() + 90
    while not meta.is_true(job := client.get(CPODJOBS, name, "default"), kind):
        ended = [end for end in ("Succeeded", "Failed") if meta.is_true(job, end)]
        assert not ended, job["status"]
        assert time.monotonic() < until, job.get("status")
        time.sleep(0.1)
    return meta.condition(job, kind) or {}


def run(client: Client, name: str, spec: dict[str, Any]) -> None:
    """Submit a CPodJob, and wait until it has succeeded."""
    submit(client, name, spec)
    reached(client, name, "Succeeded")


def gone(client: Client, resource: Resource, name: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            client.get(resource, name, "default")
        except NotFound:
            return
        assert time.monotonic() < until, f"{resource.kind} {name} stays"
        time.sleep(0.1)


def printed(client: Client, pod: str) -> str:
    """What the pod whose name begins so has printed."""
    names = [meta.name_of(item) for item in client.list(PODS, "default").items]
    (name,) = [name for name in names if name.startswith(pod)]
    return "\n".join(client.logs(name, "default"))


RANK = """
import os
said = f"rank {os.environ['OMPI_COMM_WORLD_RANK']} in {os.environ['HOSTNAME']}\\n"
os.write(1, said.encode())  # at once: both ranks write to one log
"""
needs_mpirun = pytest.mark.skipif(
    shutil.which("mpirun") is None, reason="mpirun is not installed (Debian: apt-get install openmpi-bin)"
)


@needs_mpirun
@pytest.mark.timeout(150)
def test_mpirun_reaches_the_workers_of_a_cpodjob(client: Client) -> None:
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "2", sys.executable, "-c", RANK]
    run(client, "sim", {"jobType": "mpi", "command": command, "workerReplicas": 2, "backoffLimit": 0})
    said = printed(client, "sim-launcher")
    assert sorted(said.split("\n"))[-2:] == ["rank 0 in sim-worker-0", "rank 1 in sim-worker-1"]


@pytest.mark.timeout(150)
def test_the_workers_of_a_tensorflow_cpodjob_know_each_other(client: Client) -> None:
    command = [sys.executable, "-c", "import os; print(os.environ['TF_CONFIG'])"]
    run(client, "tf", {"jobType": "tensorFlow", "command": command, "workerReplicas": 2, "backoffLimit": 0})
    found = json.loads(printed(client, "tf-worker-0"))  # the job has succeeded when the first worker has
    assert found["task"] == {"type": "worker", "index": 0}
    assert len(set(found["cluster"]["worker"])) == 2


def test_a_cpodjob_runs_the_code_of_its_repository_at_a_revision(client: Client, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    git = ["git", "-C", str(origin), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", "init", "-q", str(origin)], check=True)
    for text in ("one", "two"):
        (origin / "say.py").write_text(f"print({text!r})\n")
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", text], check=True)
        subprocess.run([*git, "tag", text], check=True)
    repo = {"repository": origin.as_uri(), "revision": "one"}
    run(client, "code", {"command": ["python", "/code/say.py"], "gitRepo": repo, "codePath": "/code"})
    assert printed(client, "code") == "one"


SHOW = """
import json, os, pathlib, time
seen = {name: value for name, value in os.environ.items() if name.startswith("PET_") or name == "MINE"}
draft = pathlib.Path(os.environ["SEEN"], os.environ["HOSTNAME"] + ".draft")
draft.write_text(json.dumps(seen))
draft.rename(draft.with_suffix(".json"))
while len(list(draft.parent.glob("*.json"))) < 2:  # the first that ends well ends the job, and the other with it
    time.sleep(0.02)
"""


def test_several_workers_are_told_how_to_find_each_other_by_torchrun(client: Client, tmp_path: Path) -> None:
    """Fault 7 (B18): processes are the GPUs of a replica, one on the CPU, and not the number of workers."""
    env = [{"name": "MINE", "value": "yes"}, {"name": "SEEN", "value": str(tmp_path)}]
    run(
        client, "pair",
        {"jobType": "pytorch", "command": [sys.executable, "-c", SHOW], "workerReplicas": 2, "env": env},
    )  # fmt: skip
    found = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert found[0]["PET_RDZV_ENDPOINT"] == found[1]["PET_RDZV_ENDPOINT"]
    for seen in found:
        assert (seen["PET_RDZV_BACKEND"], seen["PET_NNODES"]) == ("c10d", "2:2")
        assert (seen["PET_NPROC_PER_NODE"], seen["MINE"]) == ("1", "yes")


SAVE = """
from pathlib import Path
assert Path("/ckpt/step").exists() or not Path("/ckpt/step").write_text("7")
Path("/save/config.json").write_text("{}")
"""


def test_what_a_job_saved_outlives_it_and_its_checkpoints_do_not(client: Client) -> None:
    claims = {"ckptPath": "/ckpt", "ckptVolumeSize": 10, "modelSavePath": "/save", "modelSaveVolumeSize": 10}
    run(client, "saving", {"command": [sys.executable, "-c", SAVE], **claims})
    assert client.get(PVCS, "saving-ckpt", "default")
    client.delete(CPODJOBS, "saving", "default")
    gone(client, JOBS, "saving")
    gone(client, PVCS, "saving-ckpt")
    storage = client.get(MODELSTORAGES, "saving-modelsavestorage", "default")
    assert storage["status"]["phase"] == "done"
    assert client.get(PVCS, storage["spec"]["pvc"], "default")["status"]["phase"] == "Bound"

    read = {"command": [sys.executable, "-c", "print(open('/model/config.json').read())"]}
    base = {"pretrainModelName": "saving-modelsavestorage", "pretrainModelPath": "/model"}
    run(client, "reading", {**read, **base})
    assert printed(client, "reading") == "{}"


@pytest.mark.parametrize(("kind", "resource"), [("general", JOBS), ("pytorch", PYTORCHJOBS)])
def test_a_job_beyond_its_time_fails_and_says_so(client: Client, kind: str, resource: Resource) -> None:
    """Fault 8 (B19): duration is minutes; a minute is too long for a test, so the child gets a second."""
    name = f"late-{kind}"
    submit(client, name, {"jobType": kind, "command": ["sleep", "300"], "duration": 1})
    reached(client, name, "Running")
    spec = client.get(resource, name, "default")["spec"]
    policy = spec if kind == "general" else spec["runPolicy"]
    assert policy["activeDeadlineSeconds"] == 60
    second = {"activeDeadlineSeconds": 1}
    client.patch(resource, name, {"spec": second if kind == "general" else {"runPolicy": second}}, "default")
    entry = reached(client, name, "Failed")
    assert entry["reason"] == "DeadlineExceeded"
    assert "deadline" in entry["message"]


def test_a_failed_job_that_is_edited_runs_anew_with_its_checkpoints(client: Client) -> None:
    failing = f"{SAVE}\nraise SystemExit(3)"
    submit(client, "again", {"command": [sys.executable, "-c", failing], "ckptPath": "/ckpt", "backoffLimit": 0,
                             "modelSavePath": "/save"})  # fmt: skip
    reached(client, "again", "Failed")
    resumed = "print('from step', open('/ckpt/step').read())"
    client.patch(CPODJOBS, "again", {"spec": {"command": [sys.executable, "-c", resumed]}}, "default")
    until = time.monotonic() + 60
    while not meta.is_true(client.get(CPODJOBS, "again", "default"), "Succeeded"):
        assert time.monotonic() < until, client.get(CPODJOBS, "again", "default")["status"]
        time.sleep(0.1)
    assert printed(client, "again") == "from step 7"
    assert not meta.condition(client.get(CPODJOBS, "again", "default"), "Failed")
