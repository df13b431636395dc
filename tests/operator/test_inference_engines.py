"""Which server is in a container, and what it is given: tables, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.api.kserve import FRAMEWORKS
from cpod_jupyter.operator.builders import inference as build
from cpod_jupyter.operator.builders import inference_engines as engines
from cpod_jupyter.operator.builders import inference_params as params
from cpod_jupyter.operator.builders import inference_short as short
from cpod_jupyter.operator.embedded import fitted
from cpod_jupyter.operator.objects import Refused
from cpod_jupyter.operator.settings import Settings

SETTINGS = Settings(runtime_image="registry:5000/cpod/runtime:1")
ADAPTER = {"cpod.cpod/cpod-adapter-id-name": "extra"}
CLAIMS = {"smol": "smol-files", "extra": "extra-files"}


def container(image: str = "x", command: str = "", args: str = "", **more: Any) -> dict[str, Any]:
    words = {key: text.split() for key, text in (("command", command), ("args", args)) if text}
    return {"name": "kserve-container", "image": image, **words, **more}


def inference(predictor: dict[str, Any], annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "chat", "namespace": "default", "uid": "1", "annotations": annotations or {}}
    return {"kind": "Inference", "metadata": metadata, "spec": {"predictor": predictor, **spec}}


def served(given: dict[str, Any], annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """The container as it is deployed."""
    made = build.given_predictor(inference({"containers": [given]}, annotations, **spec), CLAIMS, SETTINGS)
    return dict(made.predictor["containers"][0])


@pytest.mark.parametrize(
    ("given", "engine"),
    [
        pytest.param(container("vllm/vllm-openai:v0.18.0"), engines.VLLM, id="vLLM by its image"),
        pytest.param(container("vllm/vllm-openai", args="--model /mnt/models"), engines.VLLM, id="vLLM with arguments"),
        pytest.param(container(command="vllm serve /mnt/models"), engines.VLLM, id="vLLM by its command"),
        pytest.param(
            container(command="python3 -m vllm.entrypoints.openai.api_server --model m"),
            engines.VLLM,
            id="vLLM's module",
        ),
        pytest.param(container("nvcr.io/nvidia/tritonserver:25.06-vllm-python-py3"), engines.TRITON, id="Triton"),
        pytest.param(container("hiyouga/llamafactory:0.9.3"), engines.LLAMA_FACTORY, id="LLaMA-Factory"),
        pytest.param(container("r/llama-factory:v1", "llamafactory-cli api"), engines.LLAMA_FACTORY, id="its API"),
        pytest.param(container(command="python src/api_demo.py --template gemma"), engines.LLAMA_FACTORY, id="old API"),
        pytest.param(container("r/llama-factory:v1", "llamafactory-cli webchat"), None, id="not its API"),
        pytest.param(
            container("registry:5000/cpod/runtime:2", args="serve --model m"), engines.RUNTIME_SERVER, id="ours"
        ),
        pytest.param(
            container(command="python -m cpod_jupyter.runtime serve"), engines.RUNTIME_SERVER, id="ours by its command"
        ),
        pytest.param(container(command="bash -c vllm"), None, id="a line for a shell"),
        pytest.param(container("vllm/vllm-openai", args="sh -c x"), None, id="a shell in the arguments"),
        pytest.param(container("r/api:v1", "python -m mine"), None, id="somebody's own"),
        pytest.param(container("r/my-vllm-router"), None, id="only a name like it"),
    ],
)
def test_a_server_is_recognised_by_its_command_and_else_by_its_image(
    given: dict[str, Any], engine: engines.Engine | None
) -> None:
    assert engines.engine_of(given, SETTINGS) is engine


@pytest.mark.parametrize(
    ("given", "words", "port", "path"),
    [
        pytest.param(
            container("nvcr.io/nvidia/tritonserver:25.06-py3"),
            ["tritonserver", "--model-repository=/mnt/models"],
            8000,
            "/v2/health/ready",
            id="Triton",
        ),
        pytest.param(
            container("hiyouga/llamafactory:0.9.3", env=[{"name": "API_PORT", "value": "8080"}]),
            ["llamafactory-cli", "api", "--model_name_or_path=/mnt/models"],
            8080,
            "/v1/models",
            id="LLaMA-Factory",
        ),
        pytest.param(
            container("vllm/vllm-openai:v0.18.0"), ["vllm", "serve", "/mnt/models"], 8000, "/health", id="vLLM"
        ),
        pytest.param(
            container(command="vllm serve m --port 9000"),
            ["vllm", "serve", "m", "--port", "9000"],
            9000,
            "/health",
            id="own port",
        ),
    ],
)
def test_what_a_known_server_leaves_out_is_filled_in(
    given: dict[str, Any], words: list[str], port: int, path: str
) -> None:
    made = served(given)
    assert engines.words_of(made) == words
    assert made["ports"][0]["containerPort"] == port
    assert made["readinessProbe"]["httpGet"] == {"path": path, "port": port}
    assert made["startupProbe"]["httpGet"] == made["readinessProbe"]["httpGet"]


@pytest.mark.parametrize(
    ("image", "told"),
    [
        pytest.param("vllm/vllm-openai:v0.18.0", "--port=9009", id="vLLM"),
        pytest.param("nvcr.io/nvidia/tritonserver:26.01-py3", "--http-port=9009", id="Triton"),
        pytest.param("hiyouga/llamafactory:0.9.3", {"name": "API_PORT", "value": "9009"}, id="LLaMA-Factory"),
    ],
)
def test_a_server_that_is_started_for_the_user_listens_where_its_container_says(image: str, told: Any) -> None:
    made = served(container(image, ports=[{"containerPort": 9009}]))
    assert told in [*made["args"], *made.get("env", [])]
    assert made["readinessProbe"]["httpGet"]["port"] == 9009


def test_llama_factory_is_told_the_models_template_unless_the_user_has_a_command() -> None:
    for command, told in (("", True), ("llamafactory-cli api", False)):
        given = inference({"containers": [container("hiyouga/llamafactory:0.9.3", command)]})
        made = build.given_predictor(given, CLAIMS, SETTINGS, "gemma").predictor["containers"][0]
        assert ("--template=gemma" in made.get("args", [])) is told


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        pytest.param("vllm serve m", "VLLM_API_KEY", id="vLLM"),
        pytest.param("llamafactory-cli api", "API_KEY", id="LLaMA-Factory"),
        pytest.param("python -m cpod_jupyter.runtime serve", "CPOD_API_KEY", id="our runtime"),
        pytest.param("tritonserver", "", id="Triton"),
        pytest.param("python -m mine", "", id="somebody's own"),
    ],
)
def test_a_key_is_asked_for_by_the_name_of_its_secret_or_refused(command: str, variable: str) -> None:
    """B31 and B32: there is authentication, and no secret in what a person sees."""
    keyed = {"cpod.cpod/api-key-secret": "chat-key"}
    if not variable:
        with pytest.raises(Refused, match="no API key can be asked for"):
            served(container(command=command), keyed)
        return
    made = served(container(command=command), keyed)
    reference = {"secretKeyRef": {"name": "chat-key", "key": "token"}}
    assert made["env"] == [{"name": variable, "valueFrom": reference}]
    assert "chat-key" not in " ".join(engines.words_of(made))
    knocks = "tcpSocket" in made["readinessProbe"]
    assert knocks is (variable == "API_KEY"), "a probe below /v1 would be refused"


def test_ports_and_probes_of_the_users_own_stay() -> None:
    mine = {"ports": [{"containerPort": 7}], "readinessProbe": {"tcpSocket": {"port": 7}}}
    made = served(container(command="vllm serve m", **mine))
    assert {key: made[key] for key in mine} == mine
    assert "startupProbe" not in made


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param(
            container(command="vllm serve m"), ["--enable-lora", "--lora-modules", "extra=/mnt/adapter"], id="vLLM"
        ),
        pytest.param(
            container(command="vllm serve m", args="--lora-modules x=/y"), ["--lora-modules", "x=/y"], id="named"
        ),
        pytest.param(
            container(command="llamafactory-cli api"), ["--adapter_name_or_path", "/mnt/adapter"], id="LLaMA-Factory"
        ),
        pytest.param(
            container(command="python -m cpod_jupyter.runtime serve"), ["--adapter", "/mnt/adapter"], id="our runtime"
        ),
        pytest.param(container("nvcr.io/nvidia/tritonserver:25.06-py3", "tritonserver"), [], id="Triton"),
        pytest.param(container(command="python -m mine"), [], id="somebody's own"),
        pytest.param(container(command="bash -c x"), [], id="a line for a shell"),
    ],
)
def test_an_adapter_is_mounted_always_and_named_to_those_who_understand(
    given: dict[str, Any], words: list[str]
) -> None:
    """B30."""
    made = served(given, ADAPTER)
    assert made.get("args", []) == words
    assert made["volumeMounts"][0]["mountPath"] == "/mnt/adapter"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_uri_of_every_framework_is_resolved(framework: str) -> None:
    """B27: the original forgets xgboost and huggingface."""
    given = {framework: {"storageUri": "modelstorage://smol/1", "protocolVersion": "v2"}}
    made = build.given_predictor(inference(given), CLAIMS, SETTINGS).predictor
    assert made[framework] == {"storageUri": "pvc://smol-files/1", "protocolVersion": "v2"}


def test_uris_are_resolved_everywhere_and_others_are_left_alone() -> None:
    """Fault 15 (B27)."""
    uri = {"name": "STORAGE_URI", "value": "modelstorage://smol/sub"}
    given = {
        "initContainers": [{"name": "warm", "image": "x", "env": [uri]}],
        "containers": [container(env=[uri, {"name": "OTHER", "value": "modelstorage://smol"}])],
        "storageUris": [{"uri": "modelstorage://extra", "mountPath": "/a"}, {"uri": "hf://a/b"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    assert build.models_of(inference(given)).all == ("extra", "smol")
    made = build.given_predictor(inference(given), CLAIMS, SETTINGS).predictor
    assert made["initContainers"][0]["env"][0]["value"] == "pvc://smol-files/sub"
    assert made["containers"][0]["env"][0]["value"] == "pvc://smol-files/sub"
    assert made["containers"][0]["env"][1]["value"] == "modelstorage://smol", "not a storage URI to KServe"
    assert made["storageUris"] == [{"uri": "pvc://extra-files", "mountPath": "/a"}, {"uri": "hf://a/b"}]
    assert made["volumes"] == given["volumes"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param('{"max_model_len": 4096}', ["--max-model-len=4096"], id="a number"),
        pytest.param('{"max-model-len": 4096}', ["--max-model-len=4096"], id="vLLM's other spelling"),
        pytest.param('{"enforce_eager": true, "enable_prefix_caching": false}',
                     ["--enforce-eager", "--no-enable-prefix-caching"], id="flags"),
        pytest.param('{"dtype": "half; rm -rf /"}', ["--dtype=half; rm -rf /"], id="one argument, no shell"),
        pytest.param('{"hf_overrides": {"a": 1}}', ['--hf-overrides={"a": 1}'], id="an object"),
        pytest.param('{"allowed_origins": ["a", "b"]}', ["--allowed-origins", "a", "b"], id="a list"),
        pytest.param('{"seed": null}', [], id="null"),
        pytest.param("", [], id="empty"),
    ],
)  # fmt: skip
def test_params_become_vllms_arguments(text: str, words: list[str]) -> None:
    assert params.vllm(params.parse(text)) == words


@pytest.mark.parametrize(
    ("convert", "text", "sentence"),
    [
        pytest.param(params.vllm, '{"port": 1}', "port is set by the operator", id="ours"),
        pytest.param(params.vllm, '{"allowed_origins": ["--port=1"]}', "begins with '-'", id="a smuggled argument"),
        pytest.param(params.vllm, '{"a b": 1}', "cannot be the name", id="no name"),
        pytest.param(params.vllm, '{"x": "$(SECRET)"}', "Kubernetes would replace", id="a variable"),
        pytest.param(params.runtime, '{"max_model_length": 9}', "it has max_model_len", id="the nearest name"),
        pytest.param(params.runtime, '{"dtype": "int4"}', "dtype must be one of auto, float32", id="a wrong value"),
        pytest.param(params.runtime, '{"max_tokens": 0}', "from 1", id="too small"),
        pytest.param(params.runtime, '{"max_tokens": true}', "from 1", id="no number"),
    ],
)
def test_params_that_cannot_be_handed_on_are_refused(convert: Any, text: str, sentence: str) -> None:
    with pytest.raises(Refused, match=r".*") as refused:
        convert(params.parse(text))
    assert refused.value.reason == "BadParams"
    assert sentence in str(refused.value)


def test_params_go_to_a_known_server_in_the_predictor() -> None:
    given = container("hiyouga/llamafactory:0.9.3", "llamafactory-cli api")
    made = served(given, params='{"template": "gemma", "vllm_enforce_eager": true}')
    assert made["args"] == ["--template=gemma", "--vllm_enforce_eager=true"]


def test_gpus_of_a_given_vllm_are_used_by_it() -> None:
    made = build.given_predictor(
        inference({"containers": [container(command="vllm serve m")]}, gpuCount=2, gpuType="NVIDIA-L4"), {}, SETTINGS
    )
    assert made.predictor["containers"][0]["args"] == ["--tensor-parallel-size=2"]
    assert made.predictor["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L4"}
    assert made.predictor["volumes"][0]["emptyDir"]["medium"] == "Memory"


def node(gpus: int, product: str = "NVIDIA-L4", memory: int = 23034) -> dict[str, Any]:
    labels = {"nvidia.com/gpu.product": product, "nvidia.com/gpu.memory": str(memory)}
    return {"metadata": {"name": "n", "labels": labels}, "status": {"allocatable": {"nvidia.com/gpu": str(gpus)}}}


@pytest.mark.parametrize(
    ("size", "nodes", "spec", "engine", "gpus"),
    [
        pytest.param(10**8, [node(8)], {}, engines.RUNTIME_SERVER, 0, id="small: CPU"),
        pytest.param(16 * 10**9, [node(8)], {}, engines.VLLM, 1, id="large: one GPU holds it"),
        pytest.param(140 * 10**9, [node(8)], {}, engines.VLLM, 8, id="very large: as many as it takes"),
        pytest.param(140 * 10**9, [node(8), node(4, memory=81559)], {}, engines.VLLM, 4, id="fewer of the larger"),
        pytest.param(16 * 10**9, [], {}, engines.RUNTIME_SERVER, 0, id="large: no GPU"),
        pytest.param(16 * 10**9, [node(8)], {"gpuType": "NVIDIA-H100"}, engines.RUNTIME_SERVER, 0, id="no such GPU"),
        pytest.param(10**8, [], {"gpuCount": 1}, engines.VLLM, 1, id="asked for"),
        pytest.param(0, [node(8)], {}, engines.RUNTIME_SERVER, 0, id="nobody knows the size"),
    ],
)
def test_the_engine_of_the_short_form(
    size: int, nodes: list[Any], spec: dict[str, Any], engine: engines.Engine, gpus: int
) -> None:
    wanted = build.spec_of({"spec": {"modelId": "m", **spec}})
    choice = short.choose(wanted, {"spec": {}, "status": {"size": size}}, nodes, SETTINGS)
    assert (choice.engine, choice.gpus) == (engine, gpus)
    assert choice.why


@pytest.mark.parametrize(
    ("nodes", "spec", "dtype"),
    [
        pytest.param([node(1, "Tesla-T4", 15360)], {}, "half", id="the only GPUs have no bfloat16"),
        pytest.param([node(1, "Tesla-T4", 15360), node(1)], {}, "", id="others have it"),
        pytest.param([], {"gpuType": "Tesla-V100-SXM2-16GB"}, "half", id="the type asked for has none"),
        pytest.param([], {}, "", id="nobody knows"),
    ],
)
def test_older_gpus_get_float16(nodes: list[Any], spec: dict[str, Any], dtype: str) -> None:
    """Fault 6's counterpart in serving: vLLM refuses a bfloat16 model on a GPU that has none."""
    wanted = build.spec_of({"spec": {"modelId": "m", "gpuCount": 1, **spec}})
    choice = short.choose(wanted, {"spec": {}}, nodes, SETTINGS)
    assert choice.dtype == dtype
    model: dict[str, Any] = {"metadata": {}, "spec": {}}
    made = short.own_predictor(inference({}, gpuCount=1), choice, model, "files", "", SETTINGS)
    assert ("--dtype=half" in made.predictor["containers"][0]["args"]) is bool(dtype)


def test_requests_reach_an_adapter_in_vllm_by_the_inferences_name() -> None:
    choice = short.Choice(engines.VLLM, 1, "")
    made = short.own_predictor(
        inference({}, gpuCount=1), choice, {"metadata": {}, "spec": {}}, "files", "adapter-files", SETTINGS
    )
    words = made.predictor["containers"][0]["args"]
    assert words[-3:] == ["--enable-lora", "--lora-modules", "chat=/mnt/adapter"]
    assert {"--served-model-name=chat-base", "--max-lora-rank=64"} <= set(words)


def test_a_predictor_may_say_where_and_leave_open_what() -> None:
    choice = short.Choice(engines.RUNTIME_SERVER, 0, "")
    given = {"nodeSelector": {"zone": "a"}, "minReplicas": 2, "timeout": 30}
    made = short.own_predictor(inference(given), choice, {"metadata": {}, "spec": {}}, "files", "", SETTINGS).predictor
    assert {key: made[key] for key in given} == given
    assert made["containers"][0]["args"][0] == "serve"


def test_where_pods_share_a_network_a_server_listens_on_its_own_address_only() -> None:
    choice, settings = short.Choice(engines.VLLM, 1, ""), Settings(shared_network=True)
    made = short.own_predictor(inference({}, gpuCount=1), choice, {"metadata": {}, "spec": {}}, "files", "", settings)
    served = made.predictor["containers"][0]
    assert "--host=$(POD_IP)" in served["args"]
    assert served["env"][0] == {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


@pytest.mark.parametrize(
    ("runtime", "image", "kept"),
    [
        pytest.param("process", "", False, id="processes and no vLLM"),
        pytest.param("podman", "", True, id="real images"),
        pytest.param("process", "mine/vllm:1", True, id="set by hand"),
        pytest.param("process", "mapped", True, id="mapped to an environment"),
    ],
)
def test_an_engine_has_vllm_only_where_its_image_means_something(
    runtime: str, image: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if image == "mapped":
        (tmp_path / "images.json").write_text('{"vllm/vllm-openai": "/opt/vllm"}')
    settings = Settings(vllm_image=image) if image.startswith("mine") else Settings()
    found = fitted(settings, tmp_path, runtime)
    assert (bool(found.vllm_image), found.shared_network) == (kept, True)


def test_without_an_image_of_vllm_the_runtime_serves_on_gpus() -> None:
    wanted = build.spec_of({"spec": {"modelId": "m", "gpuCount": 1}})
    choice = short.choose(wanted, {"spec": {}}, [], Settings(vllm_image=""))
    assert (choice.engine, choice.gpus) == (engines.RUNTIME_SERVER, 1)


@pytest.mark.parametrize(
    ("mode", "annotations", "noted"),
    [
        pytest.param("", {}, False, id="the cluster's own mode"),
        pytest.param("Knative", {}, False, id="Knative scales to zero"),
        pytest.param("Standard", {}, True, id="HPA keeps one"),
        pytest.param("Standard", {"serving.kserve.io/autoscalerClass": "keda"}, False, id="KEDA scales to zero"),
    ],
)
def test_scaling_to_zero_is_set_up_only_where_the_mode_allows(
    mode: Any, annotations: dict[str, str], noted: bool
) -> None:
    settings = Settings(kserve_deployment_mode=mode)
    obj = inference({"containers": [container(command="vllm serve m")], "minReplicas": 0}, annotations)
    made = build.given_predictor(obj, {}, settings)
    metadata = build.inference_service({**obj, "apiVersion": "v"}, made, settings)["metadata"]["annotations"]
    assert [reason for reason, _ in made.notes] == (["KeepsOneReplica"] if noted else [])
    assert metadata.get("serving.kserve.io/deploymentMode", "") == mode
    assert ("autoscaling.knative.dev/class" in metadata) is (mode == "Knative")
    assert ("startupProbe" in made.predictor["containers"][0]) is (mode != "Knative")
