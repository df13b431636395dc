"""What pods serve, through the API server: services' and pods' proxies."""

from __future__ import annotations

import asyncio
import io
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from cpod_jupyter.api.resources import PODS, SERVICES

from .cluster import Cluster
from .served import served

_SERVER = """
import asyncio, os
from aiohttp import web

async def echo(request):
    body = await request.read()
    return web.json_response({
        "method": request.method, "path": request.raw_path, "size": len(body),
        "authorization": request.headers.get("Authorization"), "length": request.headers.get("Content-Length"),
    })

async def redirect(request):
    to = request.query.get("to") or f"http://{os.environ['IP']}:8080/there?a=1"
    raise web.HTTPFound(to)

async def endless(request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    try:
        await answer.write(b"first\\n")
        await asyncio.sleep(600)
    finally:
        print("the client went", flush=True)

async def socket(request):
    talk = web.WebSocketResponse(protocols=["shout"])
    await talk.prepare(request)
    async for message in talk:
        await talk.send_str(message.data.upper())
    return talk

app = web.Application(client_max_size=2**30)
app.router.add_get("/redirect", redirect)
app.router.add_get("/endless", endless)
app.router.add_get("/socket", socket)
app.router.add_route("*", "/{rest:.*}", echo)
web.run_app(app, host=os.environ["IP"], port=8080, print=None, handler_cancellation=True)
"""

Session = aiohttp.ClientSession
Talk = Callable[[Session, str], Awaitable[None]]


@pytest.fixture
def talk(cluster: Cluster) -> Iterator[Callable[[Talk], None]]:
    """Runs a coroutine with a session, and the address of namespace default, against a served pod `box`."""
    container = {
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": "web", "containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    cluster.run("box", sys.executable, "-c", _SERVER, container=container, metadata={"labels": {"app": "box"}})

    def ready() -> bool:
        conditions = (cluster.get(PODS, "box").get("status") or {}).get("conditions") or []
        return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)

    cluster.wait(ready, "the server is ready")
    with served(cluster) as path:
        yield lambda what: asyncio.run(_with_session(path, what))


async def _with_session(kubeconfig: Path, what: Talk) -> None:
    config = yaml.safe_load(kubeconfig.read_text())
    address, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
    context = ssl.create_default_context(cafile=str(kubeconfig.parent / "pki" / "ca.crt"))
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=context)) as session:
        await what(session, f"{address}/api/v1/namespaces/default")


def test_a_pods_proxy_hands_on_paths_queries_and_large_bodies(talk: Callable[[Talk], None]) -> None:
    async def what(session: Session, base: str) -> None:
        from yarl import URL

        for name in ("box", "box:8080", "http:box:web"):
            url = URL(f"{base}/pods/{name}/proxy/a%2Fb/c/?q=%20x&q=2", encoded=True)
            async with session.put(url, data=io.BytesIO(b"x" * (8 * 2**20))) as answer:
                said = await answer.json()
            assert said["path"] == "/a%2Fb/c/?q=%20x&q=2"
            assert (said["method"], said["size"], said["length"]) == ("PUT", 8 * 2**20, str(8 * 2**20))
            assert said["authorization"] is None, "the caller's token stays here"
        async with session.get(f"{base}/pods/nobody/proxy/") as answer:
            assert answer.status == 404
        async with session.get(f"{base}/pods/box:9/proxy/") as answer:
            assert (answer.status, (await answer.json())["kind"]) == (503, "Status")

    talk(what)


def test_redirects_stay_within_the_proxy(talk: Callable[[Talk], None]) -> None:
    async def what(session: Session, base: str) -> None:
        proxy = f"{base}/pods/box:8080/proxy"
        path = proxy.partition("/api")[2]

        async def location(url: str, **query: str) -> str:
            async with session.get(url, params=query, allow_redirects=False) as answer:
                return str(answer.headers["Location"])

        assert await location(f"{proxy}/redirect") == f"/api{path}/there?a=1"
        assert await location(f"{proxy}/redirect", to="/local") == f"/api{path}/local"
        assert await location(f"{proxy}/redirect", to="https://elsewhere.example/x") == "https://elsewhere.example/x"
        assert await location(proxy) == f"/api{path}/"

    talk(what)


def test_a_client_that_goes_ends_its_request(cluster: Cluster, talk: Callable[[Talk], None]) -> None:
    async def what(session: Session, base: str) -> None:
        answer = await session.get(f"{base}/pods/box/proxy/endless")
        assert await answer.content.readline() == b"first\n"
        answer.close()

    talk(what)
    pod = cluster.get(PODS, "box")
    cluster.wait(lambda: "the client went" in cluster.output(pod), "the pod learns that the client went")


def test_websockets_are_carried_on(cluster: Cluster, talk: Callable[[Talk], None]) -> None:
    ports = [{"name": "web", "port": 80, "targetPort": "web"}]
    cluster.create(SERVICES, "front", spec={"selector": {"app": "box"}, "ports": ports})

    async def what(session: Session, base: str) -> None:
        for place in ("pods/box", "services/front:web"):
            async with session.ws_connect(f"{base}/{place}/proxy/socket", protocols=["shout"]) as socket:
                assert socket.protocol == "shout"
                await socket.send_str("hello")
                assert await socket.receive_str(timeout=20) == "HELLO"
        refused: Any = None
        try:
            await session.ws_connect(f"{base}/pods/box/proxy/no-socket")
        except aiohttp.WSServerHandshakeError as error:
            refused = error
        assert refused is not None

    talk(what)
