"""FineTune: have a CPodJob train, and tell how far that is. How one begins is in `finetune_begin`.

Failed and Succeeded are final for a generation, whatever appears later, a missing dataset included:
what a person reads as failed must not start by itself days afterwards. An edit starts anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.finetune import FineTunePhase
from cpod_jupyter.api.resources import CONFIGMAPS, CPODJOBS, DATASETSTORAGES, FINETUNES, MODELSTORAGES, NODES, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Mapper, Recorder, to_controller, to_itself
from cpod_jupyter.operator.builders.finetune import PLAN_KEY
from cpod_jupyter.operator.catalogue import is_catalogue
from cpod_jupyter.operator.conditions import finetune_status
from cpod_jupyter.operator.finetune_begin import Beginning, is_forced, preparing
from cpod_jupyter.operator.metadata import annotation, generation, observed_generation
from cpod_jupyter.operator.objects import Refused, find, find_child, find_live, write_status
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.wakers import to_waiting

Changes = dict[str, Any]


class FineTuneReconciler:
    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.recorder = recorder
        self.beginning = Beginning(api, settings, recorder)

    def reconcile(self, key: Key) -> None:
        finetune = find_live(self.api, FINETUNES, key.name, key.namespace)
        if finetune is None or (_is_final(finetune) and observed_generation(finetune) == generation(finetune)):
            return
        try:
            changes = self._next(finetune)
        except Refused as refusal:
            failed = FineTunePhase.FAILED.value
            changes = {"phase": failed, "failureMessage": str(refusal), "modelStorage": None, "plan": None}
        if changes and write_status(self.api, FINETUNES, finetune, changes):
            self._tell(finetune, changes)

    def _next(self, finetune: Object) -> Changes:
        child = names.cpodjob_of_finetune(meta.name_of(finetune))
        cpodjob = find_child(self.api, CPODJOBS, child, finetune)
        if cpodjob is None:
            return {} if _is_done(finetune) else self.beginning.begin(finetune)
        made_for = annotation(cpodjob, names.ANNOTATION_OWNER_GENERATION)
        if meta.is_going(cpodjob) or made_for != str(generation(finetune)):
            if not meta.is_going(cpodjob):
                # In the foreground: its pods and claims go first, so that the next job finds none of them.
                uid = meta.uid_of(cpodjob)
                namespace = meta.namespace_of(cpodjob)
                self.api.delete(CPODJOBS, child, namespace, propagation="Foreground", uid=uid)
            return preparing()
        changes = finetune_status(cpodjob)
        if _phase(finetune) in ("", FineTunePhase.DATA_PREPARING) or observed_generation(finetune) != generation(
            finetune
        ):
            changes["plan"] = self._plan_made(finetune)
        return changes

    def _plan_made(self, finetune: Object) -> Changes | None:
        """The plan that the CPodJob was made by: the status that told it may have been lost."""
        name = names.config_of_finetune(meta.name_of(finetune))
        config = find(self.api, CONFIGMAPS, name, meta.namespace_of(finetune))
        try:
            plan = yaml.safe_load(((config or {}).get("data") or {}).get(PLAN_KEY, ""))
        except yaml.YAMLError:  # someone has edited it
            plan = None
        return plan if isinstance(plan, dict) else None

    def _tell(self, finetune: Object, changes: Changes) -> None:
        """An event when the phase, or the reason for it, is a new one."""
        old = finetune.get("status") or {}
        phase, message = changes["phase"], changes["failureMessage"]
        if phase == old.get("phase") and message == old.get("failureMessage", ""):
            return
        if phase == FineTunePhase.FAILED:
            self.recorder.warning(finetune, "Failed", message)
        elif phase == FineTunePhase.PENDING:
            self.recorder.warning(finetune, "Unschedulable", message)
        elif phase == FineTunePhase.SUCCEEDED:
            self.recorder.normal(finetune, "Succeeded", f"the result is ModelStorage {changes['modelStorage']}")
            if message:
                self.recorder.warning(finetune, "NotUploaded", message)
        elif phase == FineTunePhase.RUNNING:
            self.recorder.normal(finetune, "Running", "the model is being trained")
        elif message:
            self.recorder.warning(finetune, "Waiting", message)
        elif phase != old.get("phase"):
            self.recorder.normal(finetune, "DataPreparing", "model and dataset are being made ready")


def _phase(finetune: Object) -> str:
    return str((finetune.get("status") or {}).get("phase") or "")


def _is_done(finetune: Object) -> bool:
    """Whether this spec has its result."""
    return _phase(finetune) == FineTunePhase.SUCCEEDED and observed_generation(finetune) == generation(finetune)


def _is_final(finetune: Object) -> bool:
    """Whether it has ended.

    One that failed for its plan begins when the user insists (`cpod.cpod/force`); one whose upload failed is still
    followed, for the upload may be tried again.
    """
    status = finetune.get("status") or {}
    if _phase(finetune) == FineTunePhase.FAILED:
        return not (is_forced(finetune) and (status.get("plan") or {}).get("fits") is False)
    return _phase(finetune) == FineTunePhase.SUCCEEDED and not status.get("failureMessage")


def _is_pending(finetune: Object, _node: Object) -> bool:
    return _phase(finetune) == FineTunePhase.PENDING


def _is_preparing(finetune: Object, _storage: Object) -> bool:
    return _phase(finetune) == FineTunePhase.DATA_PREPARING


def _of_config_map(api: KubeApi, settings: Settings) -> Mapper:
    """Maps a ConfigMap to its FineTune, and the catalogue's to all that wait."""
    to_owner = to_controller(FINETUNES.kind)

    def mapper(config_map: Object) -> Iterable[Key]:
        if not is_catalogue(config_map, settings):
            yield from to_owner(config_map)
            return
        for finetune in api.list(FINETUNES).items:
            if _phase(finetune) == FineTunePhase.PENDING:
                yield from to_itself(finetune)

    return mapper


def controller(api: KubeApi, settings: Settings, recorder: Recorder) -> Controller:
    """Woken by the FineTune, its children, the storages while it waits for them, and what could make it begin."""
    storages = to_waiting(api, FINETUNES, _is_preparing)
    return Controller(
        FINETUNES.plural,
        FineTuneReconciler(api, settings, recorder).reconcile,
        {
            FINETUNES: to_itself,
            CPODJOBS: to_controller(FINETUNES.kind),
            CONFIGMAPS: _of_config_map(api, settings),
            MODELSTORAGES: storages,
            DATASETSTORAGES: storages,
            NODES: to_waiting(api, FINETUNES, _is_pending),
        },
    )
