"""How lists and maps of the built-in types merge: what the client's models leave out.

The facts are those of Kubernetes' published OpenAPI (`x-kubernetes-list-type`, `-list-map-keys`, `-map-type`,
`-patch-strategy`, `-patch-merge-key`, v1.37), in short. A field is `FIELD=LIST~PATCH`: `map:KEY+KEY` is a list that
is a map by these keys, `set` one of unique values; of objects, `atomic` and `granular`; `~KEY` merges by that key in
a strategic merge patch (`~` alone: a list of plain values), `!` is the strategy retainKeys, `=` is replace. `*` is the
type itself. What is not named is atomic if it is a list, and granular if it is a map.
"""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.nodes import DUPLICATES, LIST_KEYS, LIST_TYPE

PATCH_STRATEGY = "x-kubernetes-patch-strategy"
PATCH_MERGE_KEY = "x-kubernetes-patch-merge-key"
MAP_TYPE = "x-kubernetes-map-type"
ALWAYS = "x-cpod-always"
"""Marks a field that Kubernetes' Go types always have, if only as an empty value: it is never added by anyone."""

_TYPES = """
CoreV1EndpointPort *=atomic
DiscoveryV1EndpointPort *=atomic
RbacV1Subject *=atomic
V1ConfigMapKeySelector *=atomic
V1Container env=map:name~name ports=map:containerPort+protocol~containerPort volumeDevices=map:devicePath~devicePath
    volumeMounts=map:mountPath~mountPath
V1ContainerRestartRuleOnExitCodes values=set
V1ContainerStatus allocatedResourcesStatus=map:name~name volumeMounts=map:mountPath~mountPath
V1CrossVersionObjectReference *=atomic
V1CustomResourceDefinitionStatus conditions=map:type
V1DaemonSetStatus conditions=map:type~type
V1DeploymentSpec strategy=!
V1DeploymentStatus conditions=map:type~type
V1Endpoint addresses=set
V1EndpointAddress *=atomic
V1EphemeralContainer env=map:name~name ports=map:containerPort+protocol~containerPort
    volumeDevices=map:devicePath~devicePath volumeMounts=map:mountPath~mountPath
V1EvictionResponder *=atomic
V1FileKeySelector *=atomic
V1JobSchedulingConfiguration resourceClaims=map:name~name
V1JobStatus conditions=~type
V1LabelSelector *=atomic
V1LocalObjectReference *=atomic
V1NamespaceStatus conditions=map:type~type
V1NodeAllocatableResourceClaimStatus containers=set mapping=map:name~name overhead=map:name~name
V1NodeSelector *=atomic
V1NodeSelectorTerm *=atomic
V1NodeSpec podCIDRs=set~
V1NodeStatus addresses=map:type~type conditions=map:type~type
V1ObjectFieldSelector *=atomic
V1ObjectMeta finalizers=set~ ownerReferences=map:uid~uid
V1ObjectReference *=atomic
V1OwnerReference *=atomic
V1PersistentVolumeClaimStatus allocatedResourceStatuses=granular conditions=map:type~type
V1PersistentVolumeSpec claimRef=granular
V1PodDisruptionBudgetSpec selector==
V1PodDisruptionBudgetStatus conditions=map:type~type
V1PodFailurePolicyOnExitCodesRequirement values=set
V1PodSpec containers=map:name~name ephemeralContainers=map:name~name evictionResponders=map:name~name
    hostAliases=map:ip~ip imagePullSecrets=map:name~name initContainers=map:name~name nodeSelector=atomic
    resourceClaims=map:name~name! schedulingGates=map:name~name
    topologySpreadConstraints=map:topologyKey+whenUnsatisfiable~topologyKey volumes=map:name~name!
V1PodStatus conditions=map:type~type hostIPs=~ip
    nodeAllocatableResourceClaimStatuses=map:resourceClaimName~resourceClaimName podIPs=map:ip~ip
    resourceClaimStatuses=map:name~name! volumeHealth=map:name
V1PodVolumeHealth healthConditions=map:status+reason~status
V1ReplicaSetStatus conditions=map:type~type
V1ReplicationControllerSpec selector=atomic
V1ReplicationControllerStatus conditions=map:type~type
V1ResourceClaimStatus devices=map:driver+device+pool+shareID reservedFor=map:uid~uid
V1ResourceFieldSelector *=atomic
V1ResourceRequirements claims=map:name
V1ResourceStatus resources=map:resourceID
V1RoleRef *=atomic
V1Scheduling nodeSelector=atomic
V1ScopeSelector *=atomic
V1SecretKeySelector *=atomic
V1SecretReference *=atomic
V1ServiceAccount secrets=map:name~name
V1ServiceBackendPort *=atomic
V1ServiceSpec ports=map:port+protocol~port selector=atomic
V1ServiceStatus conditions=map:type~type
V1StatefulSetStatus conditions=map:type~type
V1TopologySelectorTerm *=atomic
V1TypedLocalObjectReference *=atomic
V1UncountedTerminatedPods failed=set succeeded=set
V1VolumeHealthStatus healthConditions=map:status+reason~status
V1VolumeMount bindMountOptions=set
"""
_ALWAYS = {"spec", "status", "template", "jobTemplate", "strategy", "updateStrategy", "containers", "metadata"}
_REPEATED = {
    "env",
    "imagePullSecrets",
    "hostAliases",
    "ownerReferences",
    "conditions",
    "addresses",
    "podIPs",
    "secrets",
}
_DEFAULTS = {
    ("V1ContainerPort", "protocol"): "TCP",
    ("V1ServicePort", "protocol"): "TCP",
    ("V1LocalObjectReference", "name"): "",
}
"""Defaults of fields that are keys of list maps (`+default` in kubernetes/api, core/v1/types.go)."""


def _parsed(text: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    fields: dict[str, str] = {}
    for line in text.strip().splitlines():
        name, _, rest = line.partition(" ")
        if name:
            fields = found[name] = {}
        for fact in rest.split():
            field, _, code = fact.partition("=")
            fields[field] = code
    return found


_FACTS = _parsed(_TYPES)


def _extensions(fact: str) -> dict[str, Any]:
    """The OpenAPI extensions that one fact stands for."""
    result: dict[str, Any] = {}
    strategies = []
    kind, merges, key = fact.rstrip("!=").partition("~")
    if kind.startswith("map:"):
        result[LIST_TYPE], result[LIST_KEYS] = "map", kind.removeprefix("map:").split("+")
    elif kind == "set":
        result[LIST_TYPE] = "set"
    elif kind:
        result[MAP_TYPE] = kind
    if merges:
        strategies.append("merge")
    if key:
        result[PATCH_MERGE_KEY] = key
    if fact.endswith("!"):
        strategies.append("retainKeys")
    if fact.endswith("="):
        strategies.append("replace")
    if strategies:
        result[PATCH_STRATEGY] = ",".join(strategies)
    return result


def annotate(type_name: str, schema: dict[str, Any]) -> None:
    """Add what is known of a built-in type, by its name in the official client (`V1PodSpec`), to its schema."""
    if not type_name.startswith(("V1", "Core", "Events", "Discovery", "Rbac")):
        return
    properties: dict[str, Any] = schema.get("properties") or {}
    for name in _ALWAYS & properties.keys():
        properties[name][ALWAYS] = True
    for field, fact in _FACTS.get(type_name, {}).items():
        target = schema if field == "*" else properties.get(field)
        if target is None:
            continue  # a field that this release of the client does not have
        target.update(_extensions(fact))
        if field in _REPEATED or (field == "ports" and "ontainer" in type_name):
            target[DUPLICATES] = True
    for name in properties:
        if (type_name, name) in _DEFAULTS:
            properties[name]["default"] = _DEFAULTS[type_name, name]


_NOT_IN_DEFINITIONS = (PATCH_STRATEGY, PATCH_MERGE_KEY, ALWAYS, DUPLICATES)


def for_definition(schema: Any) -> Any:
    """The schema as a CustomResourceDefinition may hold it, which knows nothing of strategic merges."""
    if isinstance(schema, dict):
        return {name: for_definition(item) for name, item in schema.items() if name not in _NOT_IN_DEFINITIONS}
    return [for_definition(item) for item in schema] if isinstance(schema, list) else schema
