"""The catalogue as a cluster has it: the built-in entries, and those of its ConfigMap."""

from __future__ import annotations

from cpod_jupyter.api import meta
from cpod_jupyter.api.catalog import CATALOG, CONFIG_MAP, KEY, BaseModel, read_models
from cpod_jupyter.api.resources import CONFIGMAPS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_itself
from cpod_jupyter.operator.objects import find
from cpod_jupyter.operator.settings import Settings


def catalogue(api: KubeApi, settings: Settings) -> tuple[BaseModel, ...]:
    """The base models that a FineTune may name on this cluster, its own first."""
    return _read(find(api, CONFIGMAPS, CONFIG_MAP, settings.public_namespace))[0]


def is_catalogue(config_map: Object, settings: Settings) -> bool:
    return (meta.namespace_of(config_map), meta.name_of(config_map)) == (settings.public_namespace, CONFIG_MAP)


def _read(config_map: Object | None) -> tuple[tuple[BaseModel, ...], list[str]]:
    data = (config_map or {}).get("data") or {}
    if config_map is None:
        return CATALOG, []
    if KEY not in data:
        return CATALOG, [f"it has no key {KEY}, which holds the list of models"]
    return read_models(data[KEY])


class CatalogueReconciler:
    """Says on the ConfigMap what of it is left out, once for each version of it."""

    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.settings = settings
        self.recorder = recorder
        self._told: tuple[str, str] | None = None

    def reconcile(self, key: Key) -> None:
        if key != Key(self.settings.public_namespace, CONFIG_MAP):
            return
        found = find(self.api, CONFIGMAPS, key.name, key.namespace)
        if found is None:
            return
        version = (meta.uid_of(found), str((found.get("data") or {}).get(KEY)))
        if version == self._told:
            return
        for problem in _read(found)[1]:
            self.recorder.warning(found, "BadModel", problem)
        self._told = version


def controller(api: KubeApi, settings: Settings, recorder: Recorder) -> Controller:
    return Controller("catalogue", CatalogueReconciler(api, settings, recorder).reconcile, {CONFIGMAPS: to_itself})
