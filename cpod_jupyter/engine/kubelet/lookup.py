"""What a pod refers to: ConfigMaps, Secrets, claims, read once while it is prepared."""

from __future__ import annotations

import base64

from cpod_jupyter.api.resources import CONFIGMAPS, PERSISTENTVOLUMES, PVCS, SECRETS, Object, Resource
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.errors import EngineError, NotFound


class ConfigError(EngineError):
    """A pod can't be started as it is written, or not yet; the message goes to its status.

    `reason` is the waiting reason of its containers; after `retry_seconds` it is worth another look.
    """

    def __init__(
        self, message: str, reason: str = "CreateContainerConfigError", *, retry_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_seconds = retry_seconds


class Lookup:
    """Reads objects of one namespace. A missing one is a ConfigError, or None where it is optional."""

    def __init__(self, api: KubeApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._seen: dict[tuple[Resource, str], Object | None] = {}

    def _get(self, resource: Resource, name: str) -> Object | None:
        key = (resource, name)
        if key not in self._seen:
            try:
                self._seen[key] = self._api.get(resource, name, self._namespace)
            except NotFound:
                self._seen[key] = None
        return self._seen[key]

    def _need(self, resource: Resource, name: str, optional: bool) -> Object | None:
        found = self._get(resource, name)
        if found is None and not optional:
            raise ConfigError(f'{resource.singular} "{name}" not found')
        return found

    def configmap(self, name: str, *, optional: bool = False) -> dict[str, bytes] | None:
        """The data of a ConfigMap, text and binary."""
        found = self._need(CONFIGMAPS, name, optional)
        if found is None:
            return None
        text = {key: str(value).encode() for key, value in (found.get("data") or {}).items()}
        return {**text, **_decode(found.get("binaryData"))}

    def secret(self, name: str, *, optional: bool = False) -> dict[str, bytes] | None:
        """The data of a Secret, decoded."""
        found = self._need(SECRETS, name, optional)
        return None if found is None else _decode(found.get("data"))

    def claim(self, name: str) -> Object:
        found = self._need(PVCS, name, optional=False)
        assert found is not None
        return found

    def volume(self, name: str) -> Object | None:
        """A PersistentVolume, if it is there."""
        try:
            return self._api.get(PERSISTENTVOLUMES, name)
        except NotFound:
            return None


def _decode(values: dict[str, str] | None) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in (values or {}).items()}
