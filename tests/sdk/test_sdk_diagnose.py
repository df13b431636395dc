"""Failures that really happen on the engine are told by their cause, with the cell that mends them."""

from __future__ import annotations

import http.server
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.api.resources import FINETUNES, NODES, PODS, SECRETS
from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.sdk import Handle, Session
from cpod_jupyter.sdk.diagnose import Diagnosis, Facts, tell
from cpod_jupyter.sdk.pods import Family
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
    "aborted": ("import os; os.abort()", "exit-code", "it aborted itself (SIGABRT) (exit code 134)"),
    "disk": ("with open('/dev/full', 'w') as full: full.write('x' * 10**5)", "disk-full", "the disk is full"),
    "permission": (
        "import os; os.geteuid() or os.setuid(65534); open('/root/x', 'w')", "permission",
        "/root/x may not be read or written",
    ),
    "port": (
        "import socket; one, two = socket.socket(), socket.socket(); one.bind(('', 0)); two.bind(one.getsockname())",
        "port", "another program has the port",
    ),
    "memory": ("bytearray(2**62)", "memory", "the machine ran out of memory"),
    "terminated": ("import sys; sys.exit(143)", "exit-code", "SIGTERM"),
    "one": ("raise ValueError('a wrong value')", "exit-code", "ValueError: a wrong value (exit code 1)"),
    "file": ("open('/no/such.json')", "no-file", "the file /no/such.json is not there"),
    "module": ("import nosuchmodule", "no-module", "the Python module nosuchmodule is missing"),
    "cuda": (f"raise SystemExit({OOM!r})", "cuda-memory", "the GPU ran out of memory"),
    "nccl": (f"raise SystemExit({NCCL!r})", "nccl", "rank 0 waited in ALLREDUCE number 1580 for 600 s"),
    "elastic": (f"raise SystemExit({ELASTIC!r})", "elastic", "rank 3 failed first, with exit code -9"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "rule", "cause"), FAILURES.values(), ids=FAILURES)
def test_a_program_that_fails_is_told_by_its_cause(session: Session, text: str, rule: str, cause: str) -> None:
    found = failing(session, text)
    assert found.rule == rule
    assert cause in found.cause
    assert found.evidence
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


def test_a_program_that_cannot_be_executed_comes_with_the_cell_that_runs(session: Session, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text("print('it runs')\n")
    for name, command, rule in (
        ("directly", [str(script)], "command"),
        ("shell", ["sh", "-c", f"cd / && {script}"], "exit-code"),
        ("misspelt", ["sh", "-c", f"pyton3 {script}"], "exit-code"),
    ):
        found = failing(session, "", command=command)
        assert found.rule == rule, name
        assert found.evidence, name
        assert mended(session, found) == ["it runs"], name
        session.find("job/bad").delete()


def mended(session: Session, found: Diagnosis) -> list[str]:
    """The log of what the cell that mends makes, run to its end."""
    head, body = found.fix.split("\n", 1)
    assert head == "%%cpod job bad --new -o job"
    [obj] = session.load(body, kind=session.kind("job"), name="bad")
    handle, _ = session.submit(obj, new=True)
    return list(handle.wait(90).logs())


def told(job: Handle, rule: str) -> Diagnosis:
    """The diagnosis once the rule fits; the live snapshots must come to say the same."""
    for snapshot in job.follow(90):
        if snapshot.diagnosis is not None and snapshot.diagnosis.rule == rule:
            found = job.diagnose()
            assert found is not None
            assert (found.cause, found.fix) == (snapshot.reason, snapshot.fix)
            assert found.evidence
            return found
    raise AssertionError(f"it ended without {rule}")


def test_an_image_that_cannot_be_had_comes_with_the_nearest_one_that_a_node_has(session: Session) -> None:
    [node] = session.client.list(NODES).items
    images = {"status": {"images": [{"names": ["docker.io/library/redis:7", "python:3.11"], "sizeBytes": 1}]}}
    session.client.patch(NODES, node["metadata"]["name"], images, subresource="status")
    job = session.job("bad", image="pyton:3.11", args=[sys.executable, "-c", "print('it runs')"])
    found = told(job, "image")
    assert found.cause == "the image pyton:3.11 cannot be had"
    assert found.advice == "take python:3.11"
    assert "image: python:3.11  # was: pyton:3.11" in found.fix
    assert mended(session, found) == ["it runs"]


def test_a_missing_secret_and_a_missing_key_are_named_and_the_job_runs_once_they_are_there(session: Session) -> None:
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}]
    print_it = [sys.executable, "-c", "import os; print(os.environ['TOKEN'])"]
    job = session.job("secretive", image="python:3.11", command=print_it, env=env)
    found = told(job, "start")
    assert found.cause == 'the container cannot start: secret "hub" not found'
    assert found.advice.startswith("create it (kubectl create secret generic hub --from-literal=")
    assert "CreateContainerConfigError" in found.evidence[0]
    secret = {"metadata": {"name": "hub", "namespace": job.namespace}, "stringData": {"tokn": "t"}}
    session.client.create(SECRETS, secret)
    until(lambda: "couldn't find key token" in (job.diagnose() or found).cause)
    assert (job.diagnose() or found).advice == "give the Secret hub the key token, or correct the key's name"
    session.client.patch(SECRETS, "hub", {"stringData": {"token": "hush"}}, job.namespace)
    assert list(job.wait(90).logs()) == ["hush"]


def test_a_service_whose_program_ends_again_and_again_is_told_with_its_last_words(session: Session) -> None:
    code = "raise SystemExit('the model has no weights')"
    container = {"name": "server", "image": "python:3.11", "command": [sys.executable, "-c", code]}
    [obj] = session.load(
        json.dumps({"predictor": {"containers": [container]}}), kind=session.kind("inferenceservice"), name="loop"
    )
    service, _ = session.submit(obj)
    until(lambda: (found := service.diagnose()) is not None and found.rule == "crash-loop")
    found = service.diagnose()
    assert found is not None
    assert "it crashes again and again (" in found.cause
    assert "the model has no weights" in (found.cause, *found.evidence)[-1]
    service.delete()


def test_wrong_rows_are_told_with_the_first_of_them(session: Session, tmp_path: Path) -> None:
    good, wrong = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, {"text": "c"}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").write_text("\n".join(map(json.dumps, (good, wrong, good))) + "\n")
    (tmp_path / "config.json").write_text(json.dumps({"finetuneType": "lora", "autoMerge": False, "arguments": {}}))
    places = {"config": "config.json", "model": "model", "dataset": "data", "output": "out", "checkpoints": "ckpt"}
    options = [text for name, place in places.items() for text in (f"--{name}", str(tmp_path / place))]
    found = failing(session, "", command=[sys.executable, "-m", "cpod_jupyter.runtime", "train", *options])
    assert found.rule == "bad-rows"
    assert found.cause == f"1 of 3 rows of the dataset {tmp_path / 'data'} are wrong"
    assert any("rows.jsonl row 2" in line for line in found.evidence)


def test_a_model_whose_terms_are_not_accepted_is_told(session: Session, tmp_path: Path) -> None:
    with hub_that_refuses() as address:
        command = [
            sys.executable, "-m", "cpod_jupyter.runtime", "download",
            "--kind", "model", "--source", "hf://org/gated", "--destination", str(tmp_path / "m"),
        ]  # fmt: skip
        env = [{"name": "HF_ENDPOINT", "value": address}, {"name": "HF_HUB_OFFLINE", "value": "0"}]
        found = failing(session, "", command=command, env=env)
    assert found.rule == "gated"
    assert found.cause == "the hub wants the model's terms accepted"
    assert "hf://org/gated" in found.evidence[0]


@contextmanager
def hub_that_refuses() -> Iterator[str]:
    """A server that answers as the Hugging Face hub does for a repository whose terms were not accepted."""

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is for the tests."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_pod_that_outgrows_its_volume_is_told_as_evicted(session: Session) -> None:
    write = "open('/scratch/big', 'wb').write(bytes(4 * 2**20)); import time; time.sleep(60)"
    container = {"name": "pytorch", "image": "python:3.11", "command": [sys.executable, "-c", write]}
    container["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
    volume = {"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}
    roles = {
        "Master": {"restartPolicy": "Never", "template": {"spec": {"containers": [container], "volumes": [volume]}}}
    }
    with pytest.raises(WorkFailed) as caught:
        session.training("pytorchjob", "greedy", pytorchReplicaSpecs=roles).wait(90)
    found = caught.value.diagnosis
    assert (found.rule, found.cause) == ("evicted", "it used more of the disk than it may")
    assert 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi"' in found.evidence[0]


# NCCL needs as many GPUs as ranks: real pods say here what PyTorch 2.6's watchdog writes (ProcessGroupNCCL.cpp).
WATCHDOG = """
import os, sys, time
rank, name = int(os.environ["RANK"]), "ProcessGroupNCCL.cpp"
work = WORK[rank]
if work is None:
    time.sleep(SLEEP)
    sys.exit(0)
number, enqueued = work
print(f"[rank{rank}]:[E321 02:07:08.408271257 {name}:607] [Rank {rank}] Watchdog caught collective operation timeout: "
      f"WorkNCCL(SeqNum={number}, OpType=ALLREDUCE, NumelIn=466119168, NumelOut=466119168, Timeout(ms)=600000) "
      "ran for 600060 milliseconds before timing out.", file=sys.stderr)
print(f"[rank{rank}]:[E321 02:07:08.465150152 {name}:1664] [PG ID 0 PG GUID 0(default_pg) Rank {rank}] Exception "
      f"(either an error or timeout) detected by watchdog at work: {number}, last enqueued NCCL work: {enqueued}, "
      f"last completed NCCL work: {number - 1}.", file=sys.stderr)
sys.stderr.flush()
os.abort()
"""
CULPRITS = {
    "a rank that hangs": (
        [(1580, 1582), None, (1580, 1582)],
        "NCCL timed out: rank 1 (worker-0) never came to ALLREDUCE number 1580, where the others waited for 600 s",
    ),
    "a rank that is behind": (
        [(1580, 1582), (1580, 1582), (1577, 1577)],
        "NCCL timed out: rank 2 (worker-1) had come to work 1577 only, the others to 1582",
    ),
    "none of them": (
        [(7, 7), (7, 7), (7, 7)],
        "NCCL timed out: every rank waited in ALLREDUCE number 7 for 600 s, so what lies between them failed",
    ),
}


@pytest.mark.parametrize(("work", "cause"), CULPRITS.values(), ids=CULPRITS)
def test_of_a_collective_that_timed_out_the_rank_that_the_others_waited_for_is_named(
    session: Session, work: list[tuple[int, int] | None], cause: str
) -> None:
    code = WATCHDOG.replace("WORK", repr(work)).replace("SLEEP", "60")
    container = {"name": "pytorch", "image": "python:3.11", "command": [sys.executable, "-c", code]}
    pod = {"restartPolicy": "Never", "template": {"spec": {"containers": [container]}}}
    roles = {"Master": {"replicas": 1, **pod}, "Worker": {"replicas": 2, **pod}}
    policy = {"cleanPodPolicy": "None"}
    job = session.training("pytorchjob", "ring", pytorchReplicaSpecs=roles, runPolicy=policy)
    until(lambda: (found := job.diagnose()) is not None and found.cause == cause)
    found = job.diagnose()
    assert found is not None
    assert found.rule == "nccl"
    assert "Watchdog caught collective operation timeout" in found.evidence[0]
    job.delete()


def until(condition: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


FINETUNE = {
    "finetuneType": "lora", "model": "base", "dataset": "facts", "gpuCount": 4, "hyperParameters": {"batch_size": "8"},
}  # fmt: skip


def test_a_fine_tune_comes_with_half_the_batch_or_fewer_gpus(session: Session) -> None:
    root = {"apiVersion": FINETUNES.api_version, "kind": "FineTune", "spec": FINETUNE, "status": {"phase": "Failed"}}
    root["metadata"] = {"name": "tune", "namespace": session.namespace, "uid": "root"}
    owner = {"kind": "FineTune", "name": "tune", "uid": "root", "controller": True}
    metadata = {"name": "p", "uid": "pod", "ownerReferences": [owner]}
    limits = {"limits": {"nvidia.com/gpu": "4"}}
    spec = {"containers": [{"name": "c", "resources": limits}]}
    ended = {"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 1}}}]}
    waits = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "no room"}]}
    node = {"metadata": {"name": "lab"}, "status": {"allocatable": {"nvidia.com/gpu": "2", "pods": "110"}}}
    for status, log, expected in (
        (ended, [OOM], {"hyperParameters": {"batch_size": "4"}, "config": {"gradient_accumulation_steps": "2"}}),
        (waits, [], {"gpuCount": 2}),
    ):
        family = Family(FINETUNES, {**root, "status": {"phase": "Failed" if log else "Pending"}})
        family.add(PODS, {"metadata": metadata, "spec": spec, "status": status})
        _, found = tell(Facts(family, {"p": log}, [node]))
        assert found is not None
        [obj] = session.load(found.fix.split("\n", 1)[1], kind=session.kind("finetune"), name="tune")
        session.validate(obj)
        assert {key: obj["spec"][key] for key in expected} == expected
