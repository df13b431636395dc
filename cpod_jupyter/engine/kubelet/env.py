"""A container's environment: what it inherits, what the pod gives it, and `$(VAR)` references.

There are no `NAME_SERVICE_HOST` variables, whatever enableServiceLinks says: a Service has no address of
its own here, as a headless one has none in a cluster, and those give no variables either.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kubelet.lookup import ConfigError, Lookup

INHERITED = frozenset(
    {
        "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV",
        "CONDA_PREFIX", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "HTTP_PROXY",
        "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
        "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_DATASETS_CACHE", "HF_DATASETS_OFFLINE",
        "TRANSFORMERS_OFFLINE", "MODELSCOPE_CACHE", "TORCH_HOME", "TRITON_CACHE_DIR", "OMP_NUM_THREADS",
        "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "TOKENIZERS_PARALLELISM",
        "LLAMA_CPP_DIR",
    }
)  # fmt: skip
"""Variables of the engine that describe the machine: where things are, how to get out, how many threads.
Everything else, tokens and keys above all, stays with the user; a pod gets those by Secret."""
INHERITED_PREFIXES = ("LC_", "XDG_", "PIP_", "UV_")

_REFERENCE = re.compile(r"\$(?:\$|\(([-._a-zA-Z0-9]+)\))")
_NAME = re.compile(r"[^\x00-\x1f=\x7f]+")


def inherited(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The part of the engine's environment that pods get."""
    return {key: value for key, value in environ.items() if key in INHERITED or key.startswith(INHERITED_PREFIXES)}


def expand_references(text: str, known: Mapping[str, str]) -> str:
    """`$(VAR)` becomes its value, `$$` a `$`; a reference to nothing stays.

    Kubernetes, "Define Dependent Environment Variables".
    """

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


@dataclass(frozen=True)
class PodFacts:
    """What fieldRef and resourceFieldRef may ask of a pod; `allocatable` is the node's, for limits not set."""

    pod: Object
    pod_ip: str
    host_ip: str
    allocatable: Mapping[str, str]

    def field(self, path: str) -> str:
        """The value of a fieldRef's fieldPath. Raises ConfigError when it is not offered."""
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        key = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
        if key is not None:
            return str((metadata.get(key[1]) or {}).get(key[2], ""))
        simple = {
            "metadata.name": metadata.get("name"),
            "metadata.namespace": metadata.get("namespace"),
            "metadata.uid": metadata.get("uid"),
            "spec.nodeName": spec.get("nodeName"),
            "spec.serviceAccountName": spec.get("serviceAccountName") or "default",
            "status.hostIP": self.host_ip,
            "status.hostIPs": self.host_ip,
            "status.podIP": self.pod_ip,
            "status.podIPs": self.pod_ip,
        }
        if path not in simple:
            offered = ", ".join([*sorted(simple), "metadata.labels['KEY']", "metadata.annotations['KEY']"])
            raise ConfigError(f"fieldRef {path!r} is not offered; there are {offered}")
        return str(simple[path] or "")

    def resource(self, container: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
        """The value of a resourceFieldRef, in units of its divisor, rounded up."""
        name = str(reference.get("containerName") or container["name"])
        spec = self.pod["spec"]
        every = [*(spec.get("initContainers") or []), *spec["containers"]]
        of = next((entry for entry in every if entry["name"] == name), None)
        kind, _, resource = str(reference["resource"]).partition(".")
        if of is None or kind not in ("limits", "requests") or not resource:
            raise ConfigError(f"resourceFieldRef {reference['resource']!r} of container {name!r} is not offered")
        resources = of.get("resources") or {}
        limit = (resources.get("limits") or {}).get(resource)
        if kind == "limits":
            asked = limit or self.allocatable.get(resource, "0")
        else:
            asked = (resources.get("requests") or {}).get(resource) or limit or "0"
        amount = parse_quantity(asked)
        divisor = parse_quantity(reference.get("divisor") or "1") or Decimal(1)
        return str(math.ceil(amount / divisor))


def declared(container: Mapping[str, Any], facts: PodFacts, lookup: Lookup) -> dict[str, str]:
    """The variables that a container's `envFrom` and `env` give, in order, references expanded. Raises ConfigError."""
    result: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for key, data in _all_of(source, lookup).items():
            name = str(source.get("prefix") or "") + key
            if _NAME.fullmatch(name):
                result[name] = data
    for entry in container.get("env") or []:
        name, origin = str(entry["name"]), entry.get("valueFrom")
        if not origin:
            result[name] = expand_references(str(entry.get("value") or ""), result)
            continue
        value = _value_from(origin, container, facts, lookup)
        if value is not None:
            result[name] = value
    return result


def _all_of(source: Mapping[str, Any], lookup: Lookup) -> dict[str, str]:
    if (reference := source.get("configMapRef")) is not None:
        data = lookup.configmap(str(reference.get("name")), optional=bool(reference.get("optional")))
    else:
        reference = source.get("secretRef") or {}
        data = lookup.secret(str(reference.get("name")), optional=bool(reference.get("optional")))
    return {key: value.decode(errors="replace") for key, value in (data or {}).items()}


def _value_from(origin: Mapping[str, Any], container: Mapping[str, Any], facts: PodFacts, lookup: Lookup) -> str | None:
    """One valueFrom; None when it is optional and missing."""
    if (reference := origin.get("fieldRef")) is not None:
        return facts.field(str(reference["fieldPath"]))
    if (reference := origin.get("resourceFieldRef")) is not None:
        return facts.resource(container, reference)
    for kind, read in (("configMapKeyRef", lookup.configmap), ("secretKeyRef", lookup.secret)):
        if (reference := origin.get(kind)) is None:
            continue
        optional = bool(reference.get("optional"))
        data = read(str(reference.get("name")), optional=optional)
        value = (data or {}).get(str(reference["key"]))
        if value is None and not optional:
            raise ConfigError(f'couldn\'t find key {reference["key"]} in {kind[:-6]} "{reference.get("name")}"')
        return None if value is None else value.decode(errors="replace")
    raise ConfigError(f"valueFrom {', '.join(origin)} is not offered by the embedded engine")
