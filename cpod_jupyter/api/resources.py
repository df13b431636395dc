"""The resources of the API that this project names: group, version, plural, kind, scope.

Objects themselves are plain dictionaries in the API's own JSON form (`Object`); a `Resource`
says where such objects live.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Object = dict[str, Any]
"""One API object, as JSON has it: apiVersion, kind, metadata, spec, status."""


@dataclass(frozen=True)
class Resource:
    """A served kind, and how its URLs are made (Kubernetes API concepts, "Resource URIs")."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    singular_name: str = ""
    """Where it is not the kind in lower case."""
    list_name: str = ""
    """The kind of a list, where it is not KINDList."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.singular_name or self.kind.lower()

    @property
    def list_kind(self) -> str:
        return self.list_name or f"{self.kind}List"

    @property
    def qualified(self) -> str:
        """`plural.group`, as kubectl and error messages name it; the plural alone in the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """The URL path of the collection, of one object, or of its subresource; no name leads out of its place."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="{}")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe="{}"))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False, short_names=("ns",))
NODES = Resource("", "v1", "nodes", "Node", namespaced=False, short_names=("no",))
PODS = Resource("", "v1", "pods", "Pod", short_names=("po",), categories=("all",))
SERVICES = Resource("", "v1", "services", "Service", short_names=("svc",), categories=("all",))
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap", short_names=("cm",))
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICEACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", short_names=("sa",))
EVENTS = Resource("", "v1", "events", "Event", short_names=("ev",))
PVCS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", short_names=("pvc",))
PERSISTENTVOLUMES = Resource(
    "", "v1", "persistentvolumes", "PersistentVolume", namespaced=False, short_names=("pv",)
)  # fmt: skip
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", short_names=("ep",))
RESOURCEQUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota", short_names=("quota",))
JOBS = Resource("batch", "v1", "jobs", "Job", categories=("all",))
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", short_names=("deploy",), categories=("all",))
REPLICASETS = Resource("apps", "v1", "replicasets", "ReplicaSet", short_names=("rs",), categories=("all",))
ENDPOINTSLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress", short_names=("ing",))
INGRESSCLASSES = Resource("networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition",
    namespaced=False, short_names=("crd", "crds"),
)  # fmt: skip

_RBAC = "rbac.authorization.k8s.io"
ROLES = Resource(_RBAC, "v1", "roles", "Role")
ROLEBINDINGS = Resource(_RBAC, "v1", "rolebindings", "RoleBinding")
CLUSTERROLES = Resource(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTERROLEBINDINGS = Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)

GROUP = "cpod.cpod"
MODELSTORAGES = Resource(GROUP, "v1", "modelstorages", "ModelStorage", short_names=("ms",), categories=("cpod",))
DATASETSTORAGES = Resource(GROUP, "v1", "datasetstorages", "DataSetStorage", short_names=("ds",), categories=("cpod",))
FINETUNES = Resource(GROUP, "v1beta1", "finetunes", "FineTune", short_names=("ft",), categories=("cpod",))
CPODJOBS = Resource(GROUP, "v1beta1", "cpodjobs", "CPodJob", short_names=("cpj",), categories=("cpod",))
INFERENCES = Resource(GROUP, "v1beta1", "inferences", "Inference", short_names=("inf",), categories=("cpod",))

PYTORCHJOBS = Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob")
TFJOBS = Resource("kubeflow.org", "v1", "tfjobs", "TFJob")
MPIJOBS = Resource("kubeflow.org", "v1", "mpijobs", "MPIJob")
MPIJOBS_V2BETA1 = Resource("kubeflow.org", "v2beta1", "mpijobs", "MPIJob")
"""mpi-operator's own; a cluster has this one or training-operator's `v1`, which have one CRD name."""
XGBOOSTJOBS = Resource("kubeflow.org", "v1", "xgboostjobs", "XGBoostJob")
PADDLEJOBS = Resource("kubeflow.org", "v1", "paddlejobs", "PaddleJob")
JAXJOBS = Resource("kubeflow.org", "v1", "jaxjobs", "JAXJob")
ELASTICDLJOBS = Resource("training.kubedl.io", "v1alpha1", "elasticdljobs", "ElasticDLJob")
ELASTICDLJOBS_OLD = Resource("elasticdl.org", "v1alpha1", "elasticdljobs", "ElasticDLJob")
MARSJOBS = Resource("training.kubedl.io", "v1alpha1", "marsjobs", "MarsJob")
MARSJOBS_OLD = Resource("kubedl.io", "v1alpha1", "marsjobs", "MarsJob")
"""KubeDL's kinds; before its version 0.3 each had a group of its own."""
TRAINJOBS = Resource("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob")
TRAININGRUNTIMES = Resource("trainer.kubeflow.org", "v1alpha1", "trainingruntimes", "TrainingRuntime")
CLUSTERTRAININGRUNTIMES = Resource(
    "trainer.kubeflow.org", "v1alpha1", "clustertrainingruntimes", "ClusterTrainingRuntime", namespaced=False
)
"""Kubeflow Trainer's: a TrainJob refers to a runtime, of its namespace or of the cluster."""
INFERENCESERVICES = Resource(
    "serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService", short_names=("isvc",)
)
SERVINGRUNTIMES = Resource("serving.kserve.io", "v1alpha1", "servingruntimes", "ServingRuntime")
CLUSTERSERVINGRUNTIMES = Resource(
    "serving.kserve.io", "v1alpha1", "clusterservingruntimes", "ClusterServingRuntime", namespaced=False
)
KSERVE_KINDS = (INFERENCESERVICES, SERVINGRUNTIMES, CLUSTERSERVINGRUNTIMES)
RAYSERVICES = Resource("ray.io", "v1", "rayservices", "RayService")
"""KubeRay's; the embedded engine does not bring it."""

BUILT_IN = (
    NAMESPACES, NODES, PODS, SERVICES, CONFIGMAPS, SECRETS, SERVICEACCOUNTS, EVENTS, PVCS, PERSISTENTVOLUMES,
    ENDPOINTS, RESOURCEQUOTAS, JOBS, DEPLOYMENTS, REPLICASETS, ENDPOINTSLICES, INGRESSES, INGRESSCLASSES, LEASES,
    ROLES, ROLEBINDINGS, CLUSTERROLES, CLUSTERROLEBINDINGS, CRDS,
)  # fmt: skip
"""What the embedded engine serves without a CustomResourceDefinition."""

TRAINING_KINDS = (
    PYTORCHJOBS, TFJOBS, MPIJOBS, MPIJOBS_V2BETA1, XGBOOSTJOBS, PADDLEJOBS, JAXJOBS,
    ELASTICDLJOBS, ELASTICDLJOBS_OLD, MARSJOBS, MARSJOBS_OLD,
)  # fmt: skip
"""What the training operators bring."""
TRAINER_KINDS = (TRAINJOBS, TRAININGRUNTIMES, CLUSTERTRAININGRUNTIMES)
"""What Kubeflow Trainer brings."""

CPOD_KINDS = (MODELSTORAGES, DATASETSTORAGES, FINETUNES, CPODJOBS, INFERENCES)
BROUGHT = (*CPOD_KINDS, *TRAINING_KINDS, *TRAINER_KINDS, *KSERVE_KINDS)
"""What the embedded engine brings definitions of."""

KNOWN = (*BUILT_IN, *BROUGHT, RAYSERVICES)


def find(word: str) -> Resource | None:
    """The known resource a person means by its plural, singular, kind or short name, any case."""
    lowered = word.lower()
    for resource in KNOWN:
        if lowered in (resource.plural, resource.singular, resource.qualified, *resource.short_names):
            return resource
    return None


def of_object(obj: Object) -> Resource | None:
    """The known resource of an object, by its apiVersion and kind."""
    for resource in KNOWN:
        if obj.get("kind") == resource.kind and obj.get("apiVersion") == resource.api_version:
            return resource
    return None
