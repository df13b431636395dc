"""The ClusterServingRuntimes that the engine brings: those of KServe's that something on this machine can stand for."""

from __future__ import annotations

from cpod_jupyter.api.resources import CLUSTERSERVINGRUNTIMES, Object
from cpod_jupyter.version import VERSION

_PORT = 8080


def cluster_serving_runtimes() -> list[Object]:
    """`kserve-huggingfaceserver`: language models by transformers, which this project's own server answers for.

    The name and the formats are KServe's, so that a manifest that names the runtime, or lets one be chosen, is served
    here and on a cluster. It is OpenAI's protocol that is spoken, at /v1 and /openai/v1.
    """
    container = {
        "name": "kserve-container",
        "image": f"cpod-jupyter/runtime:{VERSION}",
        "command": ["python", "-m", "cpod_jupyter.runtime"],
        # on the pod's own address: the probe comes from outside, and so do the requests
        "args": [
            "serve", "--model", "/mnt/models", "--name", "{{.Name}}", "--host", "$(POD_IP)", "--port", str(_PORT),
        ],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"containerPort": _PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": _PORT}, "periodSeconds": 1},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }  # fmt: skip
    return [
        {
            "apiVersion": CLUSTERSERVINGRUNTIMES.api_version,
            "kind": CLUSTERSERVINGRUNTIMES.kind,
            "metadata": {"name": "kserve-huggingfaceserver"},
            "spec": {
                "supportedModelFormats": [{"name": "huggingface", "version": "1", "autoSelect": True, "priority": 1}],
                "protocolVersions": ["v2", "v1"],
                "containers": [container],
            },
        }
    ]
