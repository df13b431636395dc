"""KubeRay's RayService for a test's cluster."""

from __future__ import annotations

from cpod_jupyter.api.resources import Object

RAY_CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rayservices.ray.io"},
    "spec": {
        "group": "ray.io",
        "scope": "Namespaced",
        "names": {
            "plural": "rayservices",
            "singular": "rayservice",
            "kind": "RayService",
            "listKind": "RayServiceList",
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
"""KubeRay's kind without its schema of a megabyte."""
