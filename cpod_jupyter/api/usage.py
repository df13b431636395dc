"""The kinds of the resource metrics API (Kubernetes, "Resource metrics pipeline"): what is used now."""

from __future__ import annotations

from cpod_jupyter.api.resources import Resource

NODE_METRICS = Resource("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", namespaced=False)
POD_METRICS = Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
