"""Load: how fast a model answers when several ask at a time, measured over real HTTP."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from chat_server import Model, Served, refusal

from cpod_jupyter import Endpoint
from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk import Bench
from cpod_jupyter.sdk.questions.bench import Timed
from cpod_jupyter.sdk.questions.benchview import level_of, percentile
from cpod_jupyter.sdk.view.curve import number


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served(Model(answer=lambda said: "one two three four"))
    yield found
    found.stop()


def test_each_level_is_held_for_its_requests_and_counted(served: Served) -> None:
    told: list[str] = []
    served.model.together = lambda: 3 if len(served.model.bodies) > 13 else 0  # the second level
    found = Endpoint(served.url).bench([1, 3], requests=12, max_tokens=16, tell=told.append, temperature=0)
    assert [each.concurrency for each in found.levels] == [1, 3]
    assert [each.requests for each in found.levels] == [12, 12]
    assert served.model.most_under_way == 3
    assert len(served.model.bodies) == 25, "one before, which does not count"
    assert served.model.bodies[0]["max_tokens"] == 16
    assert served.model.bodies[0]["temperature"] == 0
    assert len({str(each["messages"]) for each in served.model.bodies}) == 25, "no cache can answer"
    for level in found.levels:
        assert level.tokens_per_second == pytest.approx(4 * level.requests_per_second)
        assert 0 < level.ttft_p50 <= level.ttft_p95 < level.seconds
        assert 0 <= level.itl_p50 <= level.itl_p95
    assert told == [f"{served.url}: 1 at a time (1 of 2)", f"{served.url}: 3 at a time (2 of 2)"]


def test_without_a_number_of_requests_a_level_is_held_for_its_time(served: Served) -> None:
    (level,) = Endpoint(served.url).bench([2], ["say something"], seconds=0.5).levels
    assert level.seconds >= 0.5
    assert level.requests > 2


def test_a_server_that_counts_no_tokens_is_measured_by_its_pieces(served: Served) -> None:
    served.model.stream_options = False
    (level,) = Endpoint(served.url).bench([2], requests=8).levels
    assert level.errors == 0
    assert level.tokens_per_second == pytest.approx(4 * level.requests_per_second)
    assert "stream_options" not in served.model.bodies[-1]


def test_requests_that_fail_are_counted_and_told(served: Served) -> None:
    def wrong(asked: dict[str, Any], before: int) -> Any:
        return refusal(503, "too much to do") if asked["messages"][0]["content"].startswith(("(3)", "(5)")) else None

    served.model.wrong = wrong
    found = Endpoint(served.url).bench([1, 2], requests=4)
    assert [(each.requests, each.errors) for each in found.levels] == [(2, 2), (4, 0)]
    assert "2 errors with 1 at a time; the first: HTTP 503: too much to do" in repr(found)


def test_a_result_is_a_table_a_frame_and_a_plot_that_say_the_same(served: Served) -> None:
    found = Endpoint(served.url).bench([1, 2, 4], requests=4)
    assert repr(found).splitlines()[0] == f"{served.url}, model echo"
    assert repr(found).splitlines()[1].split()[:3] == ["AT", "A", "TIME"]
    frame = found.to_df()
    assert list(frame["concurrency"]) == [1, 2, 4]
    assert frame["ttft_p95"].iloc[2] == found.levels[2].ttft_p95
    bundle = found._repr_mimebundle_()
    assert bundle["text/html"].count("<img") == 2
    drawn = ElementTree.fromstring(bundle["image/svg+xml"])
    assert f"{number(found.levels[2].tokens_per_second)} with 4" in drawn.attrib["aria-label"]
    assert "requests at a time" in "".join(drawn.itertext())


def test_one_level_alone_has_no_plot(served: Served) -> None:
    bundle = Endpoint(served.url).bench([1], requests=2)._repr_mimebundle_()
    assert "image/svg+xml" not in bundle
    assert "<img" not in bundle["text/html"]


def test_the_numbers_are_those_of_their_definitions() -> None:
    timed = [Timed(0.0, [0.1, 0.2, 0.4], tokens=3), Timed(1.0, [1.3], tokens=1), Timed(2.0, error="no")]
    level = level_of(2, timed, 2.0)
    assert (level.requests, level.errors, level.first_error) == (2, 1, "no")
    assert (level.requests_per_second, level.tokens_per_second) == (1, 2)
    assert level.ttft_p50 == pytest.approx(0.2)
    assert level.ttft_p95 == pytest.approx(0.29)
    assert level.itl_p50 == pytest.approx(0.15)
    assert percentile([1, 2, 3, 4], 0.5) == 2.5
    nothing = level_of(1, [Timed(0.0, error="no")], 1.0)
    assert math.isnan(nothing.ttft_p50)
    assert "-" in repr(Bench("x", "y", [nothing]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": []}, "concurrency is one or several whole numbers from 1"),
        ({"concurrency": [0]}, "concurrency is one or several whole numbers from 1"),
        ({"seconds": 0}, "must be more than 0"),
        ({"prompts": []}, "prompts are a list of texts"),
        ({"stream": False}, "stream cannot be given here"),
    ],
)
def test_what_cannot_be_measured_is_told(served: Served, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CpodError, match=message):
        Endpoint(served.url).bench(**options)
    assert not served.model.bodies


def test_a_model_that_does_not_answer_at_all_is_told(served: Served) -> None:
    served.model.wrong = lambda asked, before: refusal(500, "broken")
    with pytest.raises(CpodError, match="did not answer: HTTP 500: broken"):
        Endpoint(served.url).bench([1], requests=1)
