"""The resource metrics API (metrics.k8s.io/v1beta1): what pods and the node use now, as `kubectl top` asks for it."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any, Protocol
from urllib.parse import unquote

from aiohttp import web

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import NODES, PODS, Object, Resource
from cpod_jupyter.api.usage import NODE_METRICS, POD_METRICS
from cpod_jupyter.engine.kubelet.usage import Use
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.errors import MethodNotAllowed, NotFound

METRICS = (NODE_METRICS, POD_METRICS)


class UsageSource(Protocol):
    """Who knows: the kubelet."""

    def usage(self, namespace: str, name: str, uid: str) -> dict[str, Use]:
        """What each running container of a pod uses, where it is known."""
        ...

    def machine_usage(self) -> Use: ...


def is_asked(path: str) -> bool:
    """Whether a path is of this API."""
    return path.startswith(f"/apis/{POD_METRICS.api_version}/")


class UsageApi:
    """Answers for objects and lists; nothing is kept, so nothing can be watched.

    Without a source, as on a server without a kubelet, the lists are empty: nobody has measured anything.
    """

    def __init__(self, objects: Objects, source: UsageSource | None) -> None:
        self._api = LocalApi(objects)
        self._source = source

    async def answer(self, request: web.Request) -> Object:
        """Raises NotFound, also for a pod of which nothing is known yet, or MethodNotAllowed."""
        if request.method != "GET" or request.query.get("watch", "").lower() in ("true", "1"):
            raise MethodNotAllowed("metrics are only had by get and list")
        labels = request.query.get("labelSelector", "")
        parts = [unquote(part) for part in request.path.strip("/").split("/")[3:]]
        return await asyncio.to_thread(self._answer, parts, labels, self._source)

    def _answer(self, parts: list[str], labels: str, source: UsageSource | None) -> Object:
        match parts:
            case ["nodes"]:
                nodes = self._api.list(NODES, label_selector=labels).items
                return _list(NODE_METRICS, [found for node in nodes if (found := _node(node, source)) is not None])
            case ["nodes", name]:
                return _known(_node(self._api.get(NODES, name), source), f'nodemetrics.metrics.k8s.io "{name}"')
            case ["pods"]:
                return self._pods(None, labels, source)
            case ["namespaces", namespace, "pods"]:
                return self._pods(namespace, labels, source)
            case ["namespaces", namespace, "pods", name]:
                found = _pod(self._api.get(PODS, name, namespace), source)
                return _known(found, f'podmetrics.metrics.k8s.io "{namespace}/{name}"')
        raise NotFound("the server could not find the requested resource")

    def _pods(self, namespace: str | None, labels: str, source: UsageSource | None) -> Object:
        pods = self._api.list(PODS, namespace, label_selector=labels).items
        return _list(POD_METRICS, [found for pod in pods if (found := _pod(pod, source)) is not None])


def _known(found: Object | None, what: str) -> Object:
    if found is None:
        raise NotFound(f"{what} not found")
    return found


def _pod(pod: Object, source: UsageSource | None) -> Object | None:
    uses = source.usage(meta.namespace_of(pod), meta.name_of(pod), meta.uid_of(pod)) if source else None
    if not uses:
        return None
    containers = [{"name": name, "usage": _quantities(use)} for name, use in uses.items()]
    return _item(POD_METRICS, pod, max(use.window for use in uses.values()), containers=containers)


def _node(node: Object, source: UsageSource | None) -> Object | None:
    if source is None:
        return None
    use = source.machine_usage()
    return _item(NODE_METRICS, node, use.window, usage=_quantities(use))


def _item(resource: Resource, of: Object, window: float, **content: Any) -> Object:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    given = of["metadata"]
    names = {key: given[key] for key in ("name", "namespace", "labels") if given.get(key)}
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {**names, "creationTimestamp": now},
        "timestamp": now,
        "window": f"{max(1, round(window))}s",
        **content,
    }


def _quantities(use: Use) -> dict[str, str]:
    return {"cpu": f"{round(use.cpu * 1e9)}n", "memory": f"{use.memory // 1024}Ki"}


def _list(resource: Resource, items: list[Object]) -> Object:
    return {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": {}, "items": items}
