"""Handles: an object of the API as a Python user holds it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    INFERENCES,
    JOBS,
    TRAINING_KINDS,
    TRAINJOBS,
    Object,
    Resource,
)
from cpod_jupyter.errors import CpodError, NotFound, WorkFailed
from cpod_jupyter.sdk.apply import remove, submit
from cpod_jupyter.sdk.diagnose import Diagnosis, look
from cpod_jupyter.sdk.follow import Detached, Follower
from cpod_jupyter.sdk.history import History, LogLine
from cpod_jupyter.sdk.kinds import RUN_ONCE, word_of
from cpod_jupyter.sdk.logs import log_lines
from cpod_jupyter.sdk.pods import Family, place_of, whole
from cpod_jupyter.sdk.reading import LogQuery, LogReader, Tell, to_standard_error
from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.states import State, Status, result_of, status_of
from cpod_jupyter.sdk.tracker import Tracker
from cpod_jupyter.sdk.view import bundle

if TYPE_CHECKING:
    import pandas as pd

    from cpod_jupyter.client.client import Client
    from cpod_jupyter.sdk.deployment import Deployment

HandleT = TypeVar("HandleT", bound="Handle")

Show = Callable[[Snapshot], None]
"""Called with each snapshot while something is followed."""


class Handle:
    """One object. What it says of it is read from the API when asked; `object` is as last read."""

    def __init__(self, client: Client, obj: Object, resource: Resource) -> None:
        self._client = client
        self.resource = resource
        self.object = obj

    @property
    def kind(self) -> str:
        return self.resource.kind

    @property
    def name(self) -> str:
        return meta.name_of(self.object)

    @property
    def namespace(self) -> str:
        return meta.namespace_of(self.object)

    @property
    def context(self) -> str:
        """The context that it lives in; `engine` for the one on this machine."""
        return self._client.context

    @property
    def title(self) -> str:
        """`finetune/facts`."""
        return f"{word_of(self.resource)}/{self.name}"

    @property
    def status(self) -> Status:
        """How far it has come, now. Raises NotFound when it was deleted."""
        return status_of(self.refresh().object, self.resource)

    def refresh(self: HandleT) -> HandleT:
        """Read the object again."""
        self.object = self._client.get(self.resource, self.name, self.namespace)
        return self

    def family(self) -> Family:
        """The object with all that was made for it, read now."""
        return Family.read(self._client, self.resource, self.name, self.namespace)

    def families(self) -> Generator[Family]:
        """The same, whenever something of it has changed: see `Follower.families`."""
        return Follower(self._client, self.resource, self.name, self.namespace).families()

    def snapshot(self) -> Snapshot:
        """What is known of it now, with its log as far as it was written."""
        family = self.family()
        tracker = Tracker(family, lambda: Follower(self._client, self.resource, self.name, self.namespace).nodes())
        culprit = family.culprit() if status_of(family.root, self.resource).state is State.FAILED else None
        place, lines = log_lines(self._client, family, first=culprit)
        for line in lines:
            tracker.history.add(line, place)
        snapshot = tracker.snapshot()
        if snapshot.diagnosis is None:
            return snapshot
        return snapshot.told(*look(self._client, self.resource, self.name, self.namespace))

    def events(self) -> list[Object]:
        """The events about it and all that was made for it, the oldest first."""
        return self.family().told()

    def follow(self, timeout: float | None = None) -> Iterator[Snapshot]:
        """Snapshots as things change; the last when it has come to an end.

        Raises WaitTimeout, and Detached when interrupted; the work goes on then.
        """
        return iter(Follower(self._client, self.resource, self.name, self.namespace, timeout=timeout))

    def wait(self: HandleT, timeout: float | None = None, show: Show | None = None) -> HandleT:
        """Return when it is done, or ready. Raises WorkFailed with the cause, WaitTimeout, Detached."""
        last: Snapshot | None = None
        try:
            for last in self.follow(timeout):
                if show is not None:
                    show(last)
        except Detached:
            raise
        except KeyboardInterrupt:  # it came while `show` was at work
            raise Detached(word_of(self.resource), self.name) from None
        assert last is not None, "following ends with a snapshot, or raises"
        if not last.state.good:
            failed = WorkFailed(failure_text(last))
            failed.diagnosis = last.diagnosis
            raise failed
        return self.refresh()

    def diagnose(self) -> Diagnosis | None:
        """Why it failed or is stuck, and the cell that would mend it; None when nothing is wrong with it."""
        try:
            return look(self._client, self.resource, self.name, self.namespace)[1]
        except NotFound:
            return None

    def pods(self) -> dict[str, Object]:
        """Its pods now, by role and index (`master-0`, `worker-1`), or by name where they have no role; the one that
        speaks for it first."""
        found: dict[str, Object] = {}
        for pod in self.family().pods():
            found.setdefault(place_of(pod), pod)  # the newest of a place, where an earlier one failed
        return found

    def logs(
        self,
        *,
        follow: bool = False,
        tail: int | None = None,
        raw: bool = False,
        pod: str = "",
        rank: int | None = None,
        all_ranks: bool = False,
        since: str | float = "",
        previous: bool = False,
    ) -> Iterator[str]:
        """Lines of the pod that speaks for it, or of `pod` (`worker-1`, or a pod's name), or of the pod of a rank (0
        speaks for the others), or of all ranks in the order of their times, each behind `worker-1 | `; with `follow`,
        on to the end, over lost connections and restarts. While there are no lines yet, standard error hears why.

        `since` is a length of time (`10m`, or seconds) or a moment (RFC 3339); `previous` means the container's run
        before its last restart. Records of progress and metrics are put in words; with `raw` they come as written.
        Raises NotFound for a pod that there is not, CpodError for options that exclude each other.
        """
        query = LogQuery(follow, tail, raw, pod, rank, all_ranks, since, previous)
        for lines in self.log_batches(query):
            for line in lines:
                yield f"{line.place} | {line.text}" if all_ranks else line.text

    def log_batches(self, query: LogQuery, tell: Tell = to_standard_error) -> Iterator[list[LogLine]]:
        """The same with the place of each line, in batches as they come; `tell` hears why there are none yet."""
        return LogReader(self._client, self.resource, self.name, self.namespace).batches(query, tell)

    def delete(self) -> None:
        """Delete it with all that was made for it; returns when it is gone."""
        remove(self._client, self.resource, self.name, self.namespace)

    def to_yaml(self) -> str:
        """The manifest that makes it again: what was asked for, without what the server added."""
        return to_yaml(self.object)

    def __repr__(self) -> str:
        return f"<{self.title} {status_of(self.object, self.resource)}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return bundle.of_snapshot(self.snapshot(), self.context)


class Storage(Handle):
    """A model or a dataset."""

    @property
    def size(self) -> int:
        """Bytes; 0 until it is there."""
        return int((self.refresh().object.get("status") or {}).get("size") or 0)


class Job(Handle):
    """A run: a fine-tune, a CPodJob, a job of a training kind, a Job."""

    @property
    def metrics(self) -> pd.DataFrame:
        """What its program reported, a row a step: loss, eval_loss, learning_rate, …

        From the records of our trainer, or from what others print (`sdk.metrics`).
        """
        import pandas as pd

        history = History(most=None)
        for line in self.logs(raw=True):
            history.add(line)
        rows = [{key: value for key, value in record.items() if key != "type"} for record in history.metrics]
        frame = pd.DataFrame(rows)
        return frame.set_index("step") if rows else frame

    @property
    def result(self) -> str:
        """The name of the ModelStorage that its result became. Raises CpodError when there is none yet."""
        name = result_of(self.refresh().object)
        if not name:
            raise CpodError(f"{self.title} has no result: it is {status_of(self.object, self.resource)}")
        return name

    def cancel(self) -> None:
        """Stop the work. Where the kind knows suspension (Kubeflow's kinds, TrainJob, Job) it is suspended, stays with
        its record, and can be resumed; the others (FineTune, CPodJob, KubeDL's) are deleted, because they have no
        such state. Raises CpodError when it is over already."""
        status = self.status
        if status.state.final:
            raise CpodError(f"{self.title} is over already ({status.phase}); to remove it: delete {self.name}")
        suspension = _suspension(self.resource, True)
        if suspension is None:
            self.delete()
        else:
            self._client.patch(self.resource, self.name, {"spec": suspension}, self.namespace)

    def resume(self) -> None:
        """Let a suspended job run on. Raises CpodError when its kind has no such state, or it is not suspended."""
        suspension = _suspension(self.resource, False)
        if suspension is None:
            raise CpodError(f"a {self.kind} cannot be suspended and resumed; submit it again")
        status, spec = self.status, self.object["spec"]
        if not (spec.get("runPolicy") or spec).get("suspend"):  # what was asked for: its controller may be behind
            raise CpodError(f"{self.title} is not suspended ({status.phase})")
        self._client.patch(self.resource, self.name, {"spec": suspension}, self.namespace)

    def rerun(self, name: str | None = None, **changes: Any) -> Job:
        """Run the same again beside it, with `changes` to the fields of its spec; returns at once.

        Without a name it is the next free one: `facts-2` of `facts`, then `facts-3`. Raises AlreadyRun for a name that
        another spec has.
        """
        self.refresh()
        wanted = {
            "apiVersion": self.object["apiVersion"],
            "kind": self.object["kind"],
            "metadata": {"name": name or self._next_name(), "namespace": self.namespace},
            "spec": {**_to_run(self.resource, self.object["spec"]), **changes},
        }
        stored, _ = submit(self._client, wanted)
        return type(self)(self._client, whole(stored, self.resource), self.resource)

    def _next_name(self) -> str:
        base = re.sub(r"-\d+$", "", self.name)
        number = 2
        while self._client.has(self.resource, f"{base}-{number}", self.namespace):
            number += 1
        return f"{base}-{number}"

    def deploy(self, name: str | None = None, **spec: Any) -> Deployment:
        """Deploy the result, under the job's name unless another is given; returns at once."""
        from cpod_jupyter.sdk.deployment import Deployment

        obj = {
            "apiVersion": INFERENCES.api_version,
            "kind": INFERENCES.kind,
            "metadata": {"name": name or self.name, "namespace": self.namespace},
            "spec": {"modelId": self.result, **spec},
        }
        stored, _ = submit(self._client, obj)
        return Deployment(self._client, stored, INFERENCES)


def _suspension(resource: Resource, suspend: bool) -> dict[str, Any] | None:
    """The change of a spec that suspends or resumes; None for kinds that know no suspension."""
    if resource in (JOBS, TRAINJOBS):
        return {"suspend": suspend}
    if resource in TRAINING_KINDS and resource.group == "kubeflow.org":
        return {"runPolicy": {"suspend": suspend}}
    return None


def _to_run(resource: Resource, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A job's spec for another one that runs: without a suspension, and without what names the pods of the first, which
    the server writes into a Job (its selector, and labels of its template)."""
    found = copy.deepcopy(dict(spec))
    if _suspension(resource, False) is not None:
        found.pop("suspend", None)
        (found.get("runPolicy") or {}).pop("suspend", None)
    if resource == JOBS and not found.get("manualSelector"):
        found.pop("selector", None)
        labels = (found["template"].get("metadata") or {}).get("labels") or {}
        for label in ("controller-uid", "job-name"):
            labels.pop(label, None)
            labels.pop(f"batch.kubernetes.io/{label}", None)
    return found


def failure_text(snapshot: Snapshot) -> str:
    """A failure as one message: the cause, the evidence, what to do, and the cell that mends it."""
    if snapshot.state is State.DELETED:
        return f"{snapshot.title} was deleted while it was followed"
    told = snapshot.diagnosis or Diagnosis(snapshot.reason, snapshot.evidence, snapshot.advice)
    lines = [told.text(f"{snapshot.title} failed")]
    if told.fix:
        lines += ["  a cell that mends it:", *(f"    {line}" for line in told.fix.splitlines())]
        lines.append(f"  %cpod fix {snapshot.name} puts that cell below")
    if snapshot.resource in RUN_ONCE:
        lines.append(f"  its log: %cpod logs {snapshot.name}; to run it again: the same cell with --new")
    return "\n".join(lines)


def to_yaml(obj: Object) -> str:
    """An object's manifest: identity and spec, without status and what the server keeps for itself."""
    metadata = {
        key: obj["metadata"][key] for key in ("name", "namespace", "labels", "annotations") if obj["metadata"].get(key)
    }
    kept = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    whole = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, **kept}
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
