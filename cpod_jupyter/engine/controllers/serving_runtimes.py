"""Which ServingRuntime serves a model. Pure; the rules are KServe 0.20's (apis/serving/v1beta1/predictor_model.go).

A runtime that the model names is looked up in the namespace, then in the cluster, and must support the format, and the
protocol where one is asked for. Otherwise every runtime that is not disabled, not for ModelMesh, not for several nodes,
and that offers itself for the format (`autoSelect`) and the protocol (v1 where none is named) is a candidate. Those of
the namespace come before the cluster's; among each, a higher priority first, then a lower protocol, then the newer one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object

_PROTOCOLS = {"v1": 1, "v2": 2, "grpc-v1": 3, "grpc-v2": 4}
_UNKNOWN_PROTOCOL = 5
_DEFAULT_PROTOCOL = "v1"

RUNTIME_NOT_RECOGNIZED = "RuntimeNotRecognized"
RUNTIME_DISABLED = "RuntimeDisabled"
NO_SUPPORTING_RUNTIME = "NoSupportingRuntime"
INVALID_PREDICTOR = "InvalidPredictorSpec"
"""Reasons of `modelStatus.lastFailureInfo`, which the definition has an enumeration of."""


class Refused(Exception):
    """Why an InferenceService can't be served as it is written: a reason in one word, and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Runtime:
    """A ServingRuntime, or with `of_cluster` a ClusterServingRuntime."""

    name: str
    spec: Mapping[str, Any]
    of_cluster: bool = False
    created: str = ""

    @property
    def protocols(self) -> list[str]:
        return list(self.spec.get("protocolVersions") or [])

    @property
    def is_for_one_model(self) -> bool:
        """Neither disabled, nor for ModelMesh, nor for several nodes."""
        return not (self.spec.get("disabled") or self.spec.get("multiModel") or self.spec.get("workerSpec"))

    @property
    def formats(self) -> list[Mapping[str, Any]]:
        return list(self.spec.get("supportedModelFormats") or [])

    def speaks(self, protocol: str) -> bool:
        """Whether a protocol is offered; a runtime that names none offers all."""
        return not self.protocols or protocol in self.protocols

    def supports(self, model: Mapping[str, Any], *, when_asked: bool) -> bool:
        """Whether the format, and the version where the model names one, is supported. Without `when_asked` only
        formats count for which the runtime offers itself."""
        wanted = model["modelFormat"]
        version = wanted.get("version")
        return any(
            entry.get("name") == wanted["name"] and (version is None or entry.get("version") == version)
            for entry in self.formats
            if when_asked or entry.get("autoSelect")
        )

    def priority(self, name: str) -> int | None:
        """The priority that it gives itself for a format, by the first entry of that name."""
        return next((entry.get("priority") for entry in self.formats if entry.get("name") == name), None)


def runtime_of(obj: Object) -> Runtime:
    """A Runtime of a ServingRuntime object, or of a ClusterServingRuntime, which has no namespace."""
    created = str(obj["metadata"].get("creationTimestamp") or "")
    return Runtime(meta.name_of(obj), obj["spec"], not meta.namespace_of(obj), created)


def choose(model: Mapping[str, Any], runtimes: Iterable[Runtime]) -> Runtime:
    """The runtime of a model, of those in its namespace and of the cluster. Raises Refused."""
    found = list(runtimes)
    if not (model.get("modelFormat") or {}).get("name"):
        raise Refused(INVALID_PREDICTOR, "predictor.model.modelFormat.name is missing: say which format the model has")
    return _named(str(model["runtime"]), model, found) if model.get("runtime") else _selected(model, found)


def _named(name: str, model: Mapping[str, Any], runtimes: list[Runtime]) -> Runtime:
    candidates = sorted((each for each in runtimes if each.name == name), key=lambda each: each.of_cluster)
    if not candidates:
        there = ", ".join(sorted({each.name for each in runtimes})) or "none"
        raise Refused(
            RUNTIME_NOT_RECOGNIZED,
            f"there is no ServingRuntime or ClusterServingRuntime {name!r}; there are: {there}. "
            "It is looked for again when one is made",
        )
    runtime, protocol = candidates[0], model.get("protocolVersion")
    if runtime.spec.get("disabled"):
        raise Refused(RUNTIME_DISABLED, f"the serving runtime {name!r} is disabled (spec.disabled)")
    if protocol and not runtime.speaks(protocol):
        raise Refused(
            NO_SUPPORTING_RUNTIME,
            f"the serving runtime {name!r} does not speak protocol {protocol}, but {', '.join(runtime.protocols)}",
        )
    if not runtime.supports(model, when_asked=True):
        raise Refused(
            NO_SUPPORTING_RUNTIME,
            f"the serving runtime {name!r} does not serve {_format(model)}, but {_formats(runtime)}",
        )
    return runtime


def _selected(model: Mapping[str, Any], runtimes: list[Runtime]) -> Runtime:
    protocol = model.get("protocolVersion") or _DEFAULT_PROTOCOL
    fitting = [
        each
        for each in runtimes
        if each.is_for_one_model and each.supports(model, when_asked=False) and each.speaks(protocol)
    ]
    if not fitting:
        offers = "; ".join(f"{each.name}: {_formats(each)}" for each in sorted(runtimes, key=lambda each: each.name))
        raise Refused(
            NO_SUPPORTING_RUNTIME,
            f"no serving runtime serves {_format(model)} with protocol {protocol}; there are: {offers or 'none'}. "
            "Make a ServingRuntime that does, or give predictor.containers",
        )
    return ordered(fitting, model["modelFormat"]["name"])[0]


def ordered(runtimes: Iterable[Runtime], format_name: str) -> list[Runtime]:
    """The order in which fitting runtimes are preferred."""
    found = sorted(runtimes, key=lambda each: each.name)
    found.sort(key=lambda each: each.created, reverse=True)  # sorts are stable: the last one counts most
    found.sort(key=lambda each: min((_protocol(word) for word in each.protocols), default=_UNKNOWN_PROTOCOL))
    found.sort(key=lambda each: -(each.priority(format_name) or 0))
    found.sort(key=lambda each: each.of_cluster)
    return found


def _protocol(word: str) -> int:
    return _PROTOCOLS.get(word, _UNKNOWN_PROTOCOL)


def _format(model: Mapping[str, Any]) -> str:
    wanted = model["modelFormat"]
    return f"model format {wanted['name']}" + (f" in version {wanted['version']}" if wanted.get("version") else "")


def _formats(runtime: Runtime) -> str:
    names = [f"{each['name']}{':' + each['version'] if each.get('version') else ''}" for each in runtime.formats]
    disabled = " (disabled)" if runtime.spec.get("disabled") else ""
    return (", ".join(dict.fromkeys(names)) or "no format") + disabled
