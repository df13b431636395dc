"""The optional admission webhook of an installation: certificate, Service and registration. Pure but for the keys."""

from __future__ import annotations

import base64

from cpod_jupyter.api.resources import CPOD_KINDS, GROUP, SECRETS, SERVICES, Object, Resource
from cpod_jupyter.control.certificates import Issued, issue
from cpod_jupyter.operator.webhook import CERTIFICATE, KEY, PATH
from cpod_jupyter.sdk.install.roles import NAME

CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration",
    namespaced=False,
)  # fmt: skip
SERVICE = f"{NAME}-webhook"
PORT = 9443
FOLDER = "/etc/cpod-webhook"
_SECONDS = 5
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def certificate_for(namespace: str) -> Issued:
    """For the names by which the API server calls the Service; it lasts a year, and installing again renews it."""
    return issue(NAME, [f"{SERVICE}.{namespace}.svc", f"{SERVICE}.{namespace}.svc.cluster.local"])


def secret(namespace: str, issued: Issued) -> Object:
    data = {CERTIFICATE: _text(issued.certificate), KEY: _text(issued.key)}
    return {**_head(SECRETS, SERVICE, namespace), "type": "kubernetes.io/tls", "data": data}


def service(namespace: str) -> Object:
    port = {"name": "webhook", "port": 443, "targetPort": "webhook", "protocol": "TCP"}
    return {
        **_head(SERVICES, SERVICE, namespace),
        "spec": {"selector": {"app.kubernetes.io/name": NAME}, "ports": [port]},
    }


def configuration(namespace: str, issued: Issued) -> Object:
    """Registers it for the project's kinds. Ignore: when no operator answers, objects are judged by it afterwards."""
    rule = {
        "apiGroups": [GROUP],
        "apiVersions": sorted({resource.version for resource in CPOD_KINDS}),
        "operations": ["CREATE", "UPDATE"],
        "resources": [resource.plural for resource in CPOD_KINDS],
        "scope": "Namespaced",
    }
    elsewhere = {"key": _NAMESPACE_NAME, "operator": "NotIn", "values": ["kube-system", namespace]}
    webhook = {
        "name": f"validate.{GROUP}.cpod-jupyter.io",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "caBundle": _text(issued.ca),
            "service": {"name": SERVICE, "namespace": namespace, "path": PATH, "port": 443},
        },
        "failurePolicy": "Ignore",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {"matchExpressions": [elsewhere]},
        "rules": [rule],
        "sideEffects": "None",
        "timeoutSeconds": _SECONDS,
    }
    return {**_head(CONFIGURATIONS, NAME), "webhooks": [webhook]}


def _head(resource: Resource, name: str, namespace: str = "") -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
