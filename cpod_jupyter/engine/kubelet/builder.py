"""From a Pod to the plan its supervisor runs: nothing is left to look up, translate or expand."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.records import TERMINATION_LOG, TERMINATION_LOG_ENV
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kubelet import readonly, volumes
from cpod_jupyter.engine.kubelet.cgroups import Parents
from cpod_jupyter.engine.kubelet.env import PodFacts, declared, expand_references, inherited
from cpod_jupyter.engine.kubelet.images import ImageNotRunnable, Images
from cpod_jupyter.engine.kubelet.lifecycle import hook_command
from cpod_jupyter.engine.kubelet.lookup import ConfigError, Lookup
from cpod_jupyter.engine.kubelet.network import HOST_IP
from cpod_jupyter.engine.kubelet.payload import Source
from cpod_jupyter.engine.kubelet.plan import ContainerPlan, PodPlan
from cpod_jupyter.engine.kubelet.probes import unoffered
from cpod_jupyter.engine.kubelet.realimages import real_container
from cpod_jupyter.engine.kubelet.rewriting import Rewriter
from cpod_jupyter.engine.kubelet.runtime import POD_UID_ENV

GPU = "nvidia.com/gpu"
GPU_ANNOTATION = "cpod.cpod/gpus"
"""On a pod: which of its node's GPUs are its own, counted from 0: `0,3`. The scheduler chooses them."""

DEFAULT_GRACE_SECONDS = 30.0
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_IGNORED = ("runAsUser", "runAsGroup", "fsGroup", "readOnlyRootFilesystem")
"""Fields of security contexts that change what a program may do; a process runs as the engine's user."""


@dataclass(frozen=True)
class Builder:
    """Plans pods of one engine. `gpus` are the GPUs that this machine offers, as CUDA names them."""

    home: Path
    images: Images
    allocatable: Mapping[str, str]
    gpus: Sequence[str]
    tool: str = ""
    """podman or docker, for images that stand for nothing on this machine; without it all pods are processes."""

    def plan(self, pod: Object, pod_dir: Path, pod_ip: str, lookup: Lookup) -> PodPlan:
        """Prepare a pod's directory and plan it. Raises ConfigError when something is missing or not offered."""
        spec = pod["spec"]
        _require_plain_names(spec)
        facts = PodFacts(pod, pod_ip, HOST_IP, self.allocatable)
        scratch = volumes.scratch_directory(self.home, pod_dir)
        scratch.mkdir(parents=True, exist_ok=True)
        scratch.chmod(0o700)
        directories = volumes.prepare(pod, scratch, self.home, self.source(facts, lookup))
        gpus = self._granted_gpus(pod)
        init = []
        for container in spec.get("initContainers") or []:
            count = _gpu_count(container)
            init.append(self._container(container, pod_dir, facts, directories, lookup, gpus[:count]))
            if container.get("restartPolicy") == "Always":
                gpus = gpus[count:]  # a sidecar keeps them; what only prepares the pod hands them on
        apps = []
        for container in spec["containers"]:
            count = _gpu_count(container)
            apps.append(self._container(container, pod_dir, facts, directories, lookup, gpus[:count]))
            gpus = gpus[count:]
        seconds, grace = spec.get("activeDeadlineSeconds"), spec.get("terminationGracePeriodSeconds")
        return PodPlan(
            uid=meta.uid_of(pod),
            name=meta.name_of(pod),
            namespace=meta.namespace_of(pod),
            pod_ip=pod_ip,
            restart_policy=str(spec.get("restartPolicy") or "Always"),
            grace_seconds=float(DEFAULT_GRACE_SECONDS if grace is None else grace),
            deadline=None if seconds is None else time.time() + float(seconds),
            init_containers=init,
            containers=apps,
            read_only_mounts=any(entry.read_only for entry in [*init, *apps]) and readonly.is_possible(),
        )

    def source(self, facts: PodFacts, lookup: Lookup) -> Source:
        """What the files of a pod's volumes are made from."""
        return Source(facts, lookup, self.home / "pki" / "token")

    def refresh(self, pod: Object, pod_dir: Path, pod_ip: str, lookup: Lookup) -> None:
        """Bring the files that a running pod has mounted up to date."""
        facts = PodFacts(pod, pod_ip, HOST_IP, self.allocatable)
        volumes.refresh(pod, volumes.scratch_directory(self.home, pod_dir), self.source(facts, lookup))

    def is_real(self, container: Mapping[str, Any]) -> bool:
        """Whether a container is one of a real image, and not a process."""
        return bool(self.tool) and not self.images.is_local(str(container.get("image") or ""))

    def _granted_gpus(self, pod: Object) -> list[str]:
        """The pod's GPUs as CUDA names them."""
        granted = str((pod["metadata"].get("annotations") or {}).get(GPU_ANNOTATION) or "")
        indices = [int(index) for index in granted.split(",")] if granted else []
        if any(index >= len(self.gpus) for index in indices):
            raise ConfigError(f"the pod was given the GPUs {granted} of this node, which now offers {len(self.gpus)}")
        return [self.gpus[index] for index in indices]

    def _container(
        self,
        container: Mapping[str, Any],
        pod_dir: Path,
        facts: PodFacts,
        directories: Mapping[str, Path],
        lookup: Lookup,
        gpus: list[str],
    ) -> ContainerPlan:
        name, image = str(container["name"]), str(container.get("image") or "")
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if refused := unoffered(container.get(kind) or {}):
                raise ConfigError(f"the {kind} of container {name!r}: the embedded engine does not offer {refused[0]}")
        own = declared(container, facts, lookup)
        termination_log = pod_dir / name / "termination-log"
        inside = str(container.get("terminationMessagePath") or TERMINATION_LOG)
        mounted = volumes.mounts(container, directories, own)
        if self.is_real(container):
            (pod_dir / name).mkdir(exist_ok=True)
            termination_log.touch(mode=0o666)
            termination_log.chmod(0o666)  # whoever the image's user is
            log = (inside, str(termination_log))
            return real_container(self.tool, facts.pod, container, own, mounted, log, gpus, facts.pod_ip)
        mounts = [*mounted, (inside, str(termination_log))]
        rewrite = Rewriter(mounts)
        try:
            argv = self.images.argv(image, list(container.get("command") or []), list(container.get("args") or []))
        except ImageNotRunnable as error:
            raise ConfigError(str(error), "ErrImagePull") from error
        (pod_dir / name).mkdir(exist_ok=True)
        told = bool(self.gpus) or "CUDA_VISIBLE_DEVICES" in os.environ  # an engine that may use none gives none
        env = {
            **self.images.base_env(image, inherited()),
            "PATH": self.images.path(image),
            "HOSTNAME": facts.field("metadata.name"),
            "PYTHONUNBUFFERED": "1",
            POD_UID_ENV: facts.field("metadata.uid"),
            TERMINATION_LOG_ENV: str(termination_log),
            **({"CUDA_VISIBLE_DEVICES": ",".join(gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if told else {}),
            **{key: rewrite(value) for key, value in own.items()},
        }
        limits = (container.get("resources") or {}).get("limits") or {}
        return ContainerPlan(
            name=name,
            argv=[rewrite(expand_references(word, own)) for word in argv],
            env=env,
            cwd=_working_directory(container, volumes.scratch_directory(self.home, pod_dir), rewrite, mounts),
            termination_log=str(termination_log),
            fallback_to_logs=container.get("terminationMessagePolicy") == "FallbackToLogsOnError",
            mounts=mounts,
            read_only=volumes.read_only(container, facts.pod, mounted),
            memory_limit=int(parse_quantity(limits.get("memory", 0))),
            cpu_limit=float(parse_quantity(limits.get("cpu", 0))),
            post_start=hook_command(container, "postStart", facts.pod_ip, rewrite),
            pre_stop=hook_command(container, "preStop", facts.pod_ip, rewrite),
            sidecar=container.get("restartPolicy") == "Always",
            startup_probed=bool(container.get("startupProbe")),
        )


def ignored(
    pod: Object, plan: PodPlan, cgroups: Parents, is_real: Callable[[Mapping[str, Any]], bool] = lambda _: False
) -> list[str]:
    """What a pod asks for that is passed over here, though the pod runs; for an event that says so.

    `is_real` tells the containers of real images, which podman or docker give most of it.
    """
    spec = pod["spec"]
    plans = {entry.name: entry for entry in [*plan.init_containers, *plan.containers]}
    every = [*(spec.get("initContainers") or []), *spec["containers"]]
    keys = ("fsGroup",) if all(is_real(container) for container in every) else _IGNORED
    found = [f"securityContext.{key}" for key in keys if key in (spec.get("securityContext") or {})]
    for container in every:
        if is_real(container):
            continue
        name = container["name"]
        limits = (container.get("resources") or {}).get("limits") or {}
        if "cpu" in limits and not cgroups.offers("cpu"):
            found.append(f"the CPU limit of container {name} (no control group can be made here)")
        if plans[name].read_only and not plan.read_only_mounts:
            found.append(f"readOnly of the mounts of container {name} (no mount name space can be made here)")
        context = container.get("securityContext") or {}
        found += [f"securityContext.{key} of container {name}" for key in _IGNORED if key in context]
    return found


def _require_plain_names(spec: Mapping[str, Any]) -> None:
    """Names become directories. Raises ConfigError for one that is no DNS label, which could lead elsewhere."""
    for kind in ("initContainers", "containers", "volumes"):
        for entry in spec.get(kind) or []:
            if not _LABEL.fullmatch(str(entry["name"])):
                raise ConfigError(f"{entry['name']!r} is no name for one of {kind}: lower case letters, digits and '-'")


def _gpu_count(container: Mapping[str, Any]) -> int:
    resources = container.get("resources") or {}
    asked = (resources.get("limits") or {}).get(GPU, (resources.get("requests") or {}).get(GPU, 0))
    return int(parse_quantity(asked))


def _working_directory(
    container: Mapping[str, Any], scratch: Path, rewrite: Rewriter, mounts: list[tuple[str, str]]
) -> str:
    """workingDir in this machine's terms; without one, a directory of the container's own.

    One below a mount is made when it is missing, as container runtimes do; others must exist.
    """
    asked = str(container.get("workingDir") or "")
    if not asked:
        own = scratch / "work" / str(container["name"])
        own.mkdir(parents=True, exist_ok=True)
        return str(own)
    directory = rewrite(asked)
    if directory != asked and any(directory.startswith(outside) for _, outside in mounts):
        Path(directory).mkdir(parents=True, exist_ok=True)
    return directory
