"""What a notebook with Kubeflow's own client does: train a function on two nodes, and read what the first one wrote.

python kubeflow_train.py NAMESPACE
"""

import sys

from kubeflow.common.types import KubernetesBackendConfig
from kubeflow.trainer import CustomTrainer, TrainerClient


def train(word):
    """Runs in the nodes, by torchrun: the client sends its source."""
    import os

    print(word, os.environ["RANK"], "of", os.environ["WORLD_SIZE"], flush=True)


client = TrainerClient(KubernetesBackendConfig(namespace=sys.argv[1]))
print("runtimes", *(runtime.name for runtime in client.list_runtimes()))
runtime = client.get_runtime("torch-distributed")
nodes = CustomTrainer(func=train, func_args={"word": "hello"}, num_nodes=2, resources_per_node={"cpu": 1})
name = client.train(runtime=runtime, trainer=nodes)
job = client.wait_for_job_status(name, timeout=240)
print("status", job.status)
print("steps", *(f"{step.name} {step.status}" for step in job.steps))
print("logs", *client.get_job_logs(name))
print("jobs", [found.name for found in client.list_jobs()] == [name])
print("events", {event.reason for event in client.get_job_events(name)} >= {"SuccessfulCreate", "AllJobsCompleted"})
client.delete_job(name)
print("left", client.list_jobs())
