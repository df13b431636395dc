"""All CustomResourceDefinitions that this project brings."""

from __future__ import annotations

from cpod_jupyter.api.cpodjob import cpodjob_crd
from cpod_jupyter.api.finetune import finetune_crd
from cpod_jupyter.api.inference import inference_crd
from cpod_jupyter.api.kserve import kserve_crds
from cpod_jupyter.api.kubedl import kubedl_crds
from cpod_jupyter.api.kubeflow import kubeflow_crds
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.storage import dataset_storage_crd, model_storage_crd
from cpod_jupyter.api.trainjob import trainer_crds


def cpod_crds() -> list[Object]:
    """The project's own kinds."""
    return [model_storage_crd(), dataset_storage_crd(), finetune_crd(), cpodjob_crd(), inference_crd()]


def engine_crds() -> list[Object]:
    """What the embedded engine installs: the project's kinds, and those a cluster has from others."""
    return [*cpod_crds(), *kubeflow_crds(), *kubedl_crds(), *trainer_crds(), *kserve_crds()]
