"""A smoke run from its preparation to its judgement; what it says is for a person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta, scheduling
from cpod_jupyter.api.finetune import FineTuneSpec
from cpod_jupyter.api.names import same_storage
from cpod_jupyter.api.planning import ModelShape
from cpod_jupyter.api.resources import CONFIGMAPS, FINETUNES, NODES, PVCS, SECRETS, Object, Resource, of_object
from cpod_jupyter.engine.imagemap import ImageMap
from cpod_jupyter.engine.kubelet.images import Images
from cpod_jupyter.errors import CpodError, Interrupted, NotFound, WaitTimeout, WorkFailed
from cpod_jupyter.operator.builders import plan as planning
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.sdk import attach
from cpod_jupyter.sdk.apply import discard, is_same
from cpod_jupyter.sdk.diagnose import Diagnosis, look
from cpod_jupyter.sdk.handles import Job, Show
from cpod_jupyter.sdk.kinds import RUN_ONCE, word_of
from cpod_jupyter.sdk.preflight.asks import GPU, PRODUCT, Named, named_storages, secrets_of
from cpod_jupyter.sdk.preflight.gather import gather
from cpod_jupyter.sdk.preflight.storages import base_of, storage_of
from cpod_jupyter.sdk.smoke import pods
from cpod_jupyter.sdk.smoke.build import STEPS, Here, Smoke, Stand, build, is_smoke, smoke_name, written_name
from cpod_jupyter.sdk.smoke.stand import Ask, Machine, dataset_stand, model_stand
from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.states import State, Status
from cpod_jupyter.sdk.upload import upload
from cpod_jupyter.sdk.words import span

if TYPE_CHECKING:
    from cpod_jupyter.sdk.content import Content
    from cpod_jupyter.sdk.preflight.facts import Facts
    from cpod_jupyter.sdk.session import Session

TIMEOUT = 900.0
"""Seconds for all of it, the fetching of data included."""
_PROCESS = "process"


class SmokeInterrupted(Interrupted):
    """The following of a smoke run was interrupted."""

    def __init__(self, title: str) -> None:
        super().__init__(
            f"interrupted: nothing was submitted, and the smoke run {title} goes on\n"
            f"  to follow it:  %cpod follow {title} --context engine\n"
            f"  to stop it:    %cpod cancel {title} --context engine"
        )


@dataclass(frozen=True)
class Smoked:
    """A smoke run that passed. `handle` is the run on this machine; `seconds` from its submission."""

    title: str
    handle: Job
    seconds: float
    losses: tuple[float, ...]
    differs: tuple[str, ...]
    ended: bool = True
    """Whether it came to its end by itself; else it went on after its steps, and was ended."""

    def __repr__(self) -> str:
        told = f": loss {' → '.join(f'{loss:.3f}' for loss in self.losses)}" if self.losses else ""
        how = "" if self.ended else f"; it went on after step {STEPS} and was ended (it does not heed {pods.MAX_STEPS})"
        lines = [f"smoke of {self.title} passed on this machine in {span(self.seconds)}{told}{how}"]
        return "\n".join([*lines, *(f"  unlike the real run: {sentence}" for sentence in self.differs)])


def smoke_all(
    session: Session,
    objects: Sequence[Object],
    data: Sequence[Content | None] = (),
    *,
    new: bool = False,
    timeout: float = TIMEOUT,
    show: Show | None = None,
    tell: Callable[[str], None] = print,
) -> list[Smoked]:
    """Smoke each of the objects that runs once, before all of them are submitted; `tell` gets a text for each.

    `data` are those that are to be uploaded for each object. What the session's cluster has already, just so, is not
    smoked again, unless it is to run `new`. Raises CpodError where nothing can be smoked, AlreadyRun before anything is
    tried, and as `smoke` does.
    """
    pairs = zip(objects, data, strict=True) if data else map(attach.taken, objects)
    runs = [(obj, content) for obj, content in pairs if of_object(obj) in RUN_ONCE]
    if not runs:
        raise CpodError(
            "there is nothing to smoke: a smoke run is for what runs once, a finetune, a job, a training job"
        )
    judged = not new and session.engine is None
    there = [judged and is_same(session.client, obj) for obj, _ in runs]
    found = []
    for (obj, content), is_there in zip(runs, there, strict=True):
        if is_there:
            tell(f"{session.title(obj)} is as submitted before, and is not smoked again")
            continue
        found.append(smoke(session, obj, content, among=objects, timeout=timeout, show=show))
        tell(repr(found[-1]))
    if session.engine is not None:
        tell("to run it whole: the same without --smoke, or with --context for a cluster")
    return found


def smoke(
    session: Session,
    obj: Object,
    data: Content | None = None,
    *,
    among: Sequence[Object] = (),
    timeout: float = TIMEOUT,
    show: Show | None = None,
) -> Smoked:
    """Try a checked object out in two steps on this machine's engine; `show` gets each snapshot.

    `data` are those whose name stands where its dataset is named. `among` is what will be submitted with it: storages
    in it count as there. An earlier smoke run of the same name is removed first. Raises WorkFailed with the diagnosis
    when the smoke fails, CpodError when there can be none.
    """
    if data is None:
        obj, data = attach.taken(obj)
    engine, made = prepared(session, obj, among, data)
    begun = time.monotonic()
    _clean(engine, made)
    if data is not None:
        upload(engine, data, data.name, namespace=meta.namespace_of(made.obj))
    for storage in made.storages:
        engine.submit(storage)
    handle, _ = engine.submit(made.obj)
    assert isinstance(handle, Job)
    last, ended = _followed(engine, handle, obj, timeout, show or (lambda _: None))
    losses = tuple(float(row["loss"]) for row in last.metrics[:STEPS] if isinstance(row.get("loss"), (int, float)))
    return Smoked(session.title(obj), handle, time.monotonic() - begun, losses, made.differs, ended)


def prepared(
    session: Session, obj: Object, among: Sequence[Object] = (), data: Content | None = None
) -> tuple[Session, Smoke]:
    """The session of this machine's engine, which is started if need be, and the smoke to be run in it.

    Raises CpodError for an object that cannot be smoked, with the reason.
    """
    resource = _resource(obj)
    if resource not in RUN_ONCE:
        words = ", ".join(word_of(kind) for kind in RUN_ONCE[:2])
        raise CpodError(f"a {word_of(resource)} cannot be smoked; what runs once can: {words}, a training job")
    engine = session if session.engine is not None else _engine_of(session)
    namespace = (meta.namespace_of(obj) if engine is session else "") or engine.namespace
    nodes = engine.client.list(NODES).items
    here = _here(nodes)
    small = build(resource, obj, here, namespace).obj

    def fits(shape: ModelShape) -> bool:
        return resource != FINETUNES or _fits(small, shape, nodes)

    machine = Machine(here, namespace, lambda name: engine.client.has(SECRETS, name, namespace), fits)
    asked = list(named_storages(resource, obj))
    stands: dict[str, Stand] = {}
    if asked:
        facts = gather(session, obj)
        own = None if engine is session else gather(engine, _in_namespace(obj, namespace))
        for named in asked:
            if data is not None and (named.kind, named.name) == (data.kind, data.name):
                stands[named.kind] = Stand(named.name)
                continue
            ask = _ask(named, obj, facts, own, among)
            stands[named.kind] = (model_stand if named.kind == "model" else dataset_stand)(ask, machine)
    _check_images(engine, resource, obj)
    if engine is not session:
        _check_parts(engine, obj)
    return engine, build(resource, obj, here, namespace, stands.get("model"), stands.get("dataset"))


def _resource(obj: Object) -> Resource:
    resource = of_object(obj)
    assert resource is not None, "checked objects have a known kind"
    return resource


def _engine_of(session: Session) -> Session:
    engine = type(session)("engine")
    engine.namespace = engine.client.namespace  # CPOD_NAMESPACE names one of the cluster
    return engine


def _in_namespace(obj: Object, namespace: str) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


def _fits(finetune: Object, shape: ModelShape, nodes: Sequence[Object]) -> bool:
    """Whether a fine-tune of such a model goes into this machine's memory, by the operator's plan."""
    device = planning.device_of(FineTuneSpec.model_validate(finetune["spec"]), None, nodes, Settings())
    plan = planning.plan_of(finetune, planning.facts_for(device, nodes, shape))
    return plan is None or plan.fits


def _here(nodes: Sequence[Object]) -> Here:
    gpus = sum(int(scheduling.allocatable(node, GPU)) for node in nodes)
    products = {str((node["metadata"].get("labels") or {}).get(PRODUCT) or "") for node in nodes}
    return Here(gpus, frozenset(products - {""}))


def _ask(named: Named, obj: Object, facts: Facts, own: Facts | None, among: Sequence[Object]) -> Ask:
    sent = next((item for item in among if _is_named(named, item)), None)
    there, model = base_of(facts) if named.catalogue else (storage_of(facts, named), None)
    mine = storage_of(own, replace(named, public=False)) if own is not None else None
    if mine is not None and is_smoke(mine):
        mine = None
    there = sent or there
    return Ask(written_name(obj), named.kind, named.name, there, mine, model, at_hand=own is None and sent is None)


def _is_named(named: Named, item: Object) -> bool:
    kinds = {"model": "ModelStorage", "dataset": "DataSetStorage"}
    return item.get("kind") == kinds[named.kind] and same_storage(named.name, meta.name_of(item))


def _check_images(engine: Session, resource: Resource, obj: Object) -> None:
    """Raises CpodError for an image that stands for nothing on this machine: another program would be tried."""
    assert engine.engine is not None
    if engine.engine.runtime != _PROCESS:
        return
    known = Images(ImageMap(engine.engine.home))
    for image in pods.images(resource, obj.get("spec") or {}):
        if not known.is_here(image):
            raise CpodError(
                f'{written_name(obj)} cannot be smoked: the image "{image}" stands for nothing on this machine; name a '
                f"virtual environment that has what is in it: cpod images map {image} PATH, or run real images: "
                "cpod down, then cpod up --runtime podman"
            )


def _check_parts(engine: Session, obj: Object) -> None:
    """Raises CpodError for claims, Secrets and ConfigMaps of the cluster that the engine has not."""
    wanted = [(SECRETS, name) for name in sorted(secrets_of(obj))]
    wanted += [(PVCS, name) for name in sorted(_named_in(obj.get("spec"), "persistentVolumeClaim", "claimName"))]
    maps = _named_in(obj.get("spec"), "configMap", "name") | _named_in(obj.get("spec"), "configMapRef", "name")
    if isinstance(given := (obj.get("spec") or {}).get("configMap"), str) and given:
        maps.add(given)
    wanted += [(CONFIGMAPS, name) for name in sorted(maps)]
    missing = [f"{kind.kind} {name}" for kind, name in wanted if not engine.client.has(kind, name, engine.namespace)]
    if missing:
        raise CpodError(
            f"{written_name(obj)} cannot be smoked: it uses the {', the '.join(missing)} of the cluster, and this "
            f"machine's engine has none of that name in namespace {engine.namespace}; make one there "
            "(KUBECONFIG=$(cpod kubeconfig) kubectl create …), or submit it without --smoke"
        )


def _named_in(node: Any, field: str, key: str) -> set[str]:
    """The names that mappings under `field` give, wherever they are."""
    if isinstance(node, list):
        return set().union(*(_named_in(item, field, key) for item in node))
    if not isinstance(node, dict):
        return set()
    own = node.get(field)
    found = {str(own[key])} if isinstance(own, dict) and own.get(key) and not own.get("optional") else set()
    return found.union(*(_named_in(value, field, key) for value in node.values()))


def _clean(engine: Session, made: Smoke) -> None:
    """Remove an earlier smoke run of this name, with its result and its copies of data; what is shared stays."""
    own = smoke_name("")
    for obj in (made.obj, *(storage for storage in made.storages if meta.name_of(storage).endswith(own))):
        resource = _resource(obj)
        try:
            existing = engine.client.get(resource, meta.name_of(obj), meta.namespace_of(obj))
        except NotFound:
            pass
        else:
            if not is_smoke(existing):
                raise CpodError(
                    f"{engine.title(obj)} on this machine is no smoke run, and a smoke run would take its name; "
                    f"delete or rename it: %cpod delete {engine.title(obj)} --context engine"
                )
        discard(engine.client, resource, meta.name_of(obj), meta.namespace_of(obj))


def _followed(engine: Session, handle: Job, asked: Object, timeout: float, show: Show) -> tuple[Snapshot, bool]:
    """The last snapshot of a smoke that passed, and whether it ended by itself. Raises WorkFailed.

    It passes when it ends well; or when it tells of a step after the last that was wanted, or still goes on when its
    time is up and has told of those wanted: then it is ended.
    """
    last: Snapshot | None = None
    try:
        for last in handle.follow(timeout):
            show(last)
            if _beyond(last) and not last.state.final:
                break
    except KeyboardInterrupt:  # Detached is one; or it came while `show` was at work
        raise SmokeInterrupted(handle.title) from None
    except WaitTimeout as late:
        if last is None or len(last.metrics) < STEPS:
            handle.delete()
            raise WorkFailed(f"{late}; the smoke run was ended, and nothing was submitted") from late
    assert last is not None, "following ends with a snapshot, or raises"
    goes_on = not last.state.final
    if goes_on:
        last = _ended(handle, last)
        show(last)
    if last.state is State.FAILED:
        last = last.told(*look(engine.client, handle.resource, handle.name, handle.namespace, asked))
        show(last)
    if not last.state.good:
        raise _failure(engine.title(asked), handle, last)
    return last, not goes_on


def _beyond(snapshot: Snapshot) -> bool:
    rows = snapshot.metrics
    return bool(rows) and (len(rows) > STEPS or rows[-1]["step"] > STEPS)


def _ended(handle: Job, last: Snapshot) -> Snapshot:
    """End a run that has shown enough; what is known of it then, which may be that it has failed meanwhile."""
    status = handle.status
    if status.state is State.FAILED:
        return replace(last, status=status)
    if not status.state.final:
        handle.cancel()
    reason = f"{STEPS} steps went well; it did not stop after them, so it was ended"
    return replace(last, status=Status(State.SUCCEEDED, "Passed"), reason=reason, advice="")


def _failure(title: str, handle: Job, last: Snapshot) -> WorkFailed:
    """The failure with its diagnosis; the cell that mends is for what the person wrote."""
    if last.state is State.DELETED:
        return WorkFailed(f"{handle.title} was deleted while it was followed; nothing was submitted")
    found = last.diagnosis or Diagnosis(last.reason, last.evidence, last.advice)
    lines = [found.text(f"the smoke of {title} failed")]
    if found.fix:
        lines += ["  a cell that mends it:", *(f"    {line}" for line in found.fix.splitlines())]
    lines.append(f"  its log: %cpod logs {handle.title} --context engine; nothing was submitted")
    failed = WorkFailed("\n".join(lines))
    failed.diagnosis = last.diagnosis
    return failed
