"""What a Python user imports: sessions, handles, following, evaluation.

    from cpod_jupyter.sdk import Session
    job = Session().finetune("facts", model="smollm2", dataset="facts", hyperParameters={"n_epochs": 3})
    print(job.wait().result)

No IPython here, and no torch anywhere near a kernel.
"""

from cpod_jupyter.sdk.apply import AlreadyRun
from cpod_jupyter.sdk.deployment import Deployment
from cpod_jupyter.sdk.evaluate import Comparison, accuracy, compare, contains, exact
from cpod_jupyter.sdk.follow import Detached
from cpod_jupyter.sdk.handles import Handle, Job, Storage
from cpod_jupyter.sdk.questions import Bench, Endpoint
from cpod_jupyter.sdk.session import Session
from cpod_jupyter.sdk.snapshot import Snapshot
from cpod_jupyter.sdk.states import State, Status

__all__ = [
    "AlreadyRun",
    "Bench",
    "Comparison",
    "Deployment",
    "Detached",
    "Endpoint",
    "Handle",
    "Job",
    "Session",
    "Snapshot",
    "State",
    "Status",
    "Storage",
    "accuracy",
    "compare",
    "contains",
    "exact",
]
