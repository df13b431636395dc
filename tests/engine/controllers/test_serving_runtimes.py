"""Which runtime serves a model, and what its pods are made of: the rules of KServe 0.20 as tables."""

from __future__ import annotations

from typing import Any

import pytest

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers.predictor import Predictor, as_model, work_out
from cpod_jupyter.engine.controllers.scaling import duration
from cpod_jupyter.engine.controllers.serving_runtimes import Refused, Runtime, choose

CONTAINER = {"name": "kserve-container", "image": "server:1", "args": ["--name={{.Name}}"]}


def runtime(name: str, *formats: Any, cluster: bool = False, created: str = "", **spec: Any) -> Runtime:
    """A runtime of these formats: a name is one that it offers itself for, a mapping is taken as it is."""
    entries = [{"name": entry, "autoSelect": True} if isinstance(entry, str) else entry for entry in formats]
    return Runtime(name, {"containers": [CONTAINER], "supportedModelFormats": entries, **spec}, cluster, created)


def ranked(priority: int | None = None, **more: Any) -> dict[str, Any]:
    return {"name": "sklearn", "autoSelect": True, **({"priority": priority} if priority else {}), **more}


def model(name: str = "sklearn", version: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"modelFormat": {"name": name, **({"version": version} if version else {})}, **fields}


@pytest.mark.parametrize(
    ("runtimes", "asked", "chosen"),
    [
        pytest.param([runtime("a", "onnx"), runtime("b", "sklearn")], model(), "b", id="by format"),
        pytest.param(
            [runtime("a", {"name": "sklearn"}), runtime("b", "sklearn")], model(), "b", id="one that offers itself"
        ),
        pytest.param(
            [runtime("a", "sklearn", disabled=True), runtime("b", "sklearn")], model(), "b", id="not disabled"
        ),
        pytest.param(
            [runtime("a", "sklearn", multiModel=True), runtime("b", "sklearn")], model(), "b", id="not ModelMesh"
        ),
        pytest.param(
            [runtime("a", "sklearn", workerSpec={}), runtime("b", "sklearn")], model(), "a", id="an empty worker"
        ),
        pytest.param(
            [runtime("a", "sklearn", workerSpec={"pipelineParallelSize": 2}), runtime("b", "sklearn")],
            model(),
            "b",
            id="not for several nodes",
        ),
        pytest.param(
            [runtime("a", ranked(9), cluster=True), runtime("b", ranked(1))],
            model(),
            "b",
            id="the namespace before the cluster, whatever the priority",
        ),
        pytest.param([runtime("a", ranked(1)), runtime("b", ranked(2))], model(), "b", id="by priority"),
        pytest.param([runtime("a", ranked()), runtime("b", ranked(1))], model(), "b", id="a priority before none"),
        pytest.param(
            [
                runtime("a", ranked(), protocolVersions=["grpc-v2", "v1"]),
                runtime("b", ranked(), protocolVersions=["v2"]),
            ],
            model(protocolVersion="v2"),
            "b",
            id="by protocol",
        ),
        pytest.param(
            [runtime("a", ranked(), protocolVersions=["v2"]), runtime("b", ranked(), protocolVersions=["v2", "v1"])],
            model(),
            "b",
            id="v1 where none is named",
        ),
        pytest.param(
            [runtime("a", ranked()), runtime("b", ranked(), protocolVersions=["v1"])],
            model(),
            "b",
            id="one that names a protocol before one that names none",
        ),
        pytest.param(
            [
                runtime("a", ranked(), created="2026-01-01T00:00:00Z"),
                runtime("b", ranked(), created="2026-01-02T00:00:00Z"),
            ],
            model(),
            "b",
            id="the newer one",
        ),
        pytest.param([runtime("b", ranked()), runtime("a", ranked())], model(), "a", id="by name at last"),
        pytest.param(
            [runtime("a", ranked(version="0")), runtime("b", ranked(version="1"))],
            model(version="1"),
            "b",
            id="version",
        ),
        pytest.param([runtime("a", ranked(version="0"))], model(), "a", id="any version where none is named"),
        pytest.param(
            [runtime("a", {"name": "sklearn"}, cluster=True), runtime("b", "sklearn")],
            model(runtime="a"),
            "a",
            id="the one that is named, though it does not offer itself",
        ),
        pytest.param(
            [runtime("a", "sklearn", cluster=True), runtime("a", "sklearn", disabled=False)],
            model(runtime="a"),
            "a",
            id="a name in the namespace before the cluster's",
        ),
        pytest.param(
            [runtime("a", "sklearn", protocolVersions=["v2"])],
            model(runtime="a"),
            "a",
            id="a named one need not speak v1 where no protocol is named",
        ),
    ],
)
def test_a_runtime_is_chosen_as_kserve_chooses(runtimes: list[Runtime], asked: dict[str, Any], chosen: str) -> None:
    found = choose(asked, runtimes)
    assert found.name == chosen
    assert not (found.of_cluster and len({each.of_cluster for each in runtimes if each.name == chosen}) > 1)


@pytest.mark.parametrize(
    ("runtimes", "asked", "reason", "words"),
    [
        pytest.param([], model(), "NoSupportingRuntime", "no serving runtime serves model format sklearn", id="none"),
        pytest.param([runtime("a", "onnx")], model(), "NoSupportingRuntime", "a: onnx", id="what there is is named"),
        pytest.param(
            [runtime("a", ranked(version="0"))],
            model(version="1"),
            "NoSupportingRuntime",
            "sklearn in version 1",
            id="version",
        ),
        pytest.param(
            [runtime("a", ranked(), protocolVersions=["v2"])],
            model(),
            "NoSupportingRuntime",
            "protocol v1",
            id="protocol",
        ),
        pytest.param([], model(runtime="a"), "RuntimeNotRecognized", "'a'", id="unknown name"),
        pytest.param(
            [runtime("a", "sklearn", disabled=True)], model(runtime="a"), "RuntimeDisabled", "'a'", id="disabled"
        ),
        pytest.param(
            [runtime("a", "onnx")], model(runtime="a"), "NoSupportingRuntime", "but onnx", id="named, wrong format"
        ),
        pytest.param(
            [runtime("a", "sklearn", protocolVersions=["v1"])],
            model(runtime="a", protocolVersion="v2"),
            "NoSupportingRuntime",
            "v2",
            id="named, wrong protocol",
        ),
        pytest.param([], {"modelFormat": {}}, "InvalidPredictorSpec", "modelFormat.name", id="no format"),
    ],
)
def test_a_model_that_nothing_serves_is_refused_with_kserves_reason(
    runtimes: list[Runtime], asked: dict[str, Any], reason: str, words: str
) -> None:
    with pytest.raises(Refused, match=words) as caught:
        choose(asked, runtimes)
    assert caught.value.reason == reason


# ---- what is run


def service(metadata: dict[str, Any] | None = None, **predictor: Any) -> Object:
    found = {"name": "s", "namespace": "default", "uid": "u", **(metadata or {})}
    return {"apiVersion": "v1", "kind": "X", "metadata": found, "spec": {"predictor": predictor}}


def on(predictor: dict[str, Any], container: dict[str, Any] | None = None, **spec: Any) -> Predictor:
    """A model on a runtime with that container."""
    containers = [{**CONTAINER, **(container or {})}]
    return work_out(service(**predictor), [runtime("r", "sklearn", "huggingface", containers=containers, **spec)])


def serving(found: Predictor) -> dict[str, Any]:
    return dict(found.pod_spec["containers"][0])


def test_a_models_fields_are_laid_over_those_of_its_runtimes_container() -> None:
    theirs = {
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        "command": ["run"],
    }
    own = model(
        args=["--workers=2"], env=[{"name": "B", "value": "3"}], resources={"requests": {"cpu": "2"}}, command=["walk"]
    )
    container = serving(on({"model": own}, theirs))
    assert container["args"] == ["--name=s", "--workers=2"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environment == {"A": "1", "B": "3", "INFERENCE_SERVICE_NAME": "s"}
    assert container["resources"] == {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}
    assert container["command"] == ["walk"]
    assert container["name"] == "kserve-container"


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("{{.Name}}/{{ .Namespace }}", "s/default"),
        ("{{.Labels.team}}-{{.Annotations.size}}", "red-7"),
        ('{{index .Annotations "a.b/c"}}', "d"),
        ("{{.Labels.none}}", ""),
        ("$(POD_IP)", "$(POD_IP)"),
    ],
)
def test_placeholders_of_a_runtime_are_the_services_metadata(written: str, filled: str) -> None:
    metadata = {"labels": {"team": "red"}, "annotations": {"size": "7", "a.b/c": "d"}}
    container = {**CONTAINER, "args": [written], "env": [{"name": "X", "value": written}]}
    found = work_out(service(metadata, model=model()), [runtime("r", "sklearn", containers=[container])])
    assert serving(found)["args"] == [filled]
    assert serving(found)["env"][0]["value"] == filled


def test_a_placeholder_that_is_not_known_is_refused_with_its_runtime() -> None:
    with pytest.raises(Refused, match=r"'r' has the placeholder \{\{ \.Spec \}\}"):
        on({"model": model()}, {"args": ["{{ .Spec }}"]})


def test_a_runtime_gives_its_pods_fields_and_its_other_containers() -> None:
    side = {"name": "side", "image": "i"}
    found = on(
        {
            "model": model(),
            "nodeSelector": {"b": "2"},
            "labels": {"l": "own"},
            "containers": [{"name": "x", "image": "i"}],
        },
        nodeSelector={"a": "1", "b": "1"},
        labels={"l": "theirs", "m": "theirs"},
        annotations={"n": "theirs"},
    )
    assert found.pod_spec["nodeSelector"] == {"a": "1", "b": "2"}
    assert found.labels == {"l": "own", "m": "theirs"}
    assert found.annotations == {"n": "theirs"}
    assert [entry["name"] for entry in found.pod_spec["containers"]] == ["kserve-container", "x"]
    several = work_out(service(model=model()), [runtime("r", "sklearn", containers=[side, CONTAINER])])
    assert [entry["name"] for entry in several.pod_spec["containers"]] == ["kserve-container", "side"]
    with pytest.raises(Refused, match="no container kserve-container"):
        work_out(service(model=model()), [runtime("r", "sklearn", containers=[side])])


def test_a_runtime_version_is_the_tag_of_the_image() -> None:
    assert serving(on({"model": model(runtimeVersion="2.0")}))["image"] == "server:2.0"
    assert serving(on({"model": model(runtimeVersion="2.0")}, {"image": "a:5000/b"}))["image"] == "a:5000/b:2.0"
    assert serving(on({"model": model(runtimeVersion="2")}, {"image": "b@sha256:1"}))["image"] == "b@sha256:1"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        pytest.param(
            {"sklearn": {"storageUri": "s3://b/m"}}, model(storageUri="s3://b/m"), id="a framework is a model"
        ),
        pytest.param({"huggingface": {}}, model("huggingface", protocolVersion="v2"), id="huggingface speaks v2"),
        pytest.param({"model": model("triton")}, model("triton", protocolVersion="v2"), id="so does triton"),
        pytest.param({"model": model("onnx")}, model("onnx"), id="a model is taken as it is"),
    ],
)
def test_frameworks_are_models(written: dict[str, Any], meant: dict[str, Any]) -> None:
    assert as_model(written)["model"] == meant


def test_one_predictor_has_one_model() -> None:
    with pytest.raises(Refused, match=r"several models \(model, sklearn\)"):
        as_model({"model": model(), "sklearn": {}})


def test_the_number_of_replicas_is_no_new_revision_and_a_changed_runtime_is() -> None:
    container = {"name": "c", "image": "i"}
    one = work_out(service(containers=[container]))
    assert work_out(service(containers=[container], minReplicas=2)).revision == one.revision
    assert work_out(service(containers=[{**container, "image": "j"}])).revision != one.revision
    assert on({"model": model()}).revision != on({"model": model()}, {"image": "server:2"}).revision


def test_a_pod_keeps_its_own_readiness_probe_and_gets_one_otherwise() -> None:
    own = {"httpGet": {"path": "/health", "port": 9000}}
    given = work_out(service(containers=[{"name": "c", "readinessProbe": own}]))
    assert serving(given)["readinessProbe"] == own
    made = work_out(service(containers=[{"name": "c", "ports": [{"containerPort": 9000}]}]))
    assert serving(made)["readinessProbe"]["tcpSocket"] == {"port": 9000}
    assert made.pod_spec["restartPolicy"] == "Always"


# ---- where the model is


def test_a_claim_is_mounted_and_everything_else_is_fetched_before_the_server_starts() -> None:
    uris = [{"uri": "pvc://weights/smol"}, {"uri": "hf://org/adapter", "mountPath": "/mnt/adapter"}]
    found = on({"model": model("huggingface"), "storageUris": uris})
    mounts = {mount["mountPath"]: mount for mount in serving(found)["volumeMounts"]}
    assert mounts["/mnt/models"]["subPath"] == "smol"
    assert all(mount["readOnly"] for mount in mounts.values())
    volumes = {volume["name"]: volume for volume in found.pod_spec["volumes"]}
    assert volumes[mounts["/mnt/models"]["name"]]["persistentVolumeClaim"] == {"claimName": "weights", "readOnly": True}
    assert volumes[mounts["/mnt/adapter"]["name"]]["emptyDir"] == {}
    (initializer,) = found.pod_spec["initContainers"]
    assert initializer["args"] == [
        "download", "--kind", "model", "--source", "hf://org/adapter", "--destination", "/mnt/adapter",
    ]  # fmt: skip
    assert initializer["volumeMounts"] == [{"name": mounts["/mnt/adapter"]["name"], "mountPath": "/mnt/adapter"}]


def test_credentials_of_the_initializer_come_from_secrets_and_the_containers_own_environment() -> None:
    token = {"name": "HF_TOKEN", "value": "t"}
    asked = model(storageUri="s3://b/m", env=[token, {"name": "OTHER", "value": "x"}])
    (plain,) = on({"model": asked}).pod_spec["initContainers"]
    assert plain["name"] == "storage-initializer"
    assert plain["args"][2] == "files"
    assert plain["env"] == [token]
    assert plain["envFrom"] == [{"secretRef": {"name": "object-store", "optional": True}}]
    named = service({"annotations": {"cpod.cpod/secret": "keys"}}, model=model(storageUri="s3://b/m"))
    (initializer,) = work_out(named, [runtime("r", "sklearn")]).pod_spec["initContainers"]
    assert initializer["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert initializer["env"][0]["valueFrom"]["secretKeyRef"]["optional"] is True


@pytest.mark.parametrize(
    ("predictor", "words"),
    [
        pytest.param({"model": model(storageUri="hdfs://x/y")}, "hdfs://x/y' has no scheme that is known", id="scheme"),
        pytest.param(
            {"model": model(storageUri="model")}, "there is nothing to fetch|not a source|is not", id="no scheme"
        ),
        pytest.param({"model": model(storageUri="s3://a"), "storageUris": [{"uri": "s3://b"}]}, "not both", id="both"),
        pytest.param(
            {"model": model(), "storageUris": [{"uri": "s3://b"}, {"uri": "s3://a"}]}, "two things", id="one place"
        ),
        pytest.param({"model": model(storage={"key": "k"})}, "model.storage", id="a storage spec"),
        pytest.param({"containers": []}, "nothing to run", id="nothing"),
        pytest.param({"containers": [{"name": "transformer-container"}]}, "transformer-container", id="transformer"),
    ],
)
def test_what_cannot_be_is_refused_in_words(predictor: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        on(predictor)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1m5s", 65), ("1.5h", 5400), ("500ms", 0.5)])
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["5", "m", "5 m", "-1s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="no duration"):
        duration(text)
