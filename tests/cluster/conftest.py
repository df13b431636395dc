from __future__ import annotations

from collections.abc import Iterator

import pytest
from kube_apiserver import ApiServer, binaries, kube_apiserver


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Kubernetes' own API server over etcd, where their programs are on this machine."""
    found = binaries()
    if found is None:
        pytest.skip("needs kube-apiserver and etcd, on PATH or in KUBEBUILDER_ASSETS")
    with kube_apiserver(tmp_path_factory.mktemp("kube"), *found) as running:
        yield running
