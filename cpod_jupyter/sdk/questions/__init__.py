"""Questions put to models that speak OpenAI's protocol: how they are reached, asked in batches, and under load.

What is asked is a `Questioned`: a deployment, or an endpoint outside any cluster. Nothing here knows of Kubernetes.
"""

from cpod_jupyter.sdk.questions.bench import Bench, Level
from cpod_jupyter.sdk.questions.endpoint import Endpoint
from cpod_jupyter.sdk.questions.questioned import Questioned
from cpod_jupyter.sdk.questions.reach import Reached

__all__ = ["Bench", "Endpoint", "Level", "Questioned", "Reached"]
