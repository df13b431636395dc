"""The watches behind the live lists: shared, and going on over a restart of the engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cpod_jupyter import local
from cpod_jupyter.jupyter.server.address import KindPlace
from cpod_jupyter.jupyter.server.lists import ListNews, Lists
from cpod_jupyter.sdk import Session
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


def test_a_list_goes_on_when_the_engine_was_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPOD_HOME", str(tmp_path))
    monkeypatch.setenv("CPOD_CONTEXT", "engine")
    monkeypatch.delenv("CPOD_NAMESPACE", raising=False)

    async def looked() -> None:
        lists, page = Lists(Sessions(), asyncio.get_running_loop()), Page()
        leave = lists.subscribe(KindPlace("engine", "default", "job"), page.hear)
        await page.until(lambda page: any("does not run" in trouble for trouble in page.troubles))
        await asyncio.to_thread(lambda: Session().job("early", **SPEC))
        await page.until(lambda page: set(page.rows) == {"job/early"} and not page.troubles[-1])
        await asyncio.to_thread(local.stop)
        await page.until(lambda page: bool(page.troubles[-1]))
        assert set(page.rows) == {"job/early"}, "what was known stays to be seen"
        await asyncio.to_thread(lambda: Session().job("late", **SPEC))
        await page.until(lambda page: set(page.rows) == {"job/early", "job/late"} and not page.troubles[-1])
        await asyncio.to_thread(lambda: Session().delete("job", "early"))
        await page.until(lambda page: set(page.rows) == {"job/late"})
        leave()

    try:
        asyncio.run(looked())
    finally:
        local.stop()


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
