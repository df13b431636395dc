"""Limits of CPU and memory, by control groups where they can be made, else by watching."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cpod_jupyter.engine.kubelet import memory
from cpod_jupyter.engine.kubelet.cgroups import Group, find_parents
from cpod_jupyter.engine.kubelet.plan import ContainerPlan, PodPlan, PodReport
from cpod_jupyter.engine.kubelet.runtime import POD_UID_ENV

from .test_supervisor import Pods

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits are held on Linux")

MIB = 2**20
HOG = "import time\nkept = []\nfor _ in range({mib} // 8): kept.append(bytearray(b'x' * 8 * 2**20))\ntime.sleep(2)"


@pytest.fixture
def without_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose control groups may not be written: supervisors find none."""
    hook = tmp_path / "site"
    hook.mkdir()
    text = "import cpod_jupyter.engine.kubelet.cgroups as c\nc.find_parents = lambda *_: c.Parents()\n"
    (hook / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(hook), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def pods(tmp_path: Path) -> Pods:
    return Pods(tmp_path)


def run(pods: Pods, *argv: str, **limits: float) -> PodReport:
    directory = pods.home / "limited"
    directory.mkdir()
    env = {"PATH": os.environ["PATH"], POD_UID_ENV: "limited"}
    memory_limit, cpu_limit = int(limits.get("memory", 0)), limits.get("cpu", 0.0)
    container = ContainerPlan(
        "c0", list(argv), env, str(directory), str(directory / "m"), memory_limit=memory_limit, cpu_limit=cpu_limit
    )
    pods.runtime.start(directory, PodPlan("limited", "p", "ns", "127.0.0.1", "Never", 5, None, [], [container]))
    report = pods.wait_end(directory)
    pods.runtime.remove(directory)
    return report


def ended(report: PodReport) -> tuple[int, str]:
    found = report.containers[0].terminated or {}
    return found["exitCode"], found["reason"]


def hog(mib: int) -> tuple[str, ...]:
    return sys.executable, "-c", HOG.format(mib=mib)


def test_a_program_that_outgrows_its_memory_limit_is_oom_killed(pods: Pods) -> None:
    assert ended(run(pods, *hog(256), memory=64 * MIB)) == (137, "OOMKilled")


def test_a_program_within_its_memory_limit_completes(pods: Pods) -> None:
    assert ended(run(pods, *hog(16), memory=256 * MIB)) == (0, "Completed")


def test_without_control_groups_the_supervisor_holds_the_limit(pods: Pods, without_groups: None) -> None:
    report = run(pods, "sh", "-c", f'{sys.executable} -c "$0" & wait', HOG.format(mib=256), memory=64 * MIB)
    assert ended(report) == (137, "OOMKilled")


def test_without_control_groups_a_program_within_its_limit_completes(pods: Pods, without_groups: None) -> None:
    assert ended(run(pods, *hog(16), memory=256 * MIB)) == (0, "Completed")


def test_pages_that_processes_share_count_once() -> None:
    mine = memory.used([os.getpid()], limit=2**60)
    assert mine > 0
    assert memory.used([os.getpid()] * 2, limit=2**60) > mine
    assert memory.used([os.getpid()], limit=1) <= mine + MIB


def test_a_limit_of_cpu_is_the_containers_quota(pods: Pods) -> None:
    parents = find_parents()
    if not parents.offers("cpu"):
        pytest.skip("no control group for CPU can be made here")
    group = Group(parents, f"cpod-test-{os.getpid()}", 0, 0.5)
    try:
        files = [path for d in group.directories for name in ("cpu.max", "cpu.cfs_quota_us") for path in d.glob(name)]
        assert [path.read_text().split()[0] for path in files] == ["50000"]
    finally:
        group.remove()
    assert not any(directory.exists() for directory in group.directories)
    spin = "import time\nt = time.process_time()\ne = time.monotonic() + 1\nwhile time.monotonic() < e: pass\n"
    report = run(pods, sys.executable, "-c", spin + "import sys; sys.exit(time.process_time() - t > 0.8)", cpu=0.2)
    assert ended(report) == (0, "Completed")
