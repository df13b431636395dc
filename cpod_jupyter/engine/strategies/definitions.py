"""CustomResourceDefinitions: names filled in, and the status of one that is served."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.kinds import check_crd


def new_definition(definition: Object) -> None:
    check_crd(definition)
    names = definition["spec"]["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", names["kind"] + "List")
    definition["spec"].setdefault("conversion", {"strategy": "None"})


def crd_status(definition: Object, stamp: str) -> dict[str, Any]:
    """The status of a definition that is served."""
    entry = {"status": "True", "lastTransitionTime": stamp}
    storage = [version["name"] for version in definition["spec"]["versions"] if version.get("storage")]
    return {
        "acceptedNames": definition["spec"]["names"],
        "storedVersions": storage,
        "conditions": [
            {"type": "NamesAccepted", "reason": "NoConflicts", "message": "no conflicts found", **entry},
            {
                "type": "Established",
                "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted",
                **entry,
            },
        ],
    }
