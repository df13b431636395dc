"""From a Pod's container to the arguments by which podman or docker runs it: pure.

Containers share the machine's network, so that a pod is reached at its own address, as a pod of processes
is; nothing is published and nothing is rewritten. Everything else is the image's.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.records import TERMINATION_LOG_ENV
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kubelet.env import expand_references
from cpod_jupyter.engine.kubelet.lifecycle import hook_command
from cpod_jupyter.engine.kubelet.plan import ContainerPlan

PODMAN, DOCKER = "podman", "docker"
TOOLS = (PODMAN, DOCKER)

_CLIENT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK")
_CLIENT_PREFIXES = (
    "XDG_", "CONTAINER_", "CONTAINERS_", "DOCKER_", "PODMAN_", "STORAGE_", "REGISTRY_", "BUILDAH_", "LC_", "LD_",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
)  # fmt: skip
"""What podman and docker themselves read: the engine's are for them, a pod's must not reach them."""
_READ_ONLY_VOLUMES = ("configMap", "secret", "projected", "downwardAPI")
_SHARED_MEMORY = "/dev/shm"


def real_container(
    tool: str,
    pod: Object,
    container: Mapping[str, Any],
    own: Mapping[str, str],
    mounts: Sequence[tuple[str, str]],
    termination_log: tuple[str, str],
    gpus: Sequence[str],
    pod_ip: str,
) -> ContainerPlan:
    """The plan of a container of a real image. `own` are its variables, `mounts` its volumes' directories."""
    name, image = str(container["name"]), str(container.get("image") or "")
    unique = f"cpod-{meta.uid_of(pod)}-{name}"
    command = [expand_references(str(word), own) for word in container.get("command") or []]
    args = [expand_references(str(word), own) for word in container.get("args") or []]
    client = client_environment()
    variables = {**own, TERMINATION_LOG_ENV: termination_log[0]}
    run = [
        tool,
        "run",
        f"--name={unique}",
        "--pull=never",
        "--network=host",
        f"--hostname={meta.name_of(pod)[:63]}",
        "--security-opt=label=disable",
        *(f"--label=io.kubernetes.pod.{key}={pod['metadata'].get(key, '')}" for key in ("name", "namespace", "uid")),
        *_environment(variables, client),
        *_mounts(pod, container, [*mounts, termination_log]),
        *_limits(container),
        *_gpus(tool, gpus),
        *_security(pod, container),
        *([f"--workdir={container['workingDir']}"] if container.get("workingDir") else []),
        *([f"--entrypoint={command[0]}"] if command else []),
        image,
        *command[1:],
        *args,
    ]
    return ContainerPlan(
        name=name,
        argv=run,
        env=client,
        cwd=str(Path(termination_log[1]).parent),  # podman's monitor leaves a file there when memory runs out
        termination_log=termination_log[1],
        fallback_to_logs=container.get("terminationMessagePolicy") == "FallbackToLogsOnError",
        post_start=_hook(tool, unique, container, "postStart", pod_ip),
        pre_stop=_hook(tool, unique, container, "preStop", pod_ip),
        sidecar=container.get("restartPolicy") == "Always",
        startup_probed=bool(container.get("startupProbe")),
        tool=tool,
        container_name=unique,
    )


def _hook(tool: str, unique: str, container: Mapping[str, Any], hook: str, pod_ip: str) -> list[str]:
    command = hook_command(container, hook, pod_ip, str)
    in_container = bool(((container.get("lifecycle") or {}).get(hook) or {}).get("exec"))
    return [tool, "exec", unique, *command] if in_container else command


def client_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The part of the engine's environment that podman and docker need for themselves."""
    return {name: value for name, value in environ.items() if _is_clients(name)}


def _is_clients(name: str) -> bool:
    return name in _CLIENT or name.startswith(_CLIENT_PREFIXES)


def _environment(variables: Mapping[str, str], client: dict[str, str]) -> list[str]:
    """Variables go by the client's environment, where `ps` shows none of them, unless the client reads them too."""
    options = []
    for name, value in variables.items():
        if _is_clients(name):
            options.append(f"--env={name}={value}")
        else:
            client[name] = value
            options.append(f"--env={name}")
    return options


def _mounts(pod: Object, container: Mapping[str, Any], mounts: Sequence[tuple[str, str]]) -> list[str]:
    kinds = {str(volume["name"]): set(volume) for volume in pod["spec"].get("volumes") or []}
    asked = {str(mount["mountPath"]).rstrip("/"): mount for mount in container.get("volumeMounts") or []}
    options = []
    for inside, outside in mounts:
        mount = asked.get(inside) or {}
        fixed = kinds.get(str(mount.get("name")), set()) & set(_READ_ONLY_VOLUMES)
        fields = ["type=bind", f"source={outside}", f"target={inside}"]
        options.append("--mount=" + _csv([*fields, "readonly"] if mount.get("readOnly") or fixed else fields))
    if _SHARED_MEMORY in asked:
        options.append("--ipc=host")  # a process pod's shared memory is the machine's, too
    return options


def _csv(fields: Sequence[str]) -> str:
    """Both tools read a mount as a line of comma-separated values."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def _limits(container: Mapping[str, Any]) -> list[str]:
    limits = (container.get("resources") or {}).get("limits") or {}
    options = []
    if memory := int(parse_quantity(limits.get("memory", 0))):
        options += [f"--memory={memory}b", f"--memory-swap={memory}b"]
    if cpus := float(parse_quantity(limits.get("cpu", 0))):
        options.append(f"--cpus={cpus:g}")
    return options


def _gpus(tool: str, gpus: Sequence[str]) -> list[str]:
    """By the container device interface, as podman has them; docker has an option of its own."""
    if not gpus:
        return []
    if tool == DOCKER:
        return [f'--gpus="device={",".join(gpus)}"']
    return [f"--device=nvidia.com/gpu={gpu}" for gpu in gpus]


def _security(pod: Object, container: Mapping[str, Any]) -> list[str]:
    own = container.get("securityContext") or {}
    context = {**(pod["spec"].get("securityContext") or {}), **own}
    options = []
    if (user := context.get("runAsUser")) is not None:
        group = context.get("runAsGroup")
        options.append(f"--user={user}" + ("" if group is None else f":{group}"))
    if own.get("readOnlyRootFilesystem"):
        options.append("--read-only")
    if own.get("privileged"):
        options.append("--privileged")
    capabilities = own.get("capabilities") or {}
    options += [f"--cap-add={name}" for name in capabilities.get("add") or []]
    options += [f"--cap-drop={name}" for name in capabilities.get("drop") or []]
    return options
