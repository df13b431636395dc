"""Which rank the others waited for, when NCCL's collectives time out. Pure.

PyTorch's watchdog (ProcessGroupNCCL.cpp, `WorkNCCL::checkTimeout` and `watchdogHandler`) writes for each rank that
waits which collective it waits in, and the last one that it has enqueued. The rank that is to blame writes nothing,
since it hangs elsewhere or is gone, or it is behind the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.sdk.diagnose.facts import WIDTH, Diagnosis, Facts
from cpod_jupyter.sdk.pods import place_of, rank

_WAITED = re.compile(
    r"\[Rank (\d+)\] Watchdog caught collective operation timeout: WorkNCCL\(SeqNum=(\d+), OpType=(\w+)"
    r"(?:.*?Timeout\(ms\)=(\d+))?"
)
_ENQUEUED = re.compile(r"Rank (\d+)\].*?last enqueued (?:NCCL )?work: (\d+)")
_SHOWN = 4


@dataclass
class _Report:
    """What a rank says: the collective it waited in, for how long (seconds), and how far it had come."""

    number: int
    kind: str
    seconds: int
    line: str
    enqueued: int = 0


def timed_out(facts: Facts) -> Diagnosis | None:
    """The rank that the others waited for; that they waited, where the logs do not tell for which."""
    reports = _reports(facts)
    if not reports:
        return None
    places = _places(facts, max(reports) + 1)
    waited = next(iter(reports.values()))
    work = f"{waited.kind} number {waited.number}"
    time = f" for {waited.seconds} s" if waited.seconds else ""
    silent = [number for number in places if number not in reports and places[number] is not None]
    furthest = max(report.enqueued for report in reports.values())
    behind = [number for number, report in reports.items() if report.enqueued < furthest]
    evidence = tuple(report.line.strip()[:WIDTH] for report in list(reports.values())[:_SHOWN])
    if silent and len(silent) < len(places):
        who = _named(silent, places)
        cause = f"NCCL timed out: {who} never came to {work}, where the others waited{time}"
        advice = (
            f"read its log (%cpod logs {meta.name_of(facts.family.root)}{_option(places, silent)}): it hung or ended"
        )
    elif behind:
        who = _named(behind, places)
        reached = min(reports[number].enqueued for number in behind)
        cause = f"NCCL timed out: {who} had come to work {reached} only, the others to {furthest}"
        advice = "it is slower, or has fewer batches than the others: give each rank as many, and look at its log"
    elif len(reports) > 1 and len(reports) >= len(places):
        cause = f"NCCL timed out: every rank waited in {work}{time}, so what lies between them failed"
        advice = "set NCCL_DEBUG=INFO and NCCL_SOCKET_IFNAME, and look at the network and the GPUs (nvidia-smi)"
    else:
        cause = f"the GPUs lost each other: rank {next(iter(reports))} waited in {work}{time} until NCCL timed out"
        advice = "look for a rank that is not among those that report it: it hung, or never joined"
    return Diagnosis(cause, evidence, advice, rule="nccl")


def _reports(facts: Facts) -> dict[int, _Report]:
    found: dict[int, _Report] = {}
    for _, lines in facts.lines():
        for line in lines:
            if "timeout" in line and (match := _WAITED.search(line)):
                number = int(match[1])
                report = _Report(int(match[2]), match[3], int(match[4] or 0) // 1000, line, int(match[2]))
                found.setdefault(number, report)
            elif "last enqueued" in line and (match := _ENQUEUED.search(line)) and int(match[1]) in found:
                found[int(match[1])].enqueued = int(match[2])
    return dict(sorted(found.items()))


def _places(facts: Facts, least: int) -> dict[int, str | None]:
    """Each rank's pod (`worker-1`), None for one whose log was not read: then it may have said what nobody saw."""
    pods = sorted((pod for pod in facts.pods() if _world(pod)), key=rank)
    size = max([least, *map(_world, pods)])
    each = max(1, size // len(pods)) if pods else size
    found: dict[int, str | None] = {}
    for number in range(size):
        pod = pods[number // each] if number // each < len(pods) else None
        found[number] = place_of(pod) if pod is not None and facts.logs.get(meta.name_of(pod)) is not None else None
    return found


def _world(pod: Object) -> int:
    """How many ranks there are, from what torchrun and torch.distributed are told; 0 where it is not said."""
    values = dict(_environment(pod))
    if values.get("PET_NNODES", "").isdigit() and values.get("PET_NPROC_PER_NODE", "").isdigit():
        return int(values["PET_NNODES"]) * int(values["PET_NPROC_PER_NODE"])
    return int(values["WORLD_SIZE"]) if values.get("WORLD_SIZE", "").isdigit() else 0


def _environment(pod: Object) -> Iterator[tuple[str, str]]:
    for container in pod["spec"].get("containers") or []:
        for entry in container.get("env") or []:
            yield str(entry.get("name")), str(entry.get("value") or "")


def _named(numbers: list[int], places: dict[int, str | None]) -> str:
    told = [f"rank {number}" + (f" ({place})" if (place := places.get(number)) else "") for number in numbers[:_SHOWN]]
    more = [f"{len(numbers) - _SHOWN} more"] if len(numbers) > _SHOWN else []
    *first, last = told + more
    return f"{', '.join(first)} and {last}" if first else last


def _option(places: dict[int, str | None], numbers: list[int]) -> str:
    place = places.get(numbers[0])
    return f" --pod {place}" if place else ""
