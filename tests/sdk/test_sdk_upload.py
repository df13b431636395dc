"""Data in hand as datasets and models: on the engine, and through a pod as on a cluster."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy
import pandas as pd
import pytest
import safetensors.numpy

from cpod_jupyter import local
from cpod_jupyter.api.resources import PODS, PVCS
from cpod_jupyter.errors import ApiError, CpodError, PreflightFailed, WorkFailed
from cpod_jupyter.sdk import Session, State
from cpod_jupyter.sdk.content import Content, dataset_content, model_content
from cpod_jupyter.sdk.upload import UploadInterrupted

ROWS = [{"prompt": f"What is {n} + {n}?", "completion": str(2 * n)} for n in range(40)]
CHAT = [{"messages": [{"role": "user", "content": "Who rows?"}, {"role": "assistant", "content": "She does: é"}]}]


def of_file(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows_of(content: Content) -> list[dict[str, Any]]:
    return [json.loads(line) for line in b"".join(content.files[0].chunks()).splitlines()]


def test_the_same_rows_are_the_same_content_in_whatever_form_they_come(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(row) for row in ROWS)
    pd.DataFrame(ROWS).to_parquet(tmp_path / "rows.parquet")
    forms: dict[str, Any] = {
        "list": ROWS,
        "frame": pd.DataFrame([*ROWS]),
        "frame with a gap": pd.DataFrame([{**ROWS[0], "note": None}, *ROWS[1:]]),
        "dataset": datasets.Dataset.from_list(ROWS),
        "jsonl": of_file(tmp_path / "rows.jsonl", f"\ufeff{lines}\n\n"),
        "json": of_file(tmp_path / "rows.json", json.dumps(ROWS)),
        "csv": of_file(tmp_path / "rows.csv", pd.DataFrame(ROWS).to_csv(index=False)),
        "parquet": tmp_path / "rows.parquet",
        "text": str(tmp_path / "rows.jsonl"),
    }
    found = {name: dataset_content(data) for name, data in forms.items()}
    assert {content.rows for content in found.values()} == {len(ROWS)}
    assert all(rows_of(content) == ROWS for content in found.values())
    assert len({content.sha256 for content in found.values()}) == 1
    assert dataset_content(ROWS[1:]).sha256 != found["list"].sha256
    of_file(tmp_path / "parts/b/2.jsonl", json.dumps(ROWS[1]))
    of_file(tmp_path / "parts/a.csv", "prompt,completion\nWhat is 0 + 0?,0\n")
    of_file(tmp_path / "parts/.env", "TOKEN=secret")
    of_file(tmp_path / "parts/readme.md", "not rows")
    assert rows_of(dataset_content(tmp_path / "parts")) == ROWS[:2]
    turns = pd.DataFrame(CHAT)
    turns.to_parquet(tmp_path / "chat.parquet")
    assert rows_of(dataset_content(pd.read_parquet(tmp_path / "chat.parquet"))) == CHAT, "arrays become lists"


def test_what_cannot_be_uploaded_is_told_by_row_and_reason(tmp_path: Path) -> None:
    with pytest.raises(PreflightFailed) as caught:
        dataset_content([ROWS[0], {"prompt": "only"}, {"a": {1, 2}}, "text", *[{}] * 30])
    assert caught.value.problems[:3] == [
        "row 2: `completion` is missing or not a text",
        "row 3: it cannot be written as JSON: a set is no value of JSON",
        "row 4: it is a str, not an object with fields",
    ]
    assert caught.value.problems[-1] == "and 13 more of 34 rows"
    of_file(tmp_path / "bad/x.jsonl", f"{json.dumps(ROWS[0])}\n\nnonsense\n")
    with pytest.raises(PreflightFailed, match=r"x\.jsonl row 3: invalid JSON"):
        dataset_content(tmp_path / "bad")
    refused = {
        "holds a model, not rows": of_file(tmp_path / "model/config.json", "{}").parent,
        "has no rows": of_file(tmp_path / "empty.jsonl", "\n"),
        "has no file that ends in": of_file(tmp_path / "none/a.txt", "x").parent,
        "rows are read from files that end in": of_file(tmp_path / "a.txt", "x"),
        "cannot be read as json": of_file(tmp_path / "a.json", "{"),
        "cannot be read as parquet": of_file(tmp_path / "a.parquet", "PAR"),
        "there is no file": tmp_path / "gone.jsonl",
        "a int cannot be uploaded": 3,
        "upload one of them": datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}),
    }
    for message, data in refused.items():
        with pytest.raises(CpodError, match=message):
            dataset_content(data)
    with pytest.raises(CpodError, match="holds no model"):
        model_content(tmp_path / "bad")
    with pytest.raises(CpodError, match="an adapter alone"):
        model_content(of_file(tmp_path / "lora/adapter_config.json", "{}").parent)


def test_on_the_engine_rows_lie_once_for_their_user_alone(session: Session, engine_home: Path) -> None:
    frame = pd.DataFrame(ROWS)
    handle = session.upload(frame, "sums").wait(60)
    assert handle.status.state is State.SUCCEEDED
    assert handle.object["status"]["rows"] == len(ROWS)
    source = handle.object["spec"]["datasetname"]
    place = Path(source.removeprefix("file://").split("#")[0])
    assert place.parent == engine_home / "uploads"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (place.parent, place)}
    assert (modes, stat.S_IMODE((place / "rows.jsonl").stat().st_mode)) == ({0o700}, 0o600)
    generation = handle.object["metadata"]["generation"]
    again = session.upload(ROWS, "sums")
    assert again.object["metadata"]["generation"] == generation, "the same content is not submitted again"
    assert session.upload(ROWS, "other").object["spec"]["datasetname"] == source
    session.upload(ROWS[1:], "sums").wait(60)
    assert session.find("dataset/sums").object["status"]["rows"] == len(ROWS) - 1
    for name in ("Sums", "a b"):
        with pytest.raises(CpodError, match="must be lower-case letters"):
            session.upload(ROWS, name)
    assert not [path for path in place.parent.iterdir() if path.name.startswith(".new")]


@pytest.fixture
def far(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """The same API as a cluster that one knows by a kubeconfig alone: its pods are not taken to see our files."""
    engine = local.find()
    assert engine is not None
    monkeypatch.setenv("KUBECONFIG", str(shutil.copy(engine.kubeconfig, tmp_path / "kubeconfig")))
    monkeypatch.delenv("CPOD_CONTEXT")
    found = Session()
    assert found.engine is None
    yield found
    found.client.close()


def names_of(session: Session, *kinds: Any) -> list[str]:
    """Those of a pod and a claim that receive; what is being deleted is waited for by the engine, not by us."""
    listed = [item["metadata"] for kind in kinds for item in session.client.list(kind, session.namespace).items]
    return [item["name"] for item in listed if item["name"].startswith("upload-") and not item.get("deletionTimestamp")]


def test_on_a_cluster_the_files_go_through_a_pod_and_nothing_stays_of_it(far: Session, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    rows = [{**row, "note": "x" * 4000} for row in ROWS * 10]
    handle = far.upload(pd.DataFrame(rows), "sums", tell=lambda *seen: told.append(seen))
    assert handle.object["status"]["phase"] == "done", "it returns when the cluster has it"
    assert handle.object["status"]["rows"] == len(rows)
    sent = [(done, total) for doing, done, total in told if doing == "uploading"]
    assert sent[-1][0] == sent[-1][1] > 4000 * len(rows)
    assert names_of(far, PODS, PVCS) == []
    told.clear()
    far.upload(rows, "sums", tell=lambda *seen: told.append(seen))
    assert told == [], "the same content is not sent again"


def test_who_is_interrupted_while_the_cluster_copies_finds_it_again_and_tidied(far: Session) -> None:
    def interrupt(doing: str, done: int, total: int) -> None:
        if doing.startswith("the cluster copies"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        far.upload(ROWS, "sums", tell=interrupt)
    uid = far.find("dataset/sums").object["metadata"]["uid"]
    again = far.upload(ROWS, "sums")
    assert (again.object["metadata"]["uid"], again.object["status"]["rows"]) == (uid, len(ROWS))
    assert names_of(far, PODS, PVCS) == []


def test_what_failed_is_made_anew_from_the_same_rows(session: Session, engine_home: Path) -> None:
    content = dataset_content(ROWS)
    place = engine_home / "uploads" / content.sha256[:32]
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with pytest.raises(WorkFailed):  # somebody has emptied its folder
        session.upload(ROWS, "sums").wait(60)
    place.rmdir()
    assert session.upload(ROWS, "sums").wait(60).object["status"]["rows"] == len(ROWS)


def test_a_command_that_fails_in_a_pod_says_what_it_said(session: Session) -> None:
    session.job("box", image="python:3.11", command=["sleep", "60"])
    for snapshot in session.find("job/box").follow(60):
        if snapshot.state is State.RUNNING and (pods := session.find("job/box").pods()):
            break
    [pod] = [item["metadata"]["name"] for item in pods.values()]
    talk = ["sh", "-c", "head -c 3; echo no room >&2; exit 3"]
    with pytest.raises(WorkFailed, match=f"sh failed in pod {pod}: .*\n?.*no room"):
        session.client.feed(pod, session.namespace, talk, [b"abc", b"def"])
    session.client.feed(pod, session.namespace, ["sh", "-c", 'test "$(head -c 3)" = abc'], [b"a", b"bc"])
    with pytest.raises(ApiError):
        session.client.feed("gone", session.namespace, talk, [])
    session.delete("job", "box")


def test_an_interrupted_upload_leaves_nothing(far: Session) -> None:
    seen: list[list[str]] = []

    def interrupt(doing: str, done: int, total: int) -> None:
        if doing == "uploading":
            seen.append(names_of(far, PODS, PVCS))
            raise KeyboardInterrupt

    with pytest.raises(UploadInterrupted, match=r"dataset/sums was interrupted; what it had begun was taken away"):
        far.upload(ROWS, "sums", tell=interrupt)
    assert len(seen[0]) == 2
    assert (len(far.ls()), names_of(far, PODS, PVCS)) == (0, [])


def test_a_model_of_a_folder_is_uploaded_either_way(session: Session, far: Session, tmp_path: Path) -> None:
    tiny_folder = of_file(tmp_path / "tiny" / "config.json", '{"model_type": "llama"}').parent
    safetensors.numpy.save_file({"weight": numpy.zeros((300, 300), "float32")}, tiny_folder / "model.safetensors")
    of_file(tiny_folder / ".token", "a secret")
    content = model_content(tiny_folder)
    near, away = (each.upload(tiny_folder, name, model=True) for each, name in ((session, "near"), (far, "away")))
    assert near.object["spec"]["modelname"] == f"file://{tiny_folder}#sha256={content.sha256}"
    assert away.object["spec"]["modelname"].endswith(f"/content#sha256={content.sha256}")
    assert [file.name for file in content.files] == ["config.json", "model.safetensors"]
    sizes = {handle.wait(120).object["status"]["size"] for handle in (near, away)}
    assert sizes == {content.size}
