"""What brings people from outside to an Inference: its Ingress, and a web page to chat on. Pure.

Names, paths and variables are the original's, on which clusters depend.
"""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import DEPLOYMENTS, INGRESSES, SERVICES, Object, Resource
from cpod_jupyter.operator.builders.inference_engines import on_knative
from cpod_jupyter.operator.metadata import child_metadata
from cpod_jupyter.operator.settings import Settings

Upstream = tuple[str, int]
"""A Service and its port."""

WEB_UI_PORT = 8000
_CHATTING = frozenset({"vLLM", "transformers", "LLaMA-Factory", "Ray Serve"})
"""Engines that answer /v1/chat/completions."""


def chats(engine: str, embeds: bool) -> bool:
    """Whether there is something to chat with: not with embeddings, nor with what the operator does not know."""
    return engine in _CHATTING and not embeds


def wanted(inference: Object, upstream: Upstream, with_ui: bool, settings: Settings) -> list[tuple[Resource, Object]]:
    """Everything that there should be for the Inference by the settings."""
    name, found = meta.name_of(inference), []
    if settings.ingress:
        found.append((INGRESSES, inference_ingress(inference, upstream, settings)))
    if settings.web_ui and settings.web_ui_image and with_ui:
        found.append((DEPLOYMENTS, _web_deployment(inference, upstream, settings)))
        found.append((SERVICES, _web_service(inference)))
        if settings.ingress:
            path, page = f"{settings.web_ui_prefix.rstrip('/')}/{name}", (names.web_ui(name), WEB_UI_PORT)
            host = settings.ingress_domain if settings.inference_prefix else _host(f"{name}-ui", inference, settings)
            found.append((INGRESSES, _ingress(names.web_ui_ingress(name), inference, page, path, host, settings)))
    return found


def all_names(inference: Object) -> list[tuple[Resource, str]]:
    """Everything that `wanted` may have made once."""
    name = meta.name_of(inference)
    return [
        (INGRESSES, names.inference_ingress(name)),
        (INGRESSES, names.web_ui_ingress(name)),
        (SERVICES, names.web_ui(name)),
        (DEPLOYMENTS, names.web_ui(name)),
    ]


def inference_ingress(inference: Object, upstream: Upstream, settings: Settings) -> Object:
    name = meta.name_of(inference)
    path, host = _place(name, inference, settings)
    ingress = _ingress(names.inference_ingress(name), inference, upstream, path, host, settings)
    annotations = ingress["metadata"]["annotations"]
    # Answers come token by token, and a long one takes minutes.
    annotations["nginx.ingress.kubernetes.io/proxy-buffering"] = "off"
    annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] = "3600"
    if on_knative(settings):
        # Knative's gateway tells services apart by the host name of a request.
        service = f"{upstream[0]}.{meta.namespace_of(inference)}.svc.cluster.local"
        annotations["nginx.ingress.kubernetes.io/upstream-vhost"] = service
    return ingress


def external_url(inference: Object, ingress: Object | None, settings: Settings) -> str:
    """Where the Ingress answers; empty when there is none, or nobody knows its address."""
    if ingress is None:
        return ""
    path, host = _place(meta.name_of(inference), inference, settings)
    if not host:
        balancers = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        host = next((str(entry.get("hostname") or entry.get("ip")) for entry in balancers), "")
    scheme = "https" if settings.ingress_tls_secret else "http"
    return f"{scheme}://{host}{path}" if host else ""


def _place(name: str, inference: Object, settings: Settings) -> tuple[str, str]:
    """Path and host of an Inference: a path of its own, or a host of its own where there is no prefix."""
    if settings.inference_prefix:
        return f"{settings.inference_prefix.rstrip('/')}/{name}", settings.ingress_domain
    return "", _host(name, inference, settings)


def _host(name: str, inference: Object, settings: Settings) -> str:
    """As KServe's default template has it: two namespaces may have an Inference of one name."""
    return f"{name}-{meta.namespace_of(inference)}.{settings.ingress_domain}" if settings.ingress_domain else ""


def _ingress(name: str, inference: Object, upstream: Upstream, path: str, host: str, settings: Settings) -> Object:
    """An Ingress of ingress-nginx: the path before what follows the name is taken off ("Rewrite")."""
    service, port = upstream
    backend = {"service": {"name": service, "port": {"number": port}}}
    annotations = {}
    if path:
        annotations = {
            "nginx.ingress.kubernetes.io/use-regex": "true",
            "nginx.ingress.kubernetes.io/rewrite-target": "/$2",
        }
        entry = {"path": f"{path}(/|$)(.*)", "pathType": "ImplementationSpecific", "backend": backend}
    else:
        entry = {"path": "/", "pathType": "Prefix", "backend": backend}
    rule: dict[str, Any] = {"http": {"paths": [entry]}}
    spec: dict[str, Any] = {"ingressClassName": settings.ingress_class, "rules": [rule]}
    if host:
        rule["host"] = host
    if settings.ingress_tls_secret:
        spec["tls"] = [{"secretName": settings.ingress_tls_secret, **({"hosts": [host]} if host else {})}]
    return {
        "apiVersion": INGRESSES.api_version,
        "kind": INGRESSES.kind,
        "metadata": {**child_metadata(name, inference), "annotations": annotations},
        "spec": spec,
    }


def _web_deployment(inference: Object, upstream: Upstream, settings: Settings) -> Object:
    """The page's Deployment. Its environment has URLs and nothing that would be a secret."""
    name, namespace = meta.name_of(inference), meta.namespace_of(inference)
    service, port = upstream
    base = f"http://{service}.{namespace}.svc.cluster.local" + ("" if port == 80 else f":{port}")
    env = {
        "API_URL": f"{base}/v1/chat/completions",
        "OPENAI_API_BASE_URL": f"{base}/v1",
        "ENV_BASE_URL": f"{settings.web_ui_prefix.rstrip('/')}/{name}/",
        "MODEL_NAME": name,
    }
    labels = {"app": names.web_ui(name)}
    container = {
        "name": "web-ui",
        "image": settings.web_ui_image,
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "ports": [{"containerPort": WEB_UI_PORT, "protocol": "TCP"}],
    }
    return {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": DEPLOYMENTS.kind,
        "metadata": child_metadata(names.web_ui(name), inference),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def _web_service(inference: Object) -> Object:
    name = names.web_ui(meta.name_of(inference))
    return {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": child_metadata(name, inference),
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": WEB_UI_PORT, "targetPort": WEB_UI_PORT, "protocol": "TCP"}],
        },
    }
