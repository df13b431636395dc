"""The watches behind the live lists: shared, and read anew where a server forgot what happened."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cpod_jupyter.jupyter.server.address import KindPlace
from cpod_jupyter.jupyter.server.lists import Lists
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.livelist import ListNews, LiveList
from cpod_jupyter.sdk.sessions import Sessions
from cpod_jupyter.sdk.view.listrow import Row

SECONDS = 60.0
SPEC = {"image": "python", "command": ["true"], "gpuRequiredPerReplica": 8}
"""No node has the GPUs: it stays as it is."""


class Page:
    """A page's list, and a way to wait for what it shows."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.troubles: list[str] = []
        self._changed = asyncio.Event()

    def hear(self, news: ListNews) -> None:
        if news.rows is not None:
            self.rows = {}
        self.rows |= {**(news.rows or {}), **news.changed}
        for key in news.gone:
            del self.rows[key]
        self.troubles.append(news.trouble)
        self._changed.set()

    async def until(self, true: Callable[[Page], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not true(self):
                self._changed.clear()
                await self._changed.wait()


def watching() -> int:
    return sum(thread.name.startswith("cpod-list-") for thread in threading.enumerate())


def test_pages_that_look_at_the_same_share_a_watch(namespace: str) -> None:
    async def looked() -> None:
        lists, first, second = Lists(Sessions(), asyncio.get_running_loop()), Page(), Page()
        before = watching()
        place = KindPlace("engine", namespace, "job")
        leave_first, leave_second = lists.subscribe(place, first.hear), lists.subscribe(place, second.hear)
        assert (lists.watched, watching() - before) == (1, 1)
        await asyncio.to_thread(Session().job, "facts", **SPEC)
        for page in (first, second):
            await page.until(lambda page: "job/facts" in page.rows)
        leave_group = lists.subscribe(KindPlace("engine", namespace, "jobs"), Page().hear)
        assert lists.watched > 10
        leave_group()
        leave_group()
        leave_first()
        assert lists.watched == 1
        await asyncio.to_thread(Session().delete, "job", "facts")
        await second.until(lambda page: not page.rows)
        assert "job/facts" in first.rows, "it looks no more"
        leave_second()
        assert lists.watched == 0
        async with asyncio.timeout(SECONDS):
            while watching() > before:
                await asyncio.sleep(0.05)

    asyncio.run(looked())


class Cluster(BaseHTTPRequestHandler):
    """An API server that has forgotten what happened since its first list of CPodJobs, lets nobody list FineTunes, and
    has no other kinds."""

    lists: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if "/finetunes" in self.path:
            return self.answer(403, {"kind": "Status", "reason": "Forbidden", "message": "not for you", "code": 403})
        if "/cpodjobs" not in self.path:
            return self.answer(404, {"kind": "Status", "reason": "NotFound", "message": "no such kind", "code": 404})
        if "watch=true" not in self.path:
            self.lists.append(f"listed-{len(self.lists) + 1}")
            item = {"metadata": {"name": self.lists[-1], "namespace": "default", "uid": "1"}, "spec": {"image": 7}}
            return self.answer(200, {"metadata": {"resourceVersion": "5"}, "items": [item]})
        expired = {"kind": "Status", "reason": "Expired", "message": "too old", "code": 410}
        changed = {"metadata": {"name": "changed", "namespace": "default", "uid": "2"}, "status": {"conditions": [3]}}
        first = len(self.lists) == 1
        self.answer(200, {"type": "ERROR", "object": expired} if first else {"type": "ADDED", "object": changed})

    def answer(self, code: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def forgetful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The context of such a cluster."""
    Cluster.lists.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Cluster) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "forgetful", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "forgetful",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.delenv("CPOD_CONTEXT", raising=False)
        yield "forgetful"
        server.shutdown()


def test_a_list_is_read_anew_when_its_changes_were_forgotten(forgetful: str) -> None:
    """Beside it: a kind that one may not list is told of, others are not there, and odd objects have a line too."""

    async def looked() -> None:
        lists, page = Lists(Sessions(), asyncio.get_running_loop()), Page()
        leave = lists.subscribe(KindPlace(forgetful, "default", "jobs"), page.hear)
        await page.until(lambda page: {"job/listed-2", "job/changed"} <= set(page.rows))
        assert "job/listed-1" not in page.rows
        assert page.rows["job/changed"]["phase"] == "Unknown"
        assert page.troubles[-1] == "finetune: not for you"
        leave()

    asyncio.run(looked())


def test_a_live_list_needs_no_event_loop(forgetful: str) -> None:
    live = LiveList(Session(forgetful, "default"), "jobs")
    assert live.wait(SECONDS)
    until = time.monotonic() + SECONDS
    for _ in live.changes(1.0):
        assert time.monotonic() < until
        if {"listed-2", "changed"} <= {row["name"] for row in live.rows()}:
            break
    assert "listed-1" not in {row["name"] for row in live.rows()}
    assert live.trouble == "finetune: not for you"
    live.close()
    assert list(live.changes()) == [], "it has ended"


def test_what_waits_for_a_page_is_merged() -> None:
    def row(name: str, phase: str) -> Row:
        return {
            "kind": "job", "name": name, "namespace": "default", "phase": phase, "tone": "busy", "final": False,
            "created": "", "gpus": "", "detail": "", "reason": "",
        }  # fmt: skip

    a, b, done = row("a", "Running"), row("b", "Running"), row("a", "Succeeded")
    waiting = ListNews(changed={"job/a": a}).then(ListNews(changed={"job/a": done, "job/b": b}))
    assert waiting.to_dict() == {"changed": [done, b], "gone": [], "trouble": ""}
    waiting = waiting.then(ListNews(gone=frozenset({"job/a"}), trouble="late"))
    assert waiting.to_dict() == {"changed": [b], "gone": ["job/a"], "trouble": "late"}
    waiting = waiting.then(ListNews(changed={"job/a": a}))
    assert waiting.to_dict() == {"changed": [b, a], "gone": [], "trouble": ""}
    listed = ListNews(rows={"job/a": a, "job/b": b}).then(waiting).then(ListNews(gone=frozenset({"job/b"})))
    assert listed.to_dict() == {"rows": [a], "trouble": ""}
    assert waiting.then(ListNews(rows={})).to_dict() == {"rows": [], "trouble": ""}
