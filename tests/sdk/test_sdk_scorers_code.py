"""Code in answers is run with the row's tests, in pods of the engine that may do little."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import CONFIGMAPS, PODS
from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.evaluate import Answered, Score, scorer_of
from cpod_jupyter.sdk.evaluate.scorers import sandbox_program

Eventually = Callable[..., object]

ADD = "def add(a, b):\n    return a + b"


def run(session: Session, *rows: tuple[str, Any], **options: Any) -> list[Score]:
    scorer = scorer_of({"code": {"seconds": 3, **options}})
    scorer.prepare(session)
    asked = [
        Answered(answer, {"messages": [{"role": "user", "content": "?"}], "answer": "", "tests": tests})
        for answer, tests in rows
    ]
    return scorer.score_all(asked)


def left_over(session: Session) -> list[Any]:
    kinds = (PODS, CONFIGMAPS)
    return [
        each
        for kind in kinds
        for each in session.client.list(kind, session.namespace, label_selector=names.LABEL_SANDBOX).items
    ]


def test_an_answer_passes_if_its_tests_do_and_the_reason_is_said_if_not(session: Session) -> None:
    found = run(
        session,
        (f"Here it is:\n```python\n{ADD}\n```\nIt adds.", ["assert add(1, 2) == 3", "assert add(0, 0) == 0"]),
        (ADD.replace("+", "-"), "assert add(1, 2) == 3, 'one and two'"),
        ("def add(a, b:", "assert add(1, 2) == 3"),
        ("import sys\nsys.exit(0)", "assert False"),
        ("while True: pass", "assert True"),
        (ADD, ""),
    )
    assert [score.values.get("") for score in found] == [1, 0, 0, 0, 0, None]
    assert found[1].reason == "AssertionError: one and two"
    assert "SyntaxError" in found[2].reason
    assert found[3].reason == "it ended before the tests were through"
    assert found[4].reason == "it took longer than 3 s"
    assert found[5].error == "the row has no tests (a text or a list of statements)"
    assert left_over(session) == []


def test_code_has_no_network_no_memory_past_its_limit_and_changes_no_file(session: Session, tmp_path: Path) -> None:
    host, port = session.client.server.removeprefix("https://").split(":")
    secret, home = tmp_path / "secret", os.path.expanduser("~")
    secret.write_text("secret")
    found = run(
        session,
        (f"import socket\nsocket.create_connection(({host!r}, {port}), 2)", "assert True"),
        ("x = bytearray(2 << 30)", "assert True"),
        (f"open({str(secret)!r}).read()", "assert True"),
        (f"import os\nopen(os.path.join({home!r}, 'left'), 'w').write('x')", "assert True"),
        ("open('/usr/left', 'w')", "assert True"),
        ("import os\nassert os.getuid() != 0 or True\nos.setuid(0)", "assert os.getuid() != 0"),
        ("open('own', 'w').write('x')", "assert open('own').read() == 'x'"),
        (f"import os\nos.kill({os.getpid()}, 0)", "assert True"),
        ("import os", "assert len([each for each in os.listdir('/proc') if each.isdigit()]) < 9"),
    )
    reasons = [score.reason for score in found]
    assert "unreachable" in reasons[0]
    assert reasons[1] == "MemoryError"
    assert "No such file" in reasons[2]
    assert found[4].values[""] == 0
    assert not os.path.exists(os.path.join(home, "left"))
    assert secret.read_text() == "secret"
    assert found[5].values[""] == 0
    assert found[6].values[""] == 1
    assert "ProcessLookupError" in reasons[7]
    assert found[8].values[""] == 1


def test_many_rows_take_one_pod_and_a_row_that_fits_none_is_told(session: Session) -> None:
    seen: set[str] = set()
    listing = session.client.create

    def create(resource: Any, obj: Any, **options: Any) -> Any:
        if resource == PODS:
            seen.add(obj["metadata"]["name"])
        return listing(resource, obj, **options)

    session.client.create = create  # type: ignore[method-assign]
    found = run(session, *[(ADD, f"assert add({at}, 1) == {at + 1}") for at in range(40)])
    assert [score.values[""] for score in found] == [1] * 40
    assert len(seen) == 1
    (big,) = run(session, (ADD + "\n# " + "x" * (700 << 10), "assert True"))
    assert "KiB" in big.reason


def test_a_sandbox_that_is_taken_away_is_said_and_leaves_nothing(session: Session, eventually: Eventually) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, session, ("while True: pass", "assert True"), seconds=60)

        def under_way() -> str:
            pods = session.client.list(PODS, session.namespace, label_selector=names.LABEL_SANDBOX).items
            return next((meta.name_of(pod) for pod in pods if pod["status"].get("phase") == "Running"), "")

        name = str(eventually(under_way, "a sandbox runs"))
        session.client.delete(PODS, name, session.namespace, grace_seconds=0)
        with pytest.raises(CpodError, match=f"the sandbox {name} was deleted while it ran"):
            running.result(60)
    assert left_over(session) == []


@pytest.fixture
def confined(tmp_path: Path) -> Callable[..., str]:
    """What the program in the pod prints where it may make no name spaces, as in most clusters' pods."""
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("needs unshare and setpriv (util-linux)")
    rows = tmp_path / "rows.json"
    row = {"code": ADD, "tests": "assert add(1, 2) == 3"}
    rows.write_text(json.dumps({"rows": [row], "seconds": 5, "memory": 1 << 29, "parallel": 1}))
    powerless = ["unshare", "--user", "--map-root-user", "setpriv", "--bounding-set=-all", "--inh-caps=-all"]

    def program(**environment: str) -> str:
        command = [*powerless, sys.executable, "-I", sandbox_program.__file__, str(rows)]
        ran = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)
        return ran.stdout

    return program


def test_without_name_spaces_code_runs_only_where_the_network_is_seen_to_be_closed(
    confined: Callable[..., str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as api_server:
        port = str(api_server.getsockname()[1])
        reached = confined(KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=port)
    assert reached.startswith("cpod-refused this pod has a network: the cluster's does not enforce NetworkPolicy")
    closed = confined(KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=port)
    assert closed == 'cpod-row {"row": 0, "passed": true, "why": ""}\n'
    assert confined(KUBERNETES_SERVICE_HOST="").startswith("cpod-refused whether this pod has a network cannot be seen")
