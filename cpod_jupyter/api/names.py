"""Names, labels and annotations that the kinds derive from each other. Clusters depend on them; pure.

Kubernetes keeps a Job's, a PyTorchJob's and an InferenceService's name in labels and host names of
their pods, which end at 63 characters (RFC 1123 label). So a name from which such a name is derived
has a limit of its own, and one beyond it is refused before anything is made.
"""

from __future__ import annotations

import hashlib

LABEL_LIMIT = 63
"""Characters of a label's value and of a host name."""

LABEL_CPODJOB = "cpod.cpod/cpodjob"
"""On the pods of a CPodJob and on its result: its name."""
LABEL_MODELSTORAGE = "cpod.cpod/modelstorage"
"""On the pods that fetch a model: its ModelStorage."""
LABEL_DATASETSTORAGE = "cpod.cpod/datasetstorage"
LABEL_UPLOAD = "cpod.cpod/upload"
"""On the pods that upload a CPodJob's result: its name."""
LABEL_RECEIVER = "cpod.cpod/receiver"
"""On pods that take in what is uploaded from a notebook, and on their claims."""
LABEL_SANDBOX = "cpod.cpod/sandbox"
"""On pods in which code that a model wrote is run, and on what was made for them: the pod's name."""
LABEL_COPY = "cpod.cpod/storage-copy"
"""`true` on the copy of a public storage, and on its PersistentVolume."""
LABEL_USER = "cpod.cpod/userID"
LABEL_INFERENCE_SERVICE = "serving.kserve.io/inferenceservice"
"""KServe's own, on the pods of an InferenceService."""
LABEL_JOB = "batch.kubernetes.io/job-name"
"""Kubernetes' own, on the pods of a Job."""

LABEL_RAY_CLUSTER = "ray.io/cluster"
"""KubeRay's own, on the pods of a RayCluster."""

ANNOTATION_MODEL_NAME = "cpod.cpod/modelstorageName"
"""The name that a person knows a result by."""
ANNOTATION_BASE_MODEL = "cpod.cpod/baseModelstorageName"
"""On a result: the ModelStorage that it was made from."""
ANNOTATION_MODEL_SIZE = "cpod.cpod/cpod-model-size"
"""Bytes; before a download an estimate."""
ANNOTATION_DATASET_SIZE = "cpod.cpod/cpod-dataset-size"
ANNOTATION_READABLE_NAME = "cpod.cpod/cpod-model-readable-name"
ANNOTATION_CATEGORY = "cpod.cpod/cpod-model-category"
"""On a model that an original operator fetched: chat or embedding."""
ANNOTATION_ADAPTER = "cpod.cpod/cpod-adapter-id-name"
"""On an Inference: the adapter's ModelStorage, served with the model."""
ANNOTATION_FINETUNE = "cpod.cpod/cpod-finetune-id"
ANNOTATION_AUTO_MERGE = "cpod.cpod/cpod-auto-merge"
"""Present when the result is to be a merged model."""
ANNOTATION_OWNER_GENERATION = "cpod.cpod/owner-generation"
"""On a child: the generation of its owner that it was made for."""
ANNOTATION_FORCE = "cpod.cpod/force"
"""On a FineTune, `true`: go on although the plan does not fit the memory."""
LABEL_SMOKE = "cpod.cpod/smoke"
"""`true` on what was made to try something out: a run of few steps, and the storages it takes."""
ANNOTATION_ROWS = "cpod.cpod/rows"
"""On a FineTune: how many rows of the dataset it trains on, the first ones; all of them are checked."""
ANNOTATION_SOURCE = "cpod.cpod/source"
"""On a download Job: the URI it fetches."""
ANNOTATION_SECRET = "cpod.cpod/secret"
"""On a storage or CPodJob: the Secret, in its namespace, with the environment variables for its object store."""
ANNOTATION_CHECKSUM = "cpod.cpod/sha256"
"""On a storage: the SHA-256 of the one file, or over those of all files, that must be fetched."""
ANNOTATION_COPY_OF = "cpod.cpod/copy-of-uid"
"""On a copy of a public storage: that one's uid."""
ANNOTATION_COPY = "cpod.cpod/copy"
"""On the PersistentVolume of such a copy, which nothing owns: KIND/NAMESPACE/NAME of the copy."""
ANNOTATION_MADE_BY = "cpod.cpod/made-by-uid"
"""On a result, which nothing owns: the uid of the CPodJob it comes from."""
ANNOTATION_UPLOAD_TO = "cpod.cpod/upload-to"
"""On a CPodJob: the URI of the directory that its result is to be uploaded to, instead of the settings'."""
ANNOTATION_DESTINATION = "cpod.cpod/destination"
"""On an upload Job: the URI it uploads to."""
ANNOTATION_SPEC_HASH = "cpod.cpod/spec-hash"
"""On a child that is kept up to date: the hash of the specification applied last."""
ANNOTATION_ENGINE = "cpod.cpod/engine"
"""On what serves an Inference: the engine chosen, or found in its predictor."""
ANNOTATION_GPUS = "cpod.cpod/gpus"
"""On what serves an Inference: GPUs of each replica."""
ANNOTATION_DTYPE = "cpod.cpod/dtype"
"""On what serves an Inference: the weights' type, where it was chosen for the GPUs that there are."""
ANNOTATION_PASSED_ON = "cpod.cpod/passed-on"
"""On an InferenceService: the annotations that come from its Inference, so that they can go with it."""
ANNOTATION_API_KEY = "cpod.cpod/api-key-secret"
"""On an Inference: the Secret whose key `token` requests must bring, as OpenAI's clients send their API key."""
ANNOTATION_ADAPTER_PUBLIC = "cpod.cpod/cpod-adapter-is-public"
"""Present on an Inference whose adapter is in the namespace `public`."""

LABEL_INFERENCE = "cpod.cpod/inference"
"""On the pods of a RayService and of a web UI: the Inference's name."""

LOGS_CLAIM = "log-volume-tensorboard-0"
"""In a namespace with TensorBoard: the claim with its logs."""

MODELSTORAGE_URI = "modelstorage://"
"""In an Inference's storage URIs: the ModelStorage of that name, wherever its files are."""


def cpodjob_of_finetune(finetune: str) -> str:
    return f"{finetune}-cpodjob"


def config_of_finetune(finetune: str) -> str:
    return f"{finetune}-config"


def checkpoint_claim(cpodjob: str) -> str:
    return f"{cpodjob}-ckpt"


def result_claim(cpodjob: str) -> str:
    return f"{cpodjob}-modelsave-pvc"


def result_storage(cpodjob: str) -> str:
    return f"{cpodjob}-modelsavestorage"


def upload_job(cpodjob: str) -> str:
    return f"{cpodjob}-upload"


def download_job(word: str, storage: str) -> str:
    """`word` is model or dataset."""
    return f"{word}-{storage}"


def storage_claim(word: str, storage: str) -> str:
    """The claim of a storage: `pvc-model-NAME`; for a hub's `model-storage-H` the original's `pvc-model-H`."""
    return f"pvc-{word}-{storage.removeprefix(f'{word}-storage-')}"


_PUBLIC = "-public"


def public_copy(storage: str) -> str:
    """The name of a public storage's copy in a user's namespace, from either of the two names."""
    return storage.removesuffix(_PUBLIC) + _PUBLIC


def public_original(storage: str) -> str:
    """The name in the public namespace, from either of the two names."""
    return storage.removesuffix(_PUBLIC)


def is_copy(storage: str) -> bool:
    """Whether a storage of that name may be a copy."""
    return storage.endswith(_PUBLIC)


def same_storage(named: str, storage: str) -> bool:
    """Whether an object that names `named` uses the storage of that name, or as a public one its copy."""
    return storage == named or (bool(named) and storage == public_copy(named))


def copied_volume(volume: str, namespace: str) -> str:
    """The PersistentVolume of a copy: `VOLUME-NAMESPACE`; cut, with a hash of the whole, where that is too long."""
    whole = f"{volume}-{namespace}"
    if len(whole) <= LABEL_LIMIT:
        return whole
    return f"{whole[: LABEL_LIMIT - 9]}-{hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest()[:8]}"


def inference_service(inference: str) -> str:
    return f"{inference}-is"


def ray_serve_service(inference: str) -> str:
    """KubeRay's Service of a RayService: of a long name the last 50 characters, a letter first (its CheckName)."""
    name = f"{inference}-serve-svc"[-50:]
    return name if name[0].isalpha() else f"r{name[1:]}"


def inference_ingress(inference: str) -> str:
    return f"{inference}-ingress"


def web_ui(inference: str) -> str:
    return f"{inference}-web-ui"


def web_ui_ingress(inference: str) -> str:
    return f"{inference}-web-ui-ingress"


def hub_model_storage(model: str) -> str:
    """The ModelStorage of a hub's model: `model-storage-H`, H from the SHA-1 of its storage path."""
    path = f"models/public/{model}"
    return f"model-storage-{hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()[:16]}"


_LONGEST_DERIVED = {
    "ModelStorage": len("model-"),
    "DataSetStorage": len("dataset-"),
    "CPodJob": len("-worker-999"),
    "FineTune": len("-cpodjob-worker-999"),
    "Inference": len("-is-predictor"),
}


def too_long(kind: str, name: str) -> str | None:
    """Why the name is too long for what is derived from it, or None when it is not."""
    limit = LABEL_LIMIT - _LONGEST_DERIVED[kind]
    if len(name) <= limit:
        return None
    return (
        f"the name has {len(name)} characters, and names of pods and services are derived from it: "
        f"a {kind} may have at most {limit}"
    )
