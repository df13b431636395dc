"""The supervisor: containers as processes, without an engine."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cpod_jupyter.engine.kubelet import processes
from cpod_jupyter.engine.kubelet.container import BackOff
from cpod_jupyter.engine.kubelet.crilog import ROTATED_FILES, LogWriter, parse_entry, rotated
from cpod_jupyter.engine.kubelet.plan import ContainerPlan, PodPlan, PodReport
from cpod_jupyter.engine.kubelet.runtime import POD_UID_ENV, ProcessRuntime

SECONDS = 20.0


class Pods:
    """Runs pods in directories below one, under one runtime."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runtime = ProcessRuntime()
        self.directories: list[Path] = []

    def run(
        self,
        *scripts: str,
        init: tuple[str, ...] = (),
        policy: str = "Never",
        grace: float = 5,
        deadline: float | None = None,
        fallback: bool = False,
    ) -> Path:
        """A pod of one container a script, named c0, c1, …; init containers are i0, i1, …"""
        directory = self.home / f"pod-{len(self.directories)}"
        directory.mkdir()
        self.directories.append(directory)
        uid = str(directory)

        def container(name: str, script: str) -> ContainerPlan:
            env = {"PATH": os.environ["PATH"], POD_UID_ENV: uid, "LOG": str(directory / f"{name}.message")}
            argv = [sys.executable, "-u", "-c", script[3:]] if script.startswith("py:") else ["sh", "-c", script]
            return ContainerPlan(name, argv, env, str(directory), str(directory / f"{name}.message"), fallback)

        plan = PodPlan(
            uid, "p", "ns", "127.0.0.1", policy, grace, deadline,
            [container(f"i{number}", script) for number, script in enumerate(init)],
            [container(f"c{number}", script) for number, script in enumerate(scripts)],
        )  # fmt: skip
        self.runtime.start(directory, plan)
        return directory

    def report(self, directory: Path) -> PodReport:
        found = self.runtime.observe(directory)
        assert found is not None
        return found

    def wait(self, directory: Path, condition: Callable[[PodReport], object], wanted: str) -> PodReport:
        until = time.monotonic() + SECONDS
        while not condition(report := self.report(directory)):
            if time.monotonic() > until:
                pytest.fail(f"not in {SECONDS} s: {wanted}; {report}")
            time.sleep(0.01)
        return report

    def wait_end(self, directory: Path) -> PodReport:
        return self.wait(directory, lambda report: report.ended, "the pod ends")

    def wait_running(self, directory: Path) -> PodReport:
        return self.wait(directory, lambda report: report.containers[0].running, "the container runs")


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    found = Pods(tmp_path)
    yield found
    for directory in found.directories:
        found.runtime.remove(directory)


def entries(directory: Path, container: str = "c0", run: int = 0) -> list[tuple[str, bool, str]]:
    lines = (directory / container / f"{run}.log").read_bytes().splitlines()
    parsed = [parse_entry(line) for line in lines]
    return [(entry.stream.decode(), entry.whole, entry.text.decode()) for entry in parsed if entry]


def processes_of(directory: Path) -> list[psutil.Process]:
    """Every process that carries the pod's uid, whatever session or parent it has by now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(POD_UID_ENV) == str(directory) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def wait_for_text(path: Path) -> str:
    until = time.monotonic() + SECONDS
    while not (path.exists() and path.read_text().strip()):
        if time.monotonic() > until:
            pytest.fail(f"{path} was not written")
        time.sleep(0.01)
    return path.read_text().strip()


def test_output_is_logged_in_order_with_its_stream_and_the_unfinished_last_line(pods: Pods) -> None:
    directory = pods.run("for n in 1 2 3; do echo line $n; done; sleep 0.1; echo trouble >&2; sleep 0.1; printf end")
    pods.wait_end(directory)
    assert entries(directory) == [
        ("stdout", True, "line 1"),
        ("stdout", True, "line 2"),
        ("stdout", True, "line 3"),
        ("stderr", True, "trouble"),
        ("stdout", False, "end"),
    ]


def test_text_without_a_newline_is_logged_while_the_container_goes_on(pods: Pods) -> None:
    directory = pods.run("printf 'progress 10%%'; sleep 60")
    pods.wait(directory, lambda _: (directory / "c0" / "0.log").exists() and entries(directory), "text is logged")
    assert entries(directory) == [("stdout", False, "progress 10%")]


@pytest.mark.parametrize(
    ("script", "exit_code", "reason"),
    [
        pytest.param("exit 0", 0, "Completed", id="success"),
        pytest.param("exit 3", 3, "Error", id="failure"),
        pytest.param("kill -TERM $$", 143, "Error", id="signal"),
    ],
)
def test_an_exit_code_becomes_the_terminated_state(pods: Pods, script: str, exit_code: int, reason: str) -> None:
    ended = pods.wait_end(pods.run(script)).containers[0].terminated
    assert ended is not None
    assert (ended["exitCode"], ended["reason"]) == (exit_code, reason)
    assert ended.get("signal") == (15 if exit_code == 143 else None)
    assert ended["startedAt"] <= ended["finishedAt"]


def test_a_program_that_is_not_there_is_a_start_error_in_a_runtimes_words(pods: Pods) -> None:
    directory = pods.home / "nope"
    directory.mkdir()
    pods.directories.append(directory)
    container = ContainerPlan("c0", ["no-such-program"], {"PATH": "/bin"}, str(directory), str(directory / "m"))
    pods.runtime.start(directory, PodPlan("u", "p", "ns", "127.0.0.1", "Never", 1, None, [], [container]))
    ended = pods.wait_end(directory).containers[0].terminated
    assert ended is not None
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert 'exec: "no-such-program": executable file not found in $PATH' in ended["message"]


def test_init_containers_run_one_after_the_other_before_the_containers(pods: Pods) -> None:
    directory = pods.run("cat order; echo app", init=("sleep 0.2; echo first >> order", "echo second >> order"))
    report = pods.wait_end(directory)
    assert [text for _, _, text in entries(directory)] == ["first", "second", "app"]
    assert all((c.terminated or {})["exitCode"] == 0 for c in report.all_containers())


def test_a_failed_init_container_fails_the_pod_and_nothing_else_starts(pods: Pods) -> None:
    report = pods.wait_end(pods.run("echo app", init=("exit 4",)))
    assert (report.init_containers[0].terminated or {})["exitCode"] == 4
    assert report.containers[0].state == {"waiting": {"reason": "PodInitializing"}}


def test_containers_run_side_by_side(pods: Pods) -> None:
    directory = pods.run("until test -f other; do sleep 0.01; done", "touch other")
    assert all((c.terminated or {})["exitCode"] == 0 for c in pods.wait_end(directory).containers)


def test_a_failed_container_is_restarted_on_failure_and_keeps_its_last_state(pods: Pods) -> None:
    directory = pods.run("test -f again && exit 0; touch again; echo trying; exit 7", policy="OnFailure")
    container = pods.wait_end(directory).containers[0]
    assert container.restart_count == 1
    assert (container.terminated or {})["exitCode"] == 0
    assert container.last_state["terminated"]["exitCode"] == 7
    assert entries(directory, run=0) == [("stdout", True, "trying")]
    assert entries(directory, run=1) == []


def test_a_container_that_fails_again_waits_in_crash_loop_back_off(pods: Pods) -> None:
    directory = pods.run("exit 1", policy="Always")
    report = pods.wait(
        directory, lambda r: "waiting" in r.containers[0].state and r.containers[0].last_state, "back-off"
    )
    waiting = report.containers[0].state["waiting"]
    assert waiting["reason"] == "CrashLoopBackOff"
    assert waiting["message"].startswith("back-off 10s restarting failed container=c0 pod=p_ns(")
    pods.runtime.stop(directory, 5)
    assert (pods.wait_end(directory).containers[0].terminated or {})["exitCode"] == 1


def test_the_back_off_doubles_to_five_minutes_and_a_long_run_clears_it() -> None:
    back_off = BackOff()
    assert [back_off.after(1) for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
    assert [back_off.after(601), back_off.after(1)] == [0, 10]


def test_stopping_sends_term_and_waits_for_the_container(pods: Pods) -> None:
    directory = pods.run("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", grace=30)
    pods.wait_running(directory)
    wait_for_text(directory / "c0" / "0.log")
    pods.runtime.stop(directory, 30)
    assert (pods.wait_end(directory).containers[0].terminated or {})["exitCode"] == 0
    assert [text for stream, _, text in entries(directory) if stream == "stdout"] == ["up", "bye"]


def test_what_ignores_term_is_killed_after_the_grace_period(pods: Pods) -> None:
    directory = pods.run("trap '' TERM; echo up; while :; do sleep 0.05; done")
    pods.wait_running(directory)
    wait_for_text(directory / "c0" / "0.log")
    began = time.monotonic()
    pods.runtime.stop(directory, 1)
    ended = pods.wait_end(directory).containers[0].terminated or {}
    assert (ended["exitCode"], ended["signal"]) == (137, 9)
    assert 0.9 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    "detach",
    [
        pytest.param("(trap '' TERM HUP; exec sleep 300) &", id="background"),
        pytest.param("setsid sleep 300 &", id="own session"),
        pytest.param("(setsid sh -c 'setsid sleep 300 & exit' &) ", id="daemon"),
    ],
)
def test_nothing_is_left_behind_when_a_container_ends(pods: Pods, detach: str) -> None:
    directory = pods.run(f"{detach}\necho started; sleep 0.3")
    pods.wait_end(directory)
    assert entries(directory) == [("stdout", True, "started")]
    assert processes_of(directory) == []


def test_the_deadline_ends_the_pod_and_is_its_reason(pods: Pods) -> None:
    report = pods.wait_end(pods.run("sleep 60", deadline=time.time() + 0.5))
    assert report.reason == "DeadlineExceeded"
    assert (report.containers[0].terminated or {})["exitCode"] == 143


def test_the_termination_message_is_the_end_of_its_file(pods: Pods) -> None:
    directory = pods.run("""py:import os; open(os.environ['LOG'], 'w').write('x' * 5000 + 'the reason')""")
    message = (pods.wait_end(directory).containers[0].terminated or {})["message"]
    assert len(message) == 4096
    assert message.endswith("xxthe reason")


def test_the_log_stands_in_for_a_missing_termination_message_of_a_failure(pods: Pods) -> None:
    directory = pods.run("echo first; echo 'out of memory' >&2; exit 1", fallback=True)
    message = (pods.wait_end(directory).containers[0].terminated or {})["message"]
    assert "out of memory\n" in message


def test_a_supervisor_that_is_killed_is_noticed_and_what_it_ran_is_ended(pods: Pods) -> None:
    directory = pods.run("setsid sleep 300 & sleep 300")
    report = pods.wait_running(directory)
    pods.wait(directory, lambda _: len(processes_of(directory)) >= 3, "all processes are there")
    os.kill(report.supervisor_pid, signal.SIGKILL)
    report = pods.wait_end(directory)
    assert report.reason == "SupervisorLost"
    assert (report.containers[0].terminated or {})["reason"] == "ContainerStatusUnknown"
    until = time.monotonic() + SECONDS
    while processes_of(directory) and time.monotonic() < until:
        time.sleep(0.01)
    assert processes_of(directory) == []


def test_another_runtime_finds_a_pod_and_its_end(pods: Pods) -> None:
    directory = pods.run("sleep 0.5; exit 5")
    pods.wait_running(directory)
    pods.runtime = ProcessRuntime()
    assert (pods.wait_end(directory).containers[0].terminated or {})["exitCode"] == 5


def test_removing_a_pod_kills_it_and_deletes_its_directory(pods: Pods) -> None:
    directory = pods.run("trap '' TERM; while :; do sleep 0.05; done")
    pods.wait_running(directory)
    pods.runtime.remove(directory)
    assert not directory.exists()
    assert processes_of(directory) == []


def test_a_full_log_moves_aside_and_the_oldest_text_goes(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    writer = LogWriter(log, rotate_bytes=1000)
    for number in range(1000):
        writer.feed("stdout", b"line %d\n" % number)
    writer.close()
    files = [*rotated(log), log]
    assert len(files) == ROTATED_FILES + 1
    assert all(file.stat().st_size <= 1000 for file in files)
    kept = [line.split(" ", 3)[3] for file in files for line in file.read_text().splitlines()]
    assert kept == [f"line {number}" for number in range(1000 - len(kept), 1000)]
    assert len(kept) > 100


def test_a_very_long_line_is_logged_in_parts(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "0.log")
    writer.feed("stdout", b"x" * 40000 + b"\n")
    writer.close()
    found = [parse_entry(line) for line in (tmp_path / "0.log").read_bytes().splitlines()]
    assert [(len(entry.text), entry.whole) for entry in found if entry] == [
        (16384, False),
        (16384, False),
        (7232, True),
    ]


def test_a_pod_whose_directory_is_removed_by_hand_ends(pods: Pods) -> None:
    directory = pods.run("sleep 0.5; exit 1", "sleep 300", policy="OnFailure")
    report = pods.wait(directory, lambda r: all(c.running for c in r.containers), "both run")
    shutil.rmtree(directory)
    until = time.monotonic() + SECONDS
    while processes.is_alive(report.supervisor_pid, report.supervisor_mark):
        if time.monotonic() > until:
            pytest.fail("the supervisor goes on")
        time.sleep(0.01)
    assert processes_of(directory) == []
