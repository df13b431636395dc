"""Kubernetes' API server with etcd, as processes for tests (as controller-runtime's envtest does it).

No kubelet and next to no controllers: what a test wants of those it does itself. The programs are looked for in
KUBEBUILDER_ASSETS and on PATH.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_ADMIN = "admin-token"
_OPERATOR = "operator-token"
OPERATOR = "system:serviceaccount:cpod-system:cpod-operator"


@dataclass(frozen=True)
class ApiServer:
    """`admin` and `operator` are kubeconfigs: of a cluster-admin, and of the operator's ServiceAccount."""

    url: str
    admin: Path
    operator: Path
    controllers: bool
    """Whether kube-controller-manager runs, which is optional: roles are aggregated, and orphans collected."""


def binaries() -> tuple[str, str, str | None] | None:
    """Paths of kube-apiserver and etcd, and of kube-controller-manager where that is there too."""
    path = os.pathsep.join([os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ.get("PATH", "")])
    apiserver, etcd, controllers = (
        shutil.which(name, path=path) for name in ("kube-apiserver", "etcd", "kube-controller-manager")
    )
    return (apiserver, etcd, controllers) if apiserver and etcd else None


@contextmanager
def kube_apiserver(folder: Path, apiserver: str, etcd: str, controllers: str | None) -> Iterator[ApiServer]:
    peer, client, port = _free(), _free(), _free()
    storage = f"http://127.0.0.1:{client}"
    _write_key(folder / "accounts.key")
    (folder / "tokens.csv").write_text(
        f'{_ADMIN},admin,admin,"system:masters"\n'
        f'{_OPERATOR},{OPERATOR},operator,"system:serviceaccounts,system:serviceaccounts:cpod-system"\n'
    )
    with ExitStack() as stack:
        stack.enter_context(
            _running(
                folder / "etcd.log", etcd, "--data-dir", str(folder / "etcd"), "--listen-client-urls", storage,
                "--advertise-client-urls", storage, "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-cluster", f"default=http://127.0.0.1:{peer}", "--unsafe-no-fsync",
            )
        )  # fmt: skip
        stack.enter_context(
            _running(
                folder / "kube-apiserver.log", apiserver, "--etcd-servers", storage, "--secure-port", str(port),
                "--bind-address", "127.0.0.1", "--cert-dir", str(folder / "certs"),
                "--service-account-issuer", "https://kubernetes.default.svc",
                "--service-account-key-file", str(folder / "accounts.key"),
                "--service-account-signing-key-file", str(folder / "accounts.key"),
                "--token-auth-file", str(folder / "tokens.csv"), "--authorization-mode", "RBAC",
                "--service-cluster-ip-range", "10.0.0.0/24", "--disable-admission-plugins", "ServiceAccount",
                "--enable-admission-plugins", "OwnerReferencesPermissionEnforcement",
            )
        )  # fmt: skip
        url = f"https://127.0.0.1:{port}"
        _wait_until_ready(url, folder)
        certificate = folder / "certs" / "apiserver.crt"
        admin = _kubeconfig(folder / "admin.yaml", url, certificate, _ADMIN)
        if controllers:
            stack.enter_context(
                _running(
                    folder / "kube-controller-manager.log", controllers, "--kubeconfig", str(admin),
                    "--controllers", "garbagecollector,clusterrole-aggregation", "--leader-elect=false",
                    "--secure-port", str(_free()), "--bind-address", "127.0.0.1",
                    "--cert-dir", str(folder / "certs-cm"),
                )
            )  # fmt: skip
        operator = _kubeconfig(folder / "operator.yaml", url, certificate, _OPERATOR)
        yield ApiServer(url, admin, operator, controllers is not None)


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _write_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form))


@contextmanager
def _running(log: Path, *command: str) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def _wait_until_ready(url: str, folder: Path) -> None:
    deadline = time.monotonic() + 60
    with urllib3.PoolManager(cert_reqs="CERT_NONE") as http:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        while True:
            try:
                answer = http.request(
                    "GET", f"{url}/readyz", headers={"Authorization": f"Bearer {_ADMIN}"}, retries=False
                )
                if answer.status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            assert time.monotonic() < deadline, (folder / "kube-apiserver.log").read_text()[-2000:]
            time.sleep(0.2)


def _kubeconfig(path: Path, url: str, certificate: Path, token: str) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "k", "cluster": {"server": url, "certificate-authority": str(certificate)}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "k", "context": {"cluster": "k", "user": "u", "namespace": "default"}}],
        "current-context": "k",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document))
    return path
