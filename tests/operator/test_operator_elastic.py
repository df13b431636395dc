"""A training in two pods loses one of them, and ends as if it had not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_model import chat_rows, tiny_model
from whole_engine import whole_engine

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, PODS, Object
from cpod_jupyter.client.client import Client

__all__ = ["tiny_model"]

ARGUMENTS = {
    "num_train_epochs": "100",
    "per_device_train_batch_size": "2",
    "learning_rate": "0.003",
    "lora_dropout": "0.1",
    "save_strategy": "steps",
    "save_steps": "20",
}
"""200 steps of two processes with two rows each."""
MOST_SECONDS = 240


def job(name: str, model: Path, data: Path, folder: Path) -> Object:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"arguments": ARGUMENTS}))
    command = [sys.executable, "-m", "torch.distributed.run", "-m", "cpod_jupyter.runtime", "train"]
    places = {"config": folder / "config.json", "model": model, "dataset": data, "output": folder / "out"}
    options = [
        text for key, path in {**places, "checkpoints": folder / "ck"}.items() for text in (f"--{key}", str(path))
    ]
    spec = {"jobType": "pytorch", "image": "python", "command": [*command, *options], "workerReplicas": 2}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def succeeded(client: Client, name: str) -> bool:
    found = client.get(CPODJOBS, name, "default")
    assert not meta.is_true(found, "Failed"), found["status"]
    return meta.is_true(found, "Succeeded")


def outcomes(client: Client, name: str) -> list[str]:
    """The last words of each worker; empty while it runs."""
    pods = [client.get(PODS, f"{name}-worker-{n}", "default") for n in (0, 1)]
    states = [pod["status"]["containerStatuses"][0].get("state") or {} for pod in pods]
    return [(state.get("terminated") or {}).get("message", "") for state in states]


def losses(folder: Path) -> list[float]:
    state = json.loads((folder / "out" / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_pod_that_is_deleted_comes_back_and_the_training_goes_on_at_the_last_checkpoint(
    tiny_model: Path, tmp_path: Path, eventually: Callable[..., object]
) -> None:
    data = chat_rows(tmp_path / "data")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with whole_engine(tmp_path / "home") as engine:
        client = Client.from_kubeconfig(engine.kubeconfig)
        client.create(CPODJOBS, job("whole", tiny_model, data, whole))
        eventually(lambda: succeeded(client, "whole"), "the unbroken run's end", MOST_SECONDS)

        client.create(CPODJOBS, job("broken", tiny_model, data, broken))
        checkpoints = "ck/run-*/checkpoint-*/trainer_state.json"
        eventually(lambda: any(broken.glob(checkpoints)), "a checkpoint", MOST_SECONDS)
        pod = client.get(PODS, "broken-worker-1", "default")
        client.delete(PODS, "broken-worker-1", "default")
        eventually(lambda: succeeded(client, "broken"), "the broken run's end", MOST_SECONDS)
        assert client.get(PODS, "broken-worker-1", "default")["metadata"]["uid"] != pod["metadata"]["uid"]
        # The job has succeeded when one of them has; the other is left to end by itself, with its log.
        eventually(lambda: all(outcomes(client, "broken")), "each worker's end", MOST_SECONDS)
        first, second = outcomes(client, "broken")
        said = "\n".join(line for n in (0, 1) for line in client.logs(f"broken-worker-{n}", "default"))
        client.close()
    assert first == second, "whichever is left to be asked can tell what came out"
    assert json.loads(first)["steps"] == 200
    assert "going on from " in said
    assert len(losses(whole)) == 200
    assert losses(broken) == pytest.approx(losses(whole), rel=1e-6)
