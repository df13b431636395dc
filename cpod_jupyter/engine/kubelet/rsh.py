"""A remote shell for mpirun, between the pods of one machine: runs a command in the pod that has an address.

    python -m cpod_jupyter.engine.kubelet.rsh --pods DIRECTORY --namespace NAME [--container NAME] -- HOST COMMAND…

It stands where a cluster has ssh or `kubectl exec`. HOST is the pod's address or name, options of ssh before it
are passed over, and the command goes to a shell, as ssh has it. What is started is the pod's: it has the
environment of the pod's container, is counted with it, and ends with it; and it ends when this program does.
Standard library only. It needs no engine: plans and reports of pods are files.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from cpod_jupyter.engine.kubelet import processes
from cpod_jupyter.engine.kubelet.commands import exec_request
from cpod_jupyter.engine.kubelet.keeper import Request
from cpod_jupyter.engine.kubelet.plan import PodPlan, PodReport

WAIT_SECONDS = 300.0
"""How long a pod may take to run; its node may still be busy. `kubectl-delivery` waits as long."""
_POLL_SECONDS = 0.1
_SESSION_ENV = ("OMPI_MCA_orte_tmpdir_base", "PRTE_MCA_prte_tmpdir_base")
"""Open MPI's daemons share a directory on a machine and overwrite each other's files there, so each has its own.
It must be short: sockets are made below it, whose paths are limited to some 100 characters."""
_SESSION_PREFIX = "cpod-mpi-"
_WITH_VALUE = frozenset("bcDEeFIiJLlmOopQRSWw")
"""Options of ssh(1) that take a value."""
_FAILED = 255
"""ssh's exit code for an error of its own."""


def split_ssh(words: list[str]) -> tuple[str, str]:
    """The host and the command of an ssh command line. Raises ValueError when there is no host or no command."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        option = words[at]
        at += 2 if len(option) == 2 and option[1] in _WITH_VALUE else 1
    if len(words) - at < 2:
        raise ValueError(f"a host and a command are needed, not {' '.join(words) or 'nothing'}")
    return words[at].rpartition("@")[2], " ".join(words[at + 1 :])


def find_request(pods: Path, namespace: str, container: str, host: str, command: str) -> Request | None:
    """The command in the running container of the pod that HOST means; None while none runs."""
    for directory in pods.glob(f"{namespace}_*"):
        with contextlib.suppress(OSError, ValueError):
            plan, report = PodPlan.read(directory), PodReport.read(directory)
            if plan is None or report is None or not _is_meant(plan, host):
                continue
            for planned, reported in zip(plan.containers, report.containers, strict=True):
                if planned.name == (container or plan.containers[0].name) and reported.running:
                    return exec_request(planned, reported, ["/bin/sh", "-c", command], tty=False)
    return None


def _is_meant(plan: PodPlan, host: str) -> bool:
    """By its address, its name, or its name in a domain: `JOB-worker-0.JOB.NAMESPACE.svc`."""
    return host in (plan.pod_ip, plan.name) or host.startswith(f"{plan.name}.")


def run(request: Request) -> int:
    """Have a keeper run the request on this program's own streams; the exit code."""
    ours, theirs = socket.socketpair()
    with theirs:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "cpod_jupyter.engine.kubelet.keeper", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    keeper.returncode = 0  # what the command leaves in the background is the pod's, and not waited for
    with ours, ours.makefile("rb") as answers:
        ours.sendall(request.to_line())
        for line in answers:
            answer = json.loads(line)
            if "error" in answer:
                print(f"rsh: {answer['error']}", file=sys.stderr)
                return _FAILED
            if "exit" in answer:
                return int(answer["exit"])
    print("rsh: the process that was to keep the command ended", file=sys.stderr)
    return _FAILED


def _session_directory() -> str:
    """A directory of this program's own; those of programs that were killed go first."""
    base = Path("/tmp") if os.path.isdir("/tmp") else Path(tempfile.gettempdir())
    for left in base.glob(f"{_SESSION_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(left.name.removeprefix(_SESSION_PREFIX).partition("-")[0])
            if left.stat().st_uid == os.getuid() and processes.start_mark(pid) is None:
                shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{_SESSION_PREFIX}{os.getpid()}-", dir=base)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rsh")
    parser.add_argument("--pods", type=Path, required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--container", default="")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    return parser.parse_args()


def main() -> int:
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    words = given.words[1:] if given.words[:1] == ["--"] else given.words
    try:
        host, command = split_ssh(words)
    except ValueError as error:
        print(f"rsh: {error}", file=sys.stderr)
        return _FAILED
    until = time.monotonic() + WAIT_SECONDS
    while (request := find_request(given.pods, given.namespace, given.container, host, command)) is None:
        if time.monotonic() > until:
            print(f"rsh: no pod of namespace {given.namespace} runs at {host}", file=sys.stderr)
            return _FAILED
        time.sleep(_POLL_SECONDS)
    session = _session_directory()
    try:
        return run(replace(request, env={**dict.fromkeys(_SESSION_ENV, session), **request.env}))
    finally:
        shutil.rmtree(session, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
