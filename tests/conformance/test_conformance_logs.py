"""Logs of pods with every option."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from conformance_api import IMAGE, Api, Space, wait

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"


@pytest.fixture
def numbers(space: Space) -> Space:
    """A namespace with a pod that has written the numbers one to five."""
    space.pod("p", "for i in 1 2 3 4 5; do echo $i; done")
    space.wait_phase("p", "Succeeded")
    return space


def test_a_log_is_plain_text(api: Api, numbers: Space) -> None:
    answer = api.get(numbers.path("pods", "p", "log"), accept="*/*")
    assert answer.headers["Content-Type"].split(";")[0] == "text/plain"
    assert answer.text == "1\n2\n3\n4\n5\n"


@pytest.mark.parametrize(("lines", "text"), [(2, "4\n5\n"), (0, ""), (99, "1\n2\n3\n4\n5\n")])
def test_the_last_lines_are_asked_for(numbers: Space, lines: int, text: str) -> None:
    assert numbers.log("p", tailLines=lines) == text


def test_the_bytes_are_limited(numbers: Space) -> None:
    assert numbers.log("p", limitBytes=5) == "1\n2\n3"


def test_lines_have_timestamps_when_asked_for(numbers: Space) -> None:
    lines = numbers.log("p", timestamps=True).splitlines()
    assert [re.fullmatch(rf"({STAMP}) (\d)", line)[2] for line in lines] == list("12345")  # type: ignore[index]
    assert lines == sorted(lines)


def test_a_log_begins_at_a_time(space: Space) -> None:
    space.pod("p", "echo early; sleep 2; echo late")
    space.wait_phase("p", "Succeeded")
    first = space.log("p", timestamps=True).splitlines()[0].split()[0]
    seen = dt.datetime.fromisoformat(first[:26].rstrip("Z") + "+00:00")
    later = (seen + dt.timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert space.log("p", sinceTime=later) == "late\n"
    assert space.log("p", sinceSeconds=3600) == "early\nlate\n"


def test_what_was_written_without_a_newline_is_there(space: Space) -> None:
    space.pod("p", "printf unfinished")
    space.wait_phase("p", "Succeeded")
    assert space.log("p") == "unfinished"


def test_both_of_a_programs_outputs_are_there(space: Space) -> None:
    space.pod("p", "echo out; echo err >&2")
    space.wait_phase("p", "Succeeded")
    assert sorted(space.log("p").split()) == ["err", "out"]


def test_bytes_that_are_no_text_are_passed_on(api: Api, space: Space) -> None:
    space.pod("p", r"printf '\377\000x\n'")
    space.wait_phase("p", "Succeeded")
    assert api.get(space.path("pods", "p", "log"), accept="*/*").body == b"\xff\x00x\n"


def test_a_followed_log_comes_as_it_is_written_and_ends_with_the_container(api: Api, space: Space) -> None:
    space.pod("p", "echo one; while ! test -e /dev/shm/none; do sleep 1; break; done; echo two; printf three")
    space.wait_phase("p", "Running", "Succeeded")
    with api.stream(space.path("pods", "p", "log"), accept="*/*", follow=True) as log:
        assert log.status == 200
        assert [log.line(), log.line(), log.line(), log.line()] == [b"one\n", b"two\n", b"three", None]


def test_following_begins_with_the_last_lines(api: Api, numbers: Space) -> None:
    with api.stream(numbers.path("pods", "p", "log"), accept="*/*", follow=True, tailLines=1) as log:
        assert [log.line(), log.line()] == [b"5\n", None]


def test_a_container_has_to_be_named_where_there_are_two(api: Api, space: Space) -> None:
    other = {"name": "other", "image": IMAGE, "command": ["sh", "-c", "echo other"]}
    main = {"name": "main", "image": IMAGE, "command": ["sh", "-c", "echo main"]}
    space.pod("p", "", containers=[main, other])
    space.wait_phase("p", "Succeeded")
    where = space.path("pods", "p", "log")
    message = api.get(where, accept="*/*").refused(400, "BadRequest")["message"]
    assert "a container name must be specified for pod p, choose one of: [main other]" in message
    assert space.log("p", container="other") == "other\n"
    api.get(where, accept="*/*", container="third").refused(400, "BadRequest")


def test_an_init_container_has_a_log_too(space: Space) -> None:
    first = {"name": "first", "image": IMAGE, "command": ["sh", "-c", "echo first"]}
    space.pod("p", "echo main", initContainers=[first])
    space.wait_phase("p", "Succeeded")
    assert (space.log("p", container="first"), space.log("p", container="main")) == ("first\n", "main\n")


def test_a_container_that_has_not_started_has_no_log(api: Api, space: Space) -> None:
    space.pod("p", "echo $A", container={"envFrom": [{"configMapRef": {"name": "none"}}]})

    def refusal() -> str:
        answer = api.get(space.path("pods", "p", "log"), accept="*/*")
        return str(answer.json()["message"]) if answer.status == 400 else ""

    wait(lambda: 'container "main" in pod "p" is waiting to start' in refusal(), "the log is refused")


def test_a_pod_that_is_not_there_has_no_log(api: Api, space: Space) -> None:
    api.get(space.path("pods", "none", "log"), accept="*/*").refused(404, "NotFound")


def test_the_log_of_the_run_before_is_kept(api: Api, space: Space) -> None:
    mount = [{"name": "shared", "mountPath": "/shared"}]
    script = "if test -e /shared/seen; then echo second; sleep 60; fi; touch /shared/seen; echo first; exit 1"
    space.pod(
        "p", script, container={"volumeMounts": mount}, restartPolicy="OnFailure",
        volumes=[{"name": "shared", "emptyDir": {}}],
    )  # fmt: skip
    where = space.path("pods", "p", "log")

    def second() -> bool:
        answer = api.get(where, accept="*/*")
        return answer.status == 200 and answer.text == "second\n"

    wait(second, "the second run writes", 60)
    assert space.log("p", previous=True) == "first\n"


def test_there_is_no_run_before_the_first(api: Api, numbers: Space) -> None:
    answer = api.get(numbers.path("pods", "p", "log"), accept="*/*", previous=True)
    assert "previous terminated container" in answer.refused(400, "BadRequest")["message"]


@pytest.mark.parametrize(
    "query",
    [
        {"tailLines": -1},
        {"limitBytes": 0},
        {"sinceSeconds": 0},
        {"sinceSeconds": 1, "sinceTime": "2020-01-01T00:00:00Z"},
    ],
    ids=["tail", "limit", "since", "both"],
)
def test_options_that_make_no_sense_are_refused(api: Api, numbers: Space, query: dict[str, object]) -> None:
    assert api.get(numbers.path("pods", "p", "log"), accept="*/*", **query).status in (400, 422)
