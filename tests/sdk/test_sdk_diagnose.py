"""Failures that really happen on the engine are told by their cause, with the cell that mends them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.diagnose import Diagnosis
from cpod_jupyter.sdk.snapshot import Snapshot


def failing(session: Session, text: str, **spec: Any) -> Diagnosis:
    spec = {"image": "python:3.11", "command": [sys.executable, "-c", text], "backoffLimit": 0, **spec}
    seen: list[Snapshot] = []
    with pytest.raises(WorkFailed) as caught:
        session.job("bad", **spec).wait(90, seen.append)
    found = caught.value.diagnosis
    assert isinstance(found, Diagnosis)
    assert found.cause in str(caught.value)
    shown = seen[-1]
    assert (shown.reason, shown.evidence, shown.advice, shown.fix) == (
        found.cause,
        found.evidence,
        found.advice,
        found.fix,
    ), "the last snapshot tells the same"
    return found


OOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 264.00 MiB. GPU 0 has a total capacity of 23.65 GiB"
)
NCCL = (
    "[rank0]:[E321 02:07:08.408271257 ProcessGroupNCCL.cpp:607] [Rank 0] Watchdog caught collective operation timeout: "
    "WorkNCCL(SeqNum=1580, OpType=ALLREDUCE, Timeout(ms)=600000) ran for 600060 milliseconds before timing out."
)
ELASTIC = """train.py FAILED
Root Cause (first observed failure):
[0]:
  time      : 2023-04-15_19:02:50
  host      : n136
  rank      : 3 (local_rank: 3)
  exitcode  : -9 (pid: 130182)
"""
FAILURES = {
    "killed": ("import os; os.kill(os.getpid(), 9)", "exit-code", "exit code 137"),
    "segfault": ("import os; os.kill(os.getpid(), 11)", "exit-code", "SIGSEGV"),
    "terminated": ("import sys; sys.exit(143)", "exit-code", "SIGTERM"),
    "one": ("raise ValueError('a wrong value')", "exit-code", "ValueError: a wrong value (exit code 1)"),
    "file": ("open('/no/such.json')", "no-file", "the file /no/such.json is not there"),
    "module": ("import nosuchmodule", "no-module", "the Python module nosuchmodule is missing"),
    "cuda": (f"raise SystemExit({OOM!r})", "cuda-memory", "the GPU ran out of memory"),
    "nccl": (f"raise SystemExit({NCCL!r})", "nccl", "rank 0 waited"),
    "elastic": (f"raise SystemExit({ELASTIC!r})", "elastic", "rank 3 failed first, with exit code -9"),
}


@pytest.mark.parametrize(("text", "rule", "cause"), FAILURES.values(), ids=FAILURES)
def test_a_program_that_fails_is_told_by_its_cause(session: Session, text: str, rule: str, cause: str) -> None:
    found = failing(session, text)
    assert found.rule == rule
    assert cause in found.cause
    assert found.fix == "", "nothing certain can be done about it"


def test_a_misspelt_command_comes_with_the_cell_that_runs(session: Session) -> None:
    found = failing(session, "", command=["pythn", "-c", "print(1)"])
    assert found.rule == "command"
    head, body = found.fix.split("\n", 1)
    assert head == "%%cpod job bad --new -o job"
    assert "# was: [pythn" in body
    [mended] = session.load(body, kind=session.kind("job"), name="bad")
    handle, _ = session.submit(mended, new=True)
    assert list(handle.wait(90).logs()) == ["1"]


def test_what_no_node_can_run_is_told_while_it_waits(session: Session) -> None:
    job = session.job("greedy", image="python:3.11", command=[sys.executable, "-V"], gpuRequiredPerReplica=64)
    for snapshot in job.follow(30):
        if "nvidia.com/gpu" in snapshot.reason:
            break
    found = job.diagnose()
    assert found is not None
    assert found.rule == "unschedulable"
    assert "Insufficient nvidia.com/gpu" in found.evidence[0]
    job.delete()


def test_nothing_is_diagnosed_of_what_went_well(session: Session) -> None:
    assert session.job("good", image="python:3.11", command=[sys.executable, "-V"]).wait(90).diagnose() is None


def test_a_container_over_its_memory_limit_comes_with_a_cell_of_twice_the_limit(session: Session) -> None:
    text = "held = bytearray(400 * 2**20)\nimport time\ntime.sleep(60)"
    limits = {"limits": {"memory": "200Mi"}}
    container = {"name": "pytorch", "image": "python:3.11", "command": [sys.executable, "-c", text]}
    pod = {"spec": {"containers": [{**container, "resources": limits}]}}
    roles = {"Master": {"replicas": 1, "restartPolicy": "Never", "template": pod}}
    with pytest.raises(WorkFailed) as caught:
        session.training("pytorchjob", "big", pytorchReplicaSpecs=roles).wait(90)
    found = caught.value.diagnosis
    assert found.rule == "oom-killed"
    assert "memory: 400Mi  # was: 200Mi" in found.fix
    [mended] = session.load(found.fix.split("\n", 1)[1], kind=session.kind("pytorchjob"), name="big2")
    session.validate(mended)


def test_what_a_program_left_as_its_last_message_is_the_cause(session: Session) -> None:
    code = (
        "import os, sys; message = 'the shards do not fit\\nshard 3: 12 rows too many'; "
        "open(os.environ['CPOD_TERMINATION_LOG'], 'w').write(message); print('working'); sys.exit(2)"
    )
    job = session.job("told", image="python:3.12", command=[sys.executable, "-c", code], backoffLimit=0)
    with pytest.raises(WorkFailed) as caught:
        job.wait(60)
    diagnosis = caught.value.diagnosis
    assert diagnosis.cause == "the shards do not fit"
    assert diagnosis.evidence == ("shard 3: 12 rows too many",)
