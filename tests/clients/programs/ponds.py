"""A small operator on kopf: a Pond makes a config map, counts its fish, and keeps itself until it is drained."""

import asyncio
from typing import Any

import kopf
import kubernetes

GROUP = "clients.example.com"
kubernetes.config.load_kube_config()
core = kubernetes.client.CoreV1Api()


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = True
    settings.persistence.finalizer = f"{GROUP}/drain"


@kopf.on.create(GROUP, "v1", "ponds")
def created(body: kopf.Body, spec: kopf.Spec, name: str, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    fish = {"metadata": {"name": f"{name}-fish"}, "data": {"fish": str(spec.get("fish", 0))}}
    kopf.adopt(fish)
    core.create_namespaced_config_map(namespace, fish)
    patch.status["phase"] = "Filled"
    kopf.info(body, reason="Filled", message="The pond has its fish.")


@kopf.on.update(GROUP, "v1", "ponds", field="spec.fish")
def changed(old: int, new: int, name: str, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    core.patch_namespaced_config_map(f"{name}-fish", namespace, {"data": {"fish": str(new)}})
    patch.status["change"] = f"{old} to {new}"


@kopf.timer(GROUP, "v1", "ponds", interval=0.5)
async def counted(status: kopf.Status, patch: kopf.Patch, **_: Any) -> None:
    patch.status["ticks"] = int(status.get("ticks", 0)) + 1


@kopf.on.delete(GROUP, "v1", "ponds")
async def drained(name: str, namespace: str, **_: Any) -> None:
    body = {"metadata": {"name": f"{name}-drained"}, "data": {}}
    await asyncio.to_thread(core.create_namespaced_config_map, namespace, body)


@kopf.on.event("configmaps", labels={"watched": "yes"})
def seen(type: str | None, name: str, **_: Any) -> None:
    print(f"seen {type} {name}", flush=True)
