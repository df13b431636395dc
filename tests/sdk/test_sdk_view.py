"""What is shown carries what is known, in HTML, SVG and text alike."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from cpod_jupyter.api.resources import FINETUNES
from cpod_jupyter.sdk.history import History, LogLine, Progress
from cpod_jupyter.sdk.podstates import PodState
from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.states import State, Status
from cpod_jupyter.sdk.view import bundle, card, curve, table

METRICS = tuple({"step": step, "loss": 3 / step, "epoch": step / 10} for step in range(1, 31))
RUNNING = Snapshot(
    FINETUNES, "facts", "default", Status(State.RUNNING, "Running"),
    progress=Progress("train", 30, 40, "steps", 61), metrics=METRICS, elapsed=93,
    log=(LogLine("master-0", "first"), LogLine("master-0", "<script>alert(1)</script>")),
)  # fmt: skip
FAILED = Snapshot(
    FINETUNES, "facts", "default", Status(State.FAILED, "Failed"), reason="the GPU ran out of memory",
    advice="halve hyperParameters.batch_size", evidence=("CUDA out of memory",),
)  # fmt: skip
VOID = {"br", "line", "circle", "polyline", "input", "hr", "img"}


class Reader(HTMLParser):
    """Collects text and attributes, and insists that every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_a_running_job_shows_its_phase_progress_time_left_and_loss() -> None:
    page = Reader(card.html(RUNNING))
    for word in ("finetune", "facts", "Running", "75%", "step 30 of 40, 1 min 1 s left", "loss 0.100", "1 min 33 s"):
        assert word in page.text
    [curve_image] = [attrs for tag, attrs in page.tags if tag == "img"]
    assert curve_image["src"].startswith("data:image/svg+xml;base64,")
    assert "0.1 at step 30" in curve_image["alt"]
    [bar] = [attrs for tag, attrs in page.tags if attrs.get("role") == "progressbar"]
    assert bar["aria-valuenow"] == "75"


RECORDS = (
    '@cpod {"type":"metrics","step":1,"total_steps":2,"loss":2.5,"memory_bytes":41000000000,'
    '"gpu_memory_bytes":61200000000,"gpu_memory_total_bytes":85000000000,"gpu_utilization":97}',
    '@cpod {"type":"metrics","step":1,"total_steps":2,"loss":2.5,"memory_bytes":560000000}',
)
"""As the trainer writes them on a GPU whose utilisation is known, and on a CPU."""


def test_what_a_training_uses_of_its_gpu_is_shown_where_it_is_known() -> None:
    shown = []
    for line in RECORDS:
        history = History()
        history.add(line)
        shown.append(dataclasses.replace(RUNNING, metrics=tuple(history.metrics)))
    on_gpu, on_cpu = shown
    for words in (card.text(on_gpu), Reader(card.html(on_gpu)).text):
        assert "GPU memory 61.2 GB of 85.0 GB" in words
        assert "GPU 97% busy" in words
    assert "memory 560 MB" in card.text(on_cpu)
    assert "GPU" not in card.text(on_cpu)


def test_log_lines_are_text_whatever_they_contain() -> None:
    page = Reader(card.html(RUNNING))
    assert "script" not in [tag for tag, _ in page.tags]
    assert "<script>alert(1)</script>" in page.text


def test_words_stay_apart_where_a_notebook_is_not_trusted_and_loses_its_styles() -> None:
    bare = re.sub(r"<style>.*?</style>", "", card.html(RUNNING), flags=re.DOTALL)
    text = re.sub(r"<[^>]*>", "", bare)
    assert "finetune facts Running" in text
    assert "75% step 30" in text


def test_a_failure_shows_cause_evidence_and_what_to_do() -> None:
    for shown in (Reader(card.html(FAILED)).text, card.text(FAILED)):
        assert "the GPU ran out of memory" in shown
        assert "halve hyperParameters.batch_size" in shown
        assert "CUDA out of memory" in shown


@pytest.mark.parametrize("snapshot", [RUNNING, FAILED], ids=["running", "failed"])
def test_the_text_has_few_lines(snapshot: Snapshot) -> None:
    assert 3 <= len(card.text(snapshot).splitlines()) <= 8


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = card.html(RUNNING).replace("http://www.w3.org/2000/svg", "")
    assert "http" not in html
    assert "url(" not in html


def test_the_curve_is_an_image_too() -> None:
    image = bundle.of_snapshot(RUNNING)["image/svg+xml"]
    root = ElementTree.fromstring(image)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "0.1 at step 30" in root.attrib["aria-label"]
    assert "var(" not in image
    assert "image/svg+xml" not in bundle.of_snapshot(FAILED)


def test_a_long_curve_is_thinned_but_keeps_its_extremes_and_its_ends() -> None:
    points = [(float(step), 1.0) for step in range(100_000)]
    points[54_321] = (54_321.0, 9.0)
    thin = curve.decimated(points)
    assert len(thin) <= curve.MOST_POINTS
    assert (54_321.0, 9.0) in thin
    assert (thin[0], thin[-1]) == (points[0], points[-1])
    assert thin == sorted(thin)


def test_a_curve_without_two_points_is_nothing() -> None:
    assert curve.svg(METRICS[:1]) == ""
    assert curve.svg(tuple({"step": step, "loss": float("nan")} for step in range(3))) == ""


def test_tables_escape_their_cells_and_align_as_text() -> None:
    page = Reader(table.html(("name", "phase"), [("<b>", "done")], pills=(1,)))
    assert "<b>" in page.words
    assert table.text(("name", "phase"), [("a", "done")]) == "NAME  PHASE\na     done"


def test_the_pods_are_shown_by_rank_with_what_they_use() -> None:
    pods = (
        PodState("master-0", "Running", "node-1", 0, 1.94, 812_000_000),
        PodState("worker-0", "CrashLoopBackOff", "node-2", 3),
    )
    shown = dataclasses.replace(RUNNING, pods=pods, events=("worker-0: Back-off restarting failed container",))
    reader = Reader(card.html(shown))
    assert "master-0 Running (1.9 CPUs, 812 MB)" in " ".join(reader.text.split())
    assert "worker-0 CrashLoopBackOff (3 restarts)" in " ".join(reader.text.split())
    assert "Back-off restarting failed container" in reader.text
    assert "pods: master-0 Running (1.9 CPUs, 812 MB), worker-0 CrashLoopBackOff (3 restarts)" in card.text(shown)


def test_of_many_pods_the_first_are_shown_and_the_others_counted() -> None:
    shown = dataclasses.replace(RUNNING, pods=tuple(PodState(f"worker-{rank}", "Running") for rank in range(64)))
    assert "worker-7 Running, and 56 more" in card.text(shown)
    assert "and 56 more" in Reader(card.html(shown)).text


def test_the_curve_has_the_loss_on_held_out_rows_and_the_learning_rate() -> None:
    metrics = [{**record, "learning_rate": 2e-4 * (1 - (record["step"] - 1) / 40)} for record in METRICS]
    metrics[14]["eval_loss"], metrics[29]["eval_loss"] = 0.9, 0.61
    drawn = ElementTree.fromstring(curve.svg(metrics, 40))
    lines = drawn.findall("{http://www.w3.org/2000/svg}polyline")
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert len(lines) == 3
    assert "loss 0.100" in words
    assert "eval 0.610" in words
    assert any("learning rate, at most 0.0002" in str(word) for word in words)
    heights = [float(text.get("y") or 0) for text in drawn.iter() if (text.text or "").startswith(("loss", "eval"))]
    assert abs(heights[0] - heights[1]) >= 14, "one label does not lie over the other"
