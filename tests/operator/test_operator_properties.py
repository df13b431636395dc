"""Whatever the order of events, and whichever calls fail: the operator brings everything to the same end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operator_storm import Fault, Storm

from cpod_jupyter.api.resources import CPODJOBS, DATASETSTORAGES, FINETUNES, INFERENCES, MODELSTORAGES, Resource
from cpod_jupyter.engine.install import install
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Store
from cpod_jupyter.operator.settings import Settings

Wish = tuple[Resource, str, dict[str, Any]]
"""An object that a user creates: its kind, name and spec."""

MODEL: Wish = (MODELSTORAGES, "base", {"modelname": "hf://me/base"})
DATA: Wish = (DATASETSTORAGES, "facts", {"datasetname": "hf://me/facts"})
TUNE: Wish = (FINETUNES, "tune", {"model": "base", "dataset": "facts", "hyperParameters": {"n_epochs": "2"}})
JOB: Wish = (
    CPODJOBS,
    "train",
    {"jobType": "pytorch", "image": "me/train", "command": ["train"], "pretrainModelName": "base",
     "pretrainModelPath": "/model", "datasetName": "facts", "datasetPath": "/data", "modelSavePath": "/save",
     "ckptPath": "/ckpt"},
)  # fmt: skip
GENERAL: Wish = (CPODJOBS, "plain", {"image": "me/plain", "command": ["true"]})
SERVE: Wish = (INFERENCES, "served", {"modelId": "tune-cpodjob-modelsavestorage"})

FETCHED = {"size": 1000, "files": 3, "sha256": "ab"}
TRAINED = {"size": 2000, "adapter": False, "loss": 0.5, "steps": 8}

_DATA_FETCHED = {"dataset-facts": {**FETCHED, "rows": 12}}


@dataclass(frozen=True)
class Story:
    """Storages, then work that names them in any order, and how each job of the cluster ends."""

    storages: list[Wish]
    work: list[Wish]
    outcomes: Mapping[str, dict[str, Any] | str]
    compared: Callable[[str], bool] = lambda _: True
    """By KIND/NAME, what must be the same in the end."""


STORIES = {
    "a fine-tune and its deployment": Story(
        [MODEL, DATA], [TUNE, SERVE], {**_DATA_FETCHED, "model-base": FETCHED, "tune-cpodjob": TRAINED}
    ),
    "two jobs": Story([MODEL, DATA], [JOB, GENERAL], {**_DATA_FETCHED, "model-base": FETCHED, "train": TRAINED}),
    "a training that fails": Story(
        [MODEL, DATA],
        [TUNE, JOB],
        {**_DATA_FETCHED, "model-base": FETCHED, "tune-cpodjob": "row 3 has no answer", "train": "no such file"},
    ),
    "a model that cannot be fetched": Story(
        [MODEL, DATA],
        [TUNE, SERVE],
        {**_DATA_FETCHED, "model-base": "hf://me/base: no such repository"},
        # Whether the failure came before the work was asked for decides what was begun; not what is said.
        lambda name: name.startswith(("FineTune/", "Inference/", "ModelStorage/", "DataSetStorage/")),
    ),
}


class World:
    """One API for all the runs of this module, each in a namespace of its own, and how the stories should end."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.api = LocalApi(Objects(store, Kinds()))
        self.numbers = itertools.count()
        install(self.api)
        self.ends = {story: self.end_of(self.run(story, [], {}), story) for story in STORIES}

    def begin(self, faults: Mapping[int, Fault], outcomes: Mapping[str, dict[str, Any] | str]) -> Storm:
        """A namespace in which nothing has happened yet."""
        namespace = f"run-{next(self.numbers):05d}"
        return Storm(self.api, self.store, namespace, Settings(runtime_image="runtime:test"), faults, outcomes)

    def run(self, story: str, choices: list[int], faults: Mapping[int, Fault]) -> Storm:
        """A story to its end, its events in the order that the choices give."""
        run = self.begin(faults, STORIES[story].outcomes)
        carry_out(run, STORIES[story], choices)
        run.end()
        return run

    def end_of(self, run: Storm, story: str) -> dict[str, Any]:
        """What there is in the end, as far as the story compares it."""
        return {name: state for name, state in run.end_state().items() if STORIES[story].compared(name)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store = Store(tmp_path_factory.mktemp("storm") / "objects.db")
    yield World(store)
    store.close()


def create(run: Storm, wish: Wish) -> None:
    resource, name, spec = wish
    metadata = {"name": name, "namespace": run.namespace}
    run.api.create(
        resource, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}
    )
    run.notice()


def take_up(run: Storm, wishes: list[Wish], choice: int) -> None:
    create(run, wishes.pop(choice % len(wishes)))


def carry_out(run: Storm, story: Story, choices: list[int]) -> None:
    """The story, its events in the order that the choices give; then on to the end."""
    storages, work = list(story.storages), list(story.work)
    play(run, storages, work, choices)
    for wish in storages + work:
        create(run, wish)
    run.come_to_rest()


def play(run: Storm, storages: list[Wish], work: list[Wish], choices: list[int]) -> None:
    """One event a choice: a wish is taken up, a key is reconciled, the world moves on, the operator is restarted."""
    for choice in choices:
        wishes = storages or work
        possible: list[Callable[[], None]] = []
        if wishes:
            possible.append(partial(take_up, run, wishes, choice))
        if run.pending:
            possible += [partial(run.reconcile, choice)] * 3
        possible += run.steps_of_the_world()
        if choice % 17 == 0:
            possible.append(run.restart)
        if possible:
            possible[choice % len(possible)]()
            run.notice()


def test_the_stories_end_as_they_are_meant_to(world: World) -> None:
    tuned = world.ends["a fine-tune and its deployment"]
    assert tuned["FineTune/tune"]["status"]["phase"] == "Succeeded"
    assert tuned["Inference/served"]["status"]["ready"] is True
    trained = world.ends["two jobs"]
    for job in ("train", "plain"):
        assert ["Succeeded", "True"] in [entry[:2] for entry in trained[f"CPodJob/{job}"]["status"]["conditions"]]
    failed = world.ends["a training that fails"]
    assert failed["FineTune/tune"]["status"]["failureMessage"] == "row 3 has no answer"
    assert "ModelStorage/train-modelsavestorage" not in failed, "a failed job publishes no model"
    lost = world.ends["a model that cannot be fetched"]
    assert lost["FineTune/tune"]["status"]["phase"] == "Failed"
    assert lost["Inference/served"]["status"]["dataReady"] is False


choices = st.lists(st.integers(0, 10_000), max_size=80)
faults = st.dictionaries(st.integers(1, 250), st.sampled_from(Fault), max_size=40)
many = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("story", STORIES)
@many
@given(choices=choices)
def test_any_order_of_events_leads_to_the_same_end_and_nothing_is_said_twice(
    world: World, story: str, choices: list[int]
) -> None:
    run = world.run(story, choices, {})
    assert world.end_of(run, story) == world.ends[story]
    assert run.said_twice() == []


@pytest.mark.parametrize("story", STORIES)
@many
@given(choices=choices, faults=faults)
def test_errors_at_any_call_change_nothing_in_the_end(
    world: World, story: str, choices: list[int], faults: dict[int, Fault]
) -> None:
    assert world.end_of(world.run(story, choices, faults), story) == world.ends[story]


@pytest.mark.parametrize("deleted", [TUNE, JOB, GENERAL, MODEL], ids=lambda wish: f"{wish[0].kind} {wish[1]}")
@many
@given(before=choices, after=choices, faults=faults)
def test_whatever_is_deleted_at_any_moment_takes_with_it_what_was_made_for_it(
    world: World, deleted: Wish, before: list[int], after: list[int], faults: dict[int, Fault]
) -> None:
    storages, work = [MODEL, DATA], [deleted] if deleted is not MODEL else []
    run = world.begin(faults, {**_DATA_FETCHED, "model-base": FETCHED, "tune-cpodjob": TRAINED, "train": TRAINED})
    play(run, storages, work, before)
    for wish in storages + work:
        create(run, wish)
    resource, name, _ = deleted
    run.delete(resource, name)
    play(run, [], [], after)
    run.come_to_rest()
    run.end()
    left = {place for place in run.end_state() if name in place.split("/")[1].split("-")}
    result = {f"ModelStorage/{name}-modelsavestorage", f"PersistentVolumeClaim/{name}-modelsave-pvc"}
    result |= {place.replace(f"/{name}-", f"/{name}-cpodjob-") for place in result}
    assert left <= result, "a result outlives its job, and nothing else does"
