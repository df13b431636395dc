"""From a form to an object: schema, faults, verdict, cell and submission, in the server that the browser uses."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from lab import Lab
from pages import address_of, asked, sentence

from cpod_jupyter.sdk import Session


def job(name: str, **spec: Any) -> str:
    """The manifest of a CPodJob, each field of its spec on a line."""
    kind = Session().kind("job")
    spec = {"image": "python", "command": ["python", "-V"], **spec}
    found = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
    return yaml.safe_dump(found, sort_keys=False)


def posted(lab: Lab, path: str, namespace: str, text: str, **more: Any) -> tuple[int, Any]:
    status, answer, _ = asked(lab, path, post=True, context="engine", namespace=namespace, text=text, **more)
    return status, json.loads(answer)


def test_the_schema_of_a_kind_is_that_of_its_spec(lab: Lab, namespace: str) -> None:
    status, text, _ = asked(lab, "schema", context="engine", kind="finetune")
    fields = json.loads(text)["properties"]
    assert status == 200
    assert fields["finetuneType"]["enum"]
    assert all(fields[name]["description"] for name in ("model", "dataset"))
    status, text, _ = asked(lab, "schema", context="engine", kind="jub")
    assert (status, 'unknown kind "jub"' in sentence(text)) == (422, True)


def test_every_fault_of_a_text_has_its_place(lab: Lab, namespace: str) -> None:
    def faults(text: str) -> list[tuple[int, int, str]]:
        status, answer = posted(lab, "check", namespace, text)
        assert status == 200
        assert all(fault["message"] for fault in answer["faults"])
        return [(fault["line"], fault["column"], fault["path"]) for fault in answer["faults"]]

    assert faults(job("facts")) == []
    assert faults("kind: [") == [(1, 8, "")]
    assert faults(job("facts") + "  imaeg: x\n") == [(len(job("facts").splitlines()) + 1, 3, "spec.imaeg")]
    # What only the server knows: a rule of the definition, in the second document.
    wrong = job("other", jobType="general", workerReplicas=-1)
    found = faults(f"{job('facts')}---\n{wrong}")
    assert [fault[2] for fault in found] == ["spec.workerReplicas"]
    assert found[0][0] == len(job("facts").splitlines()) + 1 + wrong.splitlines().index("  workerReplicas: -1") + 1
    assert not Session().list("job"), "nothing is stored"


def test_a_text_is_judged_before_it_is_submitted(lab: Lab, namespace: str) -> None:
    status, verdict = posted(lab, "judge", namespace, job("facts"))
    assert (status, verdict["ok"]) == (200, True)
    assert verdict["plan"]["title"] == "job/facts"
    assert [verdict["plan"]["rows"][0][0], verdict["plan"]["rows"][0][2]] == ["runs as", "jobType general"]
    status, verdict = posted(lab, "judge", namespace, job("facts", datasetName="missing", datasetPath="/data"))
    assert (status, verdict["ok"]) == (200, False)
    assert any(finding["level"] == "error" and "missing" in finding["text"] for finding in verdict["findings"])
    status, verdict = posted(lab, "judge", namespace, "kind: [")
    assert (status, verdict["ok"], verdict["plan"]) == (200, False, None)
    assert "line 1" in verdict["findings"][0]["text"]
    assert not Session().list("job"), "nothing is stored"


def test_what_is_submitted_is_told_with_its_address(lab: Lab, namespace: str) -> None:
    where = address_of(namespace, "facts")
    assert posted(lab, "submit", namespace, job("facts")) == (200, [{"address": where, "outcome": "created"}])
    assert posted(lab, "submit", namespace, job("facts")) == (200, [{"address": where, "outcome": "unchanged"}])
    changed = f"{job('more')}---\n{job('facts', command=['python', '-c', '1'])}"
    status, answer = posted(lab, "submit", namespace, changed)
    assert status == 422
    assert all(words in answer["message"] for words in ("job/facts", "submitted before it: job/more"))
    status, answer = posted(lab, "submit", namespace, changed, fresh=True)
    assert (status, [each["outcome"] for each in answer]) == (200, ["created", "created"])
    assert Session().get("job", "facts").object["spec"]["command"] == ["python", "-c", "1"]
    status, answer = posted(lab, "submit", namespace, "kind: Jub\napiVersion: v1\nmetadata: {name: x}")
    assert (status, 'unknown kind "Jub"' in answer["message"]) == (422, True)
    status, answer = posted(lab, "submit", "nowhere", job("facts"))
    assert (status, "nowhere" in answer["message"]) == (404, True)


def test_a_manifest_becomes_a_cell_and_a_cell_a_manifest(lab: Lab, namespace: str) -> None:
    text = job("facts", command=["echo", "{{ not an expression }}"])
    status, cell = posted(lab, "cell", namespace, text)
    assert status == 200
    assert cell.splitlines()[:2] == [f"%%cpod job facts --namespace {namespace}", "image: python"]
    status, back = posted(lab, "manifest", namespace, cell)
    assert status == 200
    wanted = yaml.safe_load(text)
    assert yaml.safe_load(back) == {**wanted, "metadata": {"name": "facts", "namespace": namespace}}
    status, cell = posted(lab, "cell", namespace, f"{job('one')}---\n{job('two')}")
    assert (status, cell.splitlines()[0]) == (200, "%%cpod apply")
    status, back = posted(lab, "manifest", namespace, cell)
    assert [document["metadata"]["name"] for document in yaml.safe_load_all(back)] == ["one", "two"]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("print(1)", "no %%cpod cell"),
        ("%%cpod jub x\nimage: y", 'unknown command "jub"'),
        ("%%cpod chat tuned\nWho?", "submits nothing"),
        ("%%cpod finetune f\nmodel: m\ndataset: {{ df }}", "line 3, column 10: {{ df }} is evaluated by a kernel"),
        ("%%cpod job f\nimage: y\nimaeg: y", "line 3, column 1: imaeg"),
    ],
    ids=("python", "command", "chat", "expression", "field"),
)
def test_a_cell_without_a_manifest_says_why(lab: Lab, cell: str, words: str) -> None:
    status, text, _ = asked(lab, "manifest", post=True, text=cell)
    assert (status, words in sentence(text)) == (422, True), text
