"""A deployment's replicas by a line."""

from __future__ import annotations

import pytest
from jupyter_cells import Notebook

from cpod_jupyter.errors import CpodError

INFERENCE = """%%cpod inference site
predictor:
  terminationGracePeriodSeconds: 1
  containers:
  - name: kserve-container
    image: python:3.11
    command: [python, -m, http.server, "8080", --bind, $(POD_IP)]
    env:
    - name: POD_IP
      valueFrom: {fieldRef: {fieldPath: status.podIP}}
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
"""


@pytest.mark.usefixtures("namespace")
def test_a_line_scales_a_deployment_and_waits_for_it(notebook: Notebook) -> None:
    notebook.run(INFERENCE).raise_error()
    done = notebook.run("%cpod scale site 2 -o site --timeout 60")
    done.raise_error()
    site = notebook.variables["site"]
    assert done.result is site
    assert site.object["spec"]["autoscalerOptions"]["minReplicas"] == 2
    assert any("of 2 replicas are ready" in shown["text/plain"] for shown in notebook.outputs)
    assert "inference/site  Ready" in notebook.outputs[-1]["text/plain"]
    again = notebook.run(INFERENCE)
    again.raise_error()
    assert again.result.refresh().object["spec"]["autoscalerOptions"]["minReplicas"] == 2, "the same cell leaves it"
    refused = notebook.run("%cpod scale site -1").error_in_exec
    assert isinstance(refused, CpodError)
    assert "-1 replicas cannot be" in str(refused)
    site.delete()
