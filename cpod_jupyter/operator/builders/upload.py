"""A CPodJob's result to the Job that uploads it, and where to."""

from __future__ import annotations

import re
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import Object
from cpod_jupyter.operator.builders.claims import claim_volume
from cpod_jupyter.operator.builders.credentials import object_store
from cpod_jupyter.operator.builders.download import RUNTIME
from cpod_jupyter.operator.metadata import annotation, child_metadata
from cpod_jupyter.operator.objects import Refused
from cpod_jupyter.operator.settings import Settings

SCHEMES = ("s3", "oss", "gs", "file")
"""Where a model can be uploaded to; `file` only where pods see the files of the machine that the operator runs on."""
SOURCE = "/cpod/model"
"""Where the claim with the result is mounted."""
_FINAL_EXIT_CODES = [1, 2]
_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")


def root(job: Object, settings: Settings) -> str:
    """Where the results of this job's kind go, or with the job's own annotation, exactly where its result goes.

    Raises Refused where neither is set, or what is set cannot be uploaded to.
    """
    given = annotation(job, names.ANNOTATION_UPLOAD_TO)
    uri = given or settings.upload_destination
    how = (
        f"set uploadDestination in the operator's settings, such as s3://BUCKET/PREFIX, or the annotation "
        f"{names.ANNOTATION_UPLOAD_TO} on this CPodJob"
    )
    if not uri:
        raise Refused("NoUploadDestination", f"uploadModel, but nowhere is said where to: {how}, or leave it out")
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in SCHEMES or not rest.strip("/") or "@" in rest.partition("/")[0]:
        raise Refused(
            "BadUploadDestination",
            f"{uri!r} is no URI that a model can be uploaded to ({', '.join(f'{name}://' for name in SCHEMES)}, with "
            f"keys in a Secret and not in the URI): {how}",
        )
    if scheme == "file" and not settings.pods_share_files:
        raise Refused(
            "BadUploadDestination",
            f"{uri!r}: pods of this cluster have file systems of their own, so the copy would be gone with the pod: "
            f"{how} to a store that is reached by network",
        )
    return uri.rstrip("/")


def destination(job: Object, storage: Object, uri: str) -> str:
    """The URI of the directory for this model.

    In the original's layout: models/NAMESPACE/NAME or, for an adapter, adapters/NAMESPACE/NAME, by the name that a
    person knows the model by (`cpod.cpod/modelstorageName`, or else the job's).
    """
    if annotation(job, names.ANNOTATION_UPLOAD_TO):
        return uri
    folder = "adapters" if storage["spec"].get("isloraadapter") else "models"
    readable = annotation(job, names.ANNOTATION_MODEL_NAME) or meta.name_of(job)
    parts = [_STRANGE.sub("-", part).strip("-.") for part in readable.split("/")]
    name = "/".join(part for part in parts if part) or meta.name_of(job)
    return "/".join((uri, folder, meta.namespace_of(job), name))


def upload_job(job: Object, to: str, settings: Settings) -> Object:
    """The Job that uploads the result. The keys come from a Secret, never from arguments."""
    name = meta.name_of(job)
    container: dict[str, Any] = {
        "name": "uploadjob",
        "image": settings.runtime_image,
        "command": list(RUNTIME),
        "args": ["upload", "--source", SOURCE, "--destination", to],
        "volumeMounts": [{"name": "modelsave", "mountPath": SOURCE, "readOnly": True}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if secrets := object_store(settings, job):
        container["envFrom"] = secrets
    marks = {
        names.ANNOTATION_DESTINATION: to,
        names.ANNOTATION_UPLOAD_TO: annotation(job, names.ANNOTATION_UPLOAD_TO),
    }
    final = {"containerName": "uploadjob", "operator": "In", "values": _FINAL_EXIT_CODES}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": child_metadata(names.upload_job(name), job, marks),
        "spec": {
            "backoffLimit": settings.upload_retries,
            "activeDeadlineSeconds": settings.upload_minutes * 60,
            "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": final}]},
            "template": {
                "metadata": {"labels": {names.LABEL_UPLOAD: name}},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [container],
                    "volumes": [claim_volume("modelsave", names.result_claim(name))],
                },
            },
        },
    }
