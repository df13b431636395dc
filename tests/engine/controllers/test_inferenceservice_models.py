"""InferenceServices with a model: on runtimes of the namespace and of the engine, with the model from where it is."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubelet.cluster import NAMESPACE, Cluster

from controllers.serving import POD_IP, ask, serve, server, wait_reason
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CLUSTERSERVINGRUNTIMES, CRDS, INFERENCESERVICES, SERVINGRUNTIMES
from cpod_jupyter.engine.install import install
from cpod_jupyter.engine.local_api import LocalApi

PUBLISHED = Path(__file__).parents[3].parent / "shared" / "crds"
LIST_FILES = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(",".join(sorted(name for name in os.listdir(sys.argv[1]) if name[0] != ".")).encode())
    def log_message(self, *_): pass
http.server.HTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


def runtime(container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    formats = [{"name": "text", "version": "1", "autoSelect": True}]
    return {"supportedModelFormats": formats, "containers": [container], **spec}


def lister() -> dict[str, Any]:
    """A server that answers with the names of the files of its model."""
    return {**server(""), "command": [*server("")["command"][:2], LIST_FILES, "/mnt/models"], "env": [POD_IP]}


def status(cluster: Cluster, name: str) -> dict[str, Any]:
    return dict(cluster.get(INFERENCESERVICES, name)["status"])


def test_a_model_waits_for_a_runtime_runs_on_it_and_follows_its_changes(cluster: Cluster) -> None:
    serve(cluster, "own", model={"modelFormat": {"name": "text"}})
    assert "model format text" in wait_reason(cluster, "own", "NoSupportingRuntime")["message"]
    assert status(cluster, "own")["modelStatus"]["lastFailureInfo"]["reason"] == "NoSupportingRuntime"
    cluster.create(SERVINGRUNTIMES, "texts", spec=runtime(server("one for {{.Name}}")))
    wait_reason(cluster, "own", "MinimumReplicasAvailable")
    found = status(cluster, "own")
    assert ask(found["url"]) == "one for own"
    assert found["servingRuntimeName"] == "texts"
    assert "lastFailureInfo" not in found["modelStatus"]
    cluster.api.patch(SERVINGRUNTIMES, "texts", {"spec": runtime(server("two for {{.Name}}"))}, NAMESPACE)

    def answer() -> str:
        try:
            return ask(status(cluster, "own")["url"])
        except OSError:  # the old server is ended in the middle of an answer
            return ""

    cluster.wait(lambda: answer() == "two for own", "the pods follow the runtime")


def test_a_model_is_fetched_before_its_server_starts(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "a.txt").write_text("1")
    (tmp_path / "weights" / "b.bin").write_text("2")
    cluster.create(SERVINGRUNTIMES, "texts", spec=runtime(lister()))
    serve(cluster, "own", model={"modelFormat": {"name": "text"}, "storageUri": f"file://{tmp_path}/weights"})
    wait_reason(cluster, "own", "MinimumReplicasAvailable")
    assert ask(status(cluster, "own")["url"]) == "a.txt,b.bin"


def test_a_model_that_cannot_be_fetched_is_said_on_the_service(cluster: Cluster) -> None:
    cluster.create(SERVINGRUNTIMES, "texts", spec=runtime(lister()))
    serve(cluster, "own", model={"modelFormat": {"name": "text"}, "storageUri": "file:///no/such/place"})
    assert "/no/such/place" in wait_reason(cluster, "own", "CrashLoopBackOff")["message"]
    failure = status(cluster, "own")["modelStatus"]["lastFailureInfo"]
    assert (failure["reason"], failure["exitCode"]) == ("ModelLoadFailed", 1)
    assert "/no/such/place" in failure["message"]


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published definitions are not beside the repository")
def test_services_run_under_the_published_definitions_and_their_status_is_not_written_for_ever(
    cluster: Cluster,
) -> None:
    for kind in ("inferenceservices", "clusterservingruntimes"):
        published = yaml.safe_load((PUBLISHED / f"serving.kserve.io_{kind}.yaml").read_text())
        there = cluster.api.get(CRDS, published["metadata"]["name"])
        published["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
        cluster.api.replace(CRDS, published)
    cluster.create(CLUSTERSERVINGRUNTIMES, "texts", spec=runtime(server("one")))
    serve(cluster, "good", model={"modelFormat": {"name": "text"}})
    serve(cluster, "bad", model={"modelFormat": {"name": "sound"}})
    serve(cluster, "idle", model={"modelFormat": {"name": "text"}}, minReplicas=0)
    wait_reason(cluster, "bad", "NoSupportingRuntime")
    wait_reason(cluster, "good", "MinimumReplicasAvailable")
    wait_reason(cluster, "idle", "MinimumReplicasAvailable")
    assert status(cluster, "good")["clusterServingRuntimeName"] == "texts"

    def versions() -> list[str]:
        names = ("good", "bad", "idle")
        return [cluster.get(INFERENCESERVICES, name)["metadata"]["resourceVersion"] for name in names]

    before = versions()
    for name in ("good", "bad", "idle"):  # another look at each, which has nothing to say
        cluster.api.patch(INFERENCESERVICES, name, {"metadata": {"labels": {"looked": "at"}}}, NAMESPACE)
    labelled = versions()
    assert labelled != before
    serve(cluster, "last", model={"modelFormat": {"name": "text"}})
    wait_reason(cluster, "last", "MinimumReplicasAvailable")
    assert versions() == labelled


def test_the_engines_runtime_is_made_again_when_it_is_missing_and_stays_as_a_person_has_it(api: LocalApi) -> None:
    name = "kserve-huggingfaceserver"
    first = api.get(CLUSTERSERVINGRUNTIMES, name)
    install(api)
    assert api.get(CLUSTERSERVINGRUNTIMES, name) == first
    api.delete(CLUSTERSERVINGRUNTIMES, name)
    install(api)
    assert api.get(CLUSTERSERVINGRUNTIMES, name)["spec"] == first["spec"]
    api.patch(CLUSTERSERVINGRUNTIMES, name, {"spec": {"disabled": True}})
    install(api)
    assert api.get(CLUSTERSERVINGRUNTIMES, name)["spec"]["disabled"] is True


def test_a_hugging_face_model_in_a_claim_is_served_by_the_engines_own_runtime(
    cluster: Cluster, tiny_model: Path
) -> None:
    install(cluster.api)
    claim = cluster.create_claim("weights")
    directory = cluster.home / "volumes" / NAMESPACE / f"weights-{meta.uid_of(claim)[:8]}"
    cluster.wait(directory.exists, "the claim's directory is there")
    for file in tiny_model.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    serve(
        cluster,
        "boats",
        model={"modelFormat": {"name": "huggingface"}, "storageUri": "pvc://weights", "args": ["--model_name=boat"]},
    )
    cluster.wait(lambda: meta.is_true(cluster.get(INFERENCESERVICES, "boats"), "Ready"), "it is ready", 120)
    found = status(cluster, "boats")
    assert found["clusterServingRuntimeName"] == "kserve-huggingfaceserver"
    body = json.dumps({"model": "boat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}).encode()
    request = urllib.request.Request(
        f"{found['url']}/openai/v1/chat/completions", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.loads(answer.read())["model"] == "boat"
