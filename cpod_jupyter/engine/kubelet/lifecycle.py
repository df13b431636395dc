"""A container's lifecycle hooks as commands of this machine: pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cpod_jupyter.engine.kubelet import hooks
from cpod_jupyter.engine.kubelet.lookup import ConfigError


def hook_command(container: Mapping[str, Any], hook: str, pod_ip: str, rewrite: Callable[[str], str]) -> list[str]:
    """The command of `postStart` or `preStop`; empty where the container has none. Raises ConfigError."""
    action = (container.get("lifecycle") or {}).get(hook)
    if not action:
        return []
    name = container["name"]
    if (asked := action.get("exec")) is not None:
        return [rewrite(str(word)) for word in asked.get("command") or []]
    if (asked := action.get("sleep")) is not None:
        return hooks.sleep_command(float(asked["seconds"]))
    if (asked := action.get("httpGet")) is not None:
        try:
            port = port_number(asked["port"], container)
        except ValueError as error:
            raise ConfigError(f"the {hook} hook of container {name!r}: {error}") from error
        scheme, path = str(asked.get("scheme") or "HTTP").lower(), str(asked.get("path") or "/").lstrip("/")
        headers = [(str(header["name"]), str(header["value"])) for header in asked.get("httpHeaders") or []]
        return hooks.http_command(f"{scheme}://{asked.get('host') or pod_ip}:{port}/{path}", headers)
    raise ConfigError(f"the {hook} hook of container {name!r} must be exec, httpGet or sleep, not {', '.join(action)}")


def port_number(port: int | str, container: Mapping[str, Any]) -> int:
    """A port by number, or by the name that the container gives it. Raises ValueError for an unknown name."""
    if isinstance(port, int) or str(port).isdigit():
        return int(port)
    for entry in container.get("ports") or []:
        if entry.get("name") == port:
            return int(entry["containerPort"])
    raise ValueError(f"couldn't find port: {port}")
