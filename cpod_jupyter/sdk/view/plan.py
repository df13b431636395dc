"""The plan of a fine-tune as a table, from what stands in its status. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Line = tuple[str, str, str]
"""What, how, and why or with what."""

_PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "overhead")


def rows_of(status: Mapping[str, Any]) -> list[Line]:
    """The lines of a plan (`Plan.to_status`): a choice and its reason in each; none for what is no plan."""
    if not status.get("processes"):
        return []
    why: Mapping[str, str] = status.get("reasons") or {}
    device = "the CPU" if status["device"] == "CPU" else status["device"]
    pods = f"{status['replicas']} pod{'s' if status['replicas'] > 1 else ''}"
    batch = f"{status['perDeviceBatch']} x {status['gradientAccumulation']} accumulated x {status['processes']}"
    offloads = status["offload"] != "none"
    offload = f", {status['offload']} in the host's memory" if offloads else ""
    need = status["memoryMiB"]
    made_of = ", ".join(f"{part} {need[part]}" for part in _PARTS if need.get(part))
    of = f" of {status['deviceMemoryMiB']}" if status.get("deviceMemoryMiB") else ""
    return [
        ("processes", f"{pods} x {status['processesPerReplica']} on {device}", why.get("processes", "")),
        ("precision", status["precision"], why.get("precision", "")),
        ("batch", f"{batch} = {status['effectiveBatch']} a step", why.get("batch", "")),
        ("max_length", f"{status['maxLength']} tokens", why.get("length", "")),
        ("checkpointing", "on" if status["gradientCheckpointing"] else "off", why.get("checkpointing", "")),
        ("DeepSpeed", status["sharding"] + offload, _joined(why, "sharding", *(["offload"] if offloads else []))),
        ("memory", f"{need['total']}{of} MiB", made_of),
    ]


def whole_rows_of(status: Mapping[str, Any]) -> list[Line]:
    """The same for who looks at the plan alone: with the method, whether it fits, and what the config has decided."""
    lines = rows_of(status)
    if not lines:
        return []
    why = status.get("reasons") or {}
    fits = "yes" if status.get("fits") else "no"
    found: list[Line] = [("method", str(status["finetuneType"]), ""), *lines]
    found.append(("fits", fits, " ".join([why.get("memory", ""), *(status.get("advice") or [])]).strip()))
    return [*found, ("config", "kept", why["config"])] if why.get("config") else found


def _joined(why: Mapping[str, str], *parts: str) -> str:
    return " ".join(why[part] for part in parts if why.get(part))
