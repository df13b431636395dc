"""Logs come once, histories stay bounded, and news fold into snapshots: without a server."""

from __future__ import annotations

from typing import Any

import pytest

from cpod_jupyter.api.records import format_record
from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, INFERENCES, INFERENCESERVICES, NODES, PODS, Object, Resource
from cpod_jupyter.control.api import WatchEvent
from cpod_jupyter.sdk.history import HEAD_LINES, LONGEST_LINE, TAIL_LINES, History, LogLine, readable, texts
from cpod_jupyter.sdk.logs import Deduplicator
from cpod_jupyter.sdk.pods import Family
from cpod_jupyter.sdk.states import State
from cpod_jupyter.sdk.tracker import RANKS, Changed, Lines, Listed, LogEnded, Tracker
from cpod_jupyter.sdk.words import explain


def made(resource: Resource, name: str, owner: Object | None = None, **content: Any) -> Object:
    metadata: dict[str, Any] = {"name": name, "namespace": "default", "uid": f"{resource.kind}-{name}"}
    metadata |= content.pop("metadata", {})
    if owner is not None:
        metadata["ownerReferences"] = [
            {
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
            }
        ]
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **content}


def pod_of(owner: Object, name: str = "p", *, spec: dict[str, Any] | None = None, **status: Any) -> Object:
    return made(PODS, name, owner, spec=spec or {"containers": [{"name": "c"}]}, status=status)


def terminated(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    over = {"exitCode": code, "reason": reason, "message": message}
    return {"containerStatuses": [{"name": "c", "image": "i", "state": {"terminated": over}}]}


def family_of(root: Object, resource: Resource, *others: tuple[Resource, Object]) -> Family:
    family = Family(resource, root)
    for kind, obj in others:
        family.add(kind, obj)
    return family


# ---- logs


def test_a_line_that_a_new_connection_repeats_is_let_through_once() -> None:
    once = Deduplicator()
    first = ["2026-01-01T00:00:00.1Z a", "2026-01-01T00:00:00.15Z b", "2026-01-01T00:00:00.15Z b"]
    assert [once.new(line) for line in first] == ["a", "b", "b"]
    assert once.since == "2026-01-01T00:00:00Z"
    once.reconnected()
    again = [*first, "2026-01-01T00:00:00.15Z c", "2026-01-01T00:00:01Z d"]
    assert [line for line in map(once.new, again) if line is not None] == ["c", "d"]


def test_a_line_without_a_stamp_is_let_through() -> None:
    assert Deduplicator().new("no stamp") == "no stamp"


BAR = "2026-01-01T00:00:01.5Z "
"""The stamp of a bar's line; a reader gets its states as far as they have come, then what follows (`LineStream`)."""
AFTER = "2026-01-01T00:00:02Z after"
ANSWERS = {
    "the bar has moved on, and ended": ([BAR + "10%\r20%\r30%\r100%", AFTER], "\r30%\r100%|after"),
    "it comes in other parts": ([BAR + "10%", "\r20%\r30%", "\r100%", AFTER], "\r30%|\r100%|after"),
    "it has not moved": ([BAR + "10%\r20%"], ""),
    "it has ended where it was": ([BAR + "10%\r20%", AFTER], "after"),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_a_connection_lost_within_a_bar_loses_and_doubles_nothing(answer: list[str], expected: str) -> None:
    once = Deduplicator()
    first = ["2026-01-01T00:00:01.1Z begin", "2026-01-01T00:00:01.5Z twin", BAR + "10%", "\r20%"]
    assert [once.new(line) for line in first] == ["begin", "twin", "10%", "\r20%"]
    once.reconnected()
    again = map(once.new, [*first[:2], *answer])
    assert "|".join(text for text in again if text is not None) == expected


def test_a_long_log_keeps_its_head_and_its_tail() -> None:
    history = History()
    for number in range(10_000):
        history.add(f"line {number}")
    text = texts(history.text())
    assert len(text) == HEAD_LINES + 1 + TAIL_LINES
    assert text[HEAD_LINES] == f"… {10_000 - HEAD_LINES - TAIL_LINES} lines left out …"
    assert text[-1] == "line 9999"


def test_steps_that_a_restart_repeats_take_the_place_of_the_earlier_ones() -> None:
    history = History()
    for step, loss in ((1, 3.0), (2, 2.0), (3, 1.0), (2, 1.9)):
        history.add(format_record({"type": "metrics", "step": step, "total_steps": 4, "loss": loss}))
    assert [(record["step"], record["loss"]) for record in history.metrics] == [(1, 3.0), (2, 1.9)]
    assert history.progress is not None
    assert history.progress.fraction == 0.5


def test_records_are_put_in_words_for_people() -> None:
    line = format_record({"type": "metrics", "step": 3, "total_steps": 20, "epoch": 0.5, "loss": 1.25})
    assert readable(line) == "step 3 of 20  epoch 0.50  loss 1.2500"
    assert readable("plain") == "plain"


# ---- snapshots


def test_pods_are_found_through_every_owner_in_between() -> None:
    root = made(FINETUNES, "f", status={"phase": "Running"})
    job = made(CPODJOBS, "f-cpodjob", root)
    family = family_of(
        root, FINETUNES, (CPODJOBS, job), (PODS, pod_of(job)), (PODS, pod_of(made(CPODJOBS, "x"), "other"))
    )
    assert [pod["metadata"]["name"] for pod in family.pods()] == ["p"]


def workers(root: Object, count: int) -> list[tuple[Resource, Object]]:
    """Pods that have started, the highest rank first."""
    started = {"containerStatuses": [{"name": "c", "state": {"running": {}}}]}
    pods = []
    for index in reversed(range(count)):
        pod = pod_of(root, f"j-worker-{index}", **started)
        pod["metadata"]["labels"] = {
            "training.kubeflow.org/replica-type": "worker",
            "training.kubeflow.org/replica-index": str(index),
        }
        pods.append((PODS, pod))
    return pods


def test_the_logs_of_the_first_ranks_are_read_each_once() -> None:
    root = made(CPODJOBS, "j", status={})
    pods = workers(root, RANKS + 3)
    tracker = Tracker(family_of(root, CPODJOBS, *pods))
    names = [pod["metadata"]["name"] for pod in tracker.pods_to_read()]
    assert names == [f"j-worker-{index}" for index in range(RANKS)]
    assert tracker.pods_to_read() == []
    for name in names:
        assert not tracker.drained
        tracker.take(LogEnded(f"Pod-{name}"))
    assert tracker.drained


def test_of_a_failed_job_the_pod_that_failed_first_is_read_whatever_its_rank_and_its_lines_are_the_evidence() -> None:
    root = made(CPODJOBS, "j", status={"conditions": [{"type": "Failed", "status": "True", "message": ""}]})
    pods = workers(root, RANKS + 3)
    pods[0][1]["status"] = {"phase": "Failed", **terminated(1)}
    tracker = Tracker(family_of(root, CPODJOBS, *pods))
    assert "j-worker-10" in [pod["metadata"]["name"] for pod in tracker.pods_to_read()]
    tracker.take(Lines("Pod-j-worker-10", ["row 7 is bad"]))
    tracker.take(Lines("Pod-j-worker-0", ["NCCL timed out"]))
    snapshot = tracker.snapshot()
    assert snapshot.evidence == ("row 7 is bad",)
    assert texts(snapshot.log) == ["worker-10 | row 7 is bad", "worker-0 | NCCL timed out"]


def test_each_line_has_its_place_and_only_the_pod_that_speaks_is_heard_on_metrics() -> None:
    root = made(CPODJOBS, "j", status={})
    tracker = Tracker(family_of(root, CPODJOBS, *workers(root, 2)))
    tracker.pods_to_read()
    for index, loss in ((1, 9.0), (0, 1.0)):
        record = format_record({"type": "metrics", "step": 1, "loss": loss})
        tracker.take(Lines(f"Pod-j-worker-{index}", [record, f"step 2 loss {loss + 1}", "done"]))
    snapshot = tracker.snapshot()
    assert [row["loss"] for row in snapshot.metrics] == [1.0]
    assert snapshot.log == (
        LogLine("worker-1", "step 2 loss 10.0"),
        LogLine("worker-1", "done"),
        LogLine("worker-0", "step 2 loss 2.0"),
        LogLine("worker-0", "done"),
    )


def test_lines_of_one_pod_have_no_prefix() -> None:
    assert texts([LogLine("worker-0", "a"), LogLine("", "… 3 lines left out …")]) == ["a", "… 3 lines left out …"]


def test_bars_of_several_ranks_stand_one_below_the_other_each_in_its_last_state() -> None:
    history = History()
    for state in range(3):
        for rank in range(2):
            history.add(f"{state * 50}%|{'#' * state}| {state}/2 [00:00<00:01,  1.00it/s]", f"worker-{rank}")
    assert [(line.place, line.text[:4]) for line in history.text()] == [("worker-0", "100%"), ("worker-1", "100%")]
    history.add("saved", "worker-0")
    history.add("0%|| 0/2 [00:00<?, ?it/s]", "worker-0")
    assert len(history.text()) == 4


def test_a_very_long_line_is_cut() -> None:
    history = History()
    history.add("x" * 1_000_000)
    [line] = history.text()
    assert line.text.endswith("x … (1,000,000 characters)")
    assert len(line.text) < LONGEST_LINE + 40


def test_news_fold_into_a_snapshot() -> None:
    root = made(FINETUNES, "f", status={"phase": "Pending"})
    tracker = Tracker(Family(FINETUNES, root))
    assert tracker.snapshot().state is State.PENDING
    tracker.take(Changed(FINETUNES, WatchEvent("MODIFIED", {**root, "status": {"phase": "Running"}})))
    record = format_record({"type": "metrics", "step": 5, "total_steps": 10, "loss": 1.5})
    tracker.take(Lines("p", [record, "hello"]))
    snapshot = tracker.snapshot()
    assert (snapshot.state, snapshot.loss, snapshot.log) == (State.RUNNING, 1.5, (LogLine("", "hello"),))
    done = {**root, "status": {"phase": "Succeeded", "modelStorage": "f-result"}}
    tracker.take(Changed(FINETUNES, WatchEvent("MODIFIED", done)))
    assert tracker.snapshot().state is State.SUCCEEDED
    assert tracker.snapshot().result == "f-result"


def test_an_object_that_is_deleted_and_made_anew_is_another_one() -> None:
    root = made(CPODJOBS, "j", status={})
    tracker = Tracker(Family(CPODJOBS, root))
    anew = made(CPODJOBS, "j", metadata={"uid": "another"}, status={})
    tracker.take(Listed(CPODJOBS, [anew]))
    assert tracker.snapshot().state is State.DELETED


# ---- words


def unscheduled(owner: Object, gpus: str) -> Object:
    spec = {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": gpus}}}]}
    sentence = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": sentence}
    return pod_of(owner, spec=spec, phase="Pending", conditions=[condition])


def test_a_job_that_waits_for_gpus_says_what_it_asks_for_and_what_there_is() -> None:
    root = made(FINETUNES, "f", status={"phase": "Pending"})
    node = made(NODES, "lab", status={"allocatable": {"nvidia.com/gpu": "1"}})
    words = explain(family_of(root, FINETUNES, (PODS, unscheduled(root, "2"))), [node])
    assert words.reason == (
        "no node could ever run it: it asks for 2 nvidia.com/gpu; lab has 1 nvidia.com/gpu; "
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    )
    assert "ask for fewer GPUs" in words.advice


def test_a_job_that_will_fit_later_is_told_to_wait() -> None:
    root = made(FINETUNES, "f", status={"phase": "Pending"})
    node = made(NODES, "lab", status={"allocatable": {"nvidia.com/gpu": "2"}})
    words = explain(family_of(root, FINETUNES, (PODS, unscheduled(root, "2"))), [node])
    assert "by itself when they are free" in words.advice


CAUSES = {
    "out of memory": (terminated(137, "OOMKilled"), [], "it ran out of memory and was killed (OOMKilled)"),
    "CUDA": (terminated(1), ["torch.OutOfMemoryError: CUDA out of memory."], "the GPU ran out of memory"),
    "module": (
        terminated(1),
        ["ModuleNotFoundError: No module named 'foo'"],
        "the Python module foo is missing",
    ),
    "its own last words": (terminated(1, message="row 3 has no messages"), [], "row 3 has no messages"),
    "nothing but a code": (terminated(3), [], "it failed (exit code 3)"),
}


@pytest.mark.parametrize(("status", "log", "reason"), CAUSES.values(), ids=CAUSES)
def test_a_failure_is_told_by_its_cause(status: dict[str, Any], log: list[str], reason: str) -> None:
    root = made(CPODJOBS, "j", status={"conditions": [{"type": "Failed", "status": "True", "message": ""}]})
    tracker = Tracker(family_of(root, CPODJOBS, (PODS, pod_of(root, phase="Failed", **status))))
    assert len(tracker.pods_to_read()) == 1
    tracker.take(Lines("Pod-p", log))
    assert tracker.snapshot().reason == reason


def test_a_deployment_whose_pod_crash_loops_has_failed_whatever_its_status_says() -> None:
    root = made(INFERENCES, "i", status={"dataReady": True, "ready": False})
    waiting = {"name": "c", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    waiting["lastState"] = {"terminated": {"exitCode": 1, "message": "no such model"}}
    snapshot = Tracker(family_of(root, INFERENCES, (PODS, pod_of(root, containerStatuses=[waiting])))).snapshot()
    assert snapshot.state is State.FAILED
    assert snapshot.reason == "it crashes again and again (3 restarts): no such model"


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside one that answers"])
def test_a_service_that_says_it_is_ready_while_its_pod_crash_loops_is_seen_through(others: bool) -> None:
    conditions = [{"type": "Ready", "status": "True"}]
    root = made(INFERENCESERVICES, "s", status={"conditions": conditions, "url": "http://s.example"})
    waiting = {"name": "c", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    waiting["lastState"] = {"terminated": {"exitCode": 1, "message": "no such model"}}
    pods = [pod_of(root, "sick", containerStatuses=[waiting])]
    if others:
        once = {"name": "c", "restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 2}}}
        pods.insert(0, pod_of(root, "well", containerStatuses=[once], conditions=conditions))
    tracker = Tracker(family_of(root, INFERENCESERVICES, *((PODS, pod) for pod in pods)))
    snapshot = tracker.snapshot()
    cause = "it crashes again and again (4 restarts): no such model"
    if others:
        assert snapshot.state is State.READY
        assert snapshot.reason == f"it answers at http://s.example; but sick: {cause}"
    else:
        assert (snapshot.state, snapshot.reason) == (State.FAILED, cause)
    assert snapshot.advice == "read its log: %cpod logs s"
    for pod in pods:
        gone = {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
        tracker.take(Changed(PODS, WatchEvent("MODIFIED", gone)))
    assert tracker.snapshot().diagnosis is None, "pods that are going away don't count"
