"""InferenceServices that have no pod while nobody asks, at the URL that they say and through the API server's proxy."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from controllers.serving import POD_IP, ask, serve, server, wait_reason
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import INFERENCESERVICES, SERVICES
from cpod_jupyter.engine.controllers.endpoints import endpoints_controller
from cpod_jupyter.engine.controllers.inferenceservice import inferenceservice_controller
from cpod_jupyter.engine.controllers.scaling import LAST_REQUEST
from cpod_jupyter.engine.http.front import Front
from cpod_jupyter.engine.http.proxy import ServiceProxy
from cpod_jupyter.engine.http.server import listen

RETENTION = "autoscaling.knative.dev/scale-to-zero-pod-retention-period"
INITIAL = "autoscaling.knative.dev/initial-scale"
SLOW = """
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        for number in range(8):
            self.wfile.write(str(number).encode()); self.wfile.flush(); time.sleep(0.5)
    def log_message(self, *_): pass
http.server.HTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


@pytest.fixture
def fronted(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with the engine's own listener for services that may have no pod."""
    listener = listen(0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    cluster = Cluster(tmp_path / "home", lambda api: [inferenceservice_controller(api, url), endpoints_controller(api)])
    cluster.start()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = ServiceProxy(cluster.objects)

    async def up() -> Front:
        front = Front(proxy, listener)
        await front.start()
        return front

    async def down(front: Front) -> None:
        await front.stop()
        await proxy.close()

    front = asyncio.run_coroutine_threadsafe(up(), loop).result(10)
    yield cluster
    asyncio.run_coroutine_threadsafe(down(front), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
    cluster.stop()
    cluster.remove_pods()


def url_of(cluster: Cluster, name: str) -> str:
    return str(cluster.get(INFERENCESERVICES, name)["status"]["url"])


def test_an_idle_service_has_no_pod_and_a_request_brings_one_back(fronted: Cluster) -> None:
    serve(fronted, "llm", {RETENTION: "1s"}, containers=[server("one")], minReplicas=0)
    wait_reason(fronted, "llm", "MinimumReplicasAvailable")  # once, to see that it gets ready
    wait_reason(fronted, "llm", "ScaledToZero")
    fronted.wait(lambda: not fronted.pods(), "its pod is gone")
    service = fronted.get(INFERENCESERVICES, "llm")
    assert meta.is_true(service, "Ready")
    assert service["status"]["modelStatus"]["states"] == {"activeModelState": "Standby", "targetModelState": "Standby"}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: ask(url_of(fronted, "llm"), 30), range(3)))
    assert answers == ["one"] * 3
    assert LAST_REQUEST in fronted.get(SERVICES, "llm-predictor")["metadata"]["annotations"]
    wait_reason(fronted, "llm", "ScaledToZero")
    fronted.wait(lambda: not fronted.pods(), "its pod is gone again")


def test_an_answer_that_takes_longer_than_the_idle_time_keeps_its_pod(fronted: Cluster) -> None:
    container = {**server(""), "command": [sys.executable, "-c", SLOW], "env": [POD_IP]}
    serve(fronted, "slow", {RETENTION: "1s", INITIAL: "0"}, containers=[container], minReplicas=0)
    wait_reason(fronted, "slow", "ScaledToZero")
    assert fronted.pods() == []
    assert ask(url_of(fronted, "slow"), 30) == "01234567"


def test_who_asks_a_service_that_cannot_start_is_told_why(fronted: Cluster) -> None:
    crash = {**server(""), "command": ["sh", "-c", "echo 'no model here' > /dev/termination-log; exit 1"]}
    serve(fronted, "bad", {INITIAL: "0"}, containers=[crash], minReplicas=0)
    wait_reason(fronted, "bad", "ScaledToZero")

    def refused() -> dict[str, Any]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(url_of(fronted, "bad"), 60)
        with caught.value:
            assert caught.value.code == 503
            return dict(json.loads(caught.value.read())["error"])

    assert "no model here" in refused()["message"]


def test_only_services_that_may_have_no_pod_are_answered_for(fronted: Cluster) -> None:
    serve(fronted, "llm", containers=[server("one")])
    wait_reason(fronted, "llm", "MinimumReplicasAvailable")
    assert url_of(fronted, "llm").startswith("http://127.")
    fronted.create(SERVICES, "other", spec={"ports": [{"port": 80}], "selector": {"a": "b"}})
    serve(fronted, "idle", {INITIAL: "0"}, containers=[server("two")], minReplicas=0)
    wait_reason(fronted, "idle", "ScaledToZero")
    base = url_of(fronted, "idle").removesuffix(f"/{NAMESPACE}/idle-predictor")
    for path in ("/default/other", "/default/llm-predictor", "/default/none", "/"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(base + path)
        with caught.value:
            assert caught.value.code == 404
