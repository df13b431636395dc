"""The plan of a fine-tune, from the model's shape and the GPUs: pure, and without torch.

`shapes` and `known_models` say how large a model is, `gpus` what a GPU has, `memory` what work needs, `ways` which ways
there are to do it, `reasons` why one is chosen, `plan` joins them, and `deepspeed` is how it is told to DeepSpeed. None
of it knows of Kubernetes objects.
"""

from cpod_jupyter.api.planning.gpus import Gpu, gpu_of_node, known_gpu
from cpod_jupyter.api.planning.known_models import known_shape
from cpod_jupyter.api.planning.memory import Estimate, Work, estimate
from cpod_jupyter.api.planning.plan import DEEPSPEED_PATH, Plan, make_plan
from cpod_jupyter.api.planning.shapes import ModelShape
from cpod_jupyter.api.planning.ways import PlanRequest

__all__ = [
    "DEEPSPEED_PATH",
    "Estimate",
    "Gpu",
    "ModelShape",
    "Plan",
    "PlanRequest",
    "Work",
    "estimate",
    "gpu_of_node",
    "known_gpu",
    "known_shape",
    "make_plan",
]
