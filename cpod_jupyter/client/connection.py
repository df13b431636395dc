"""From a kubeconfig, or from inside a pod, to a connection with credentials."""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config

from cpod_jupyter.errors import CpodError

_IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_CONNECTIONS = 32


@dataclass(frozen=True)
class Connection:
    """An API server's address with the user's credentials; `context` names where it came from."""

    configuration: Any
    context: str
    namespace: str

    @property
    def server(self) -> str:
        return str(self.configuration.host)

    def headers(self) -> dict[str, str]:
        """What authenticates a request; tokens that expire are renewed here."""
        entry = self.configuration.auth_settings().get("BearerToken")
        return {str(entry["key"]): str(entry["value"])} if entry and entry.get("value") else {}

    def ssl_context(self) -> ssl.SSLContext | bool:
        """For other HTTP libraries: the same trust and client certificate."""
        config = self.configuration
        if not self.server.startswith("https"):
            return False
        context = ssl.create_default_context(cafile=config.ssl_ca_cert, cadata=_text(config.ca_cert_data))
        if not config.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if config.cert_file:
            context.load_cert_chain(config.cert_file, config.key_file)
        return context


def _text(data: Any) -> str | None:
    return data.decode() if isinstance(data, bytes) else data


def is_configured() -> bool:
    """Whether a person has set up a cluster: KUBECONFIG, a pod's service account, or ~/.kube/config."""
    if os.environ.get("KUBECONFIG") or os.environ.get("KUBERNETES_SERVICE_HOST"):
        return True
    path = Path.home() / ".kube" / "config"
    if not path.exists():
        return False
    try:
        return kubernetes_config.list_kube_config_contexts(str(path))[1] is not None
    except kubernetes_config.ConfigException:
        return False


def configured_contexts() -> list[tuple[str, str, str, bool]]:
    """Of each context of the person's kubeconfig: name, server, namespace, and whether it is the current one."""
    path = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    try:
        contexts, current = kubernetes_config.list_kube_config_contexts(path)
        clusters = kubernetes_config.kube_config.KubeConfigMerger(path).config.value["clusters"]
    except (kubernetes_config.ConfigException, OSError):
        return []
    servers = {item["name"]: item["cluster"]["server"] for item in clusters if "server" in item["cluster"]}
    found = []
    for item in contexts:
        about = item.get("context") or {}
        is_current = item["name"] == (current or {}).get("name")
        server = str(servers.get(about.get("cluster"), ""))
        found.append((str(item["name"]), server, str(about.get("namespace") or "default"), is_current))
    return found


def connect(kubeconfig: Path | None = None, context: str | None = None) -> Connection:
    """The connection of a kubeconfig's context, or from inside a pod where there is no kubeconfig.

    Raises CpodError when neither says how to connect.
    """
    configuration = kubernetes_client.Configuration()
    in_pod = os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG")
    try:
        if kubeconfig is None and context is None and in_pod:
            kubernetes_config.load_incluster_config(client_configuration=configuration)
            return Connection(_tuned(configuration), "in-cluster", _IN_CLUSTER_NAMESPACE.read_text().strip())
        path = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        kubernetes_config.load_kube_config(
            path, context=context, client_configuration=configuration, persist_config=False
        )
        contexts, current = kubernetes_config.list_kube_config_contexts(path)
    except (kubernetes_config.ConfigException, OSError) as error:
        wanted = f"the context {context}" if context else "a cluster"
        raise CpodError(f"no way to connect to {wanted}: {error}") from error
    chosen = next((item for item in contexts if item["name"] == context), current)
    namespace = (chosen.get("context") or {}).get("namespace") or "default"
    return Connection(_tuned(configuration), str(chosen["name"]), namespace)


def _tuned(configuration: Any) -> Any:
    configuration.retries = False  # a lost connection is ours to handle
    configuration.connection_pool_maxsize = _CONNECTIONS
    if _is_loopback(configuration.host):
        configuration.proxy = None
    return configuration


def _is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
