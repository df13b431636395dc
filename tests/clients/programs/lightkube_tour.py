"""What a charm on lightkube does: apply server-side, list, watch, status, logs, errors.

python lightkube_tour.py NAMESPACE
"""

import sys

from lightkube import ApiError, Client
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import PatchType

namespace = sys.argv[1]
client = Client(namespace=namespace, field_manager="charm")


def config(**data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name="settings", namespace=namespace, labels={"a": "b"}), data=data)


print("applied", client.apply(config(a="1", b="2")).data)
print("again", client.apply(config(a="1")).data)
try:
    client.apply(config(a="other"), field_manager="stranger")
except ApiError as error:
    print("conflict", error.status.code, error.status.reason)
print("forced", client.apply(config(a="other"), field_manager="stranger", force=True).data)
print("patched", client.patch(ConfigMap, "settings", {"data": {"c": "3"}}, patch_type=PatchType.MERGE).data)
print("listed", [item.metadata.name for item in client.list(ConfigMap, labels={"a": "b"})])
for event, item in client.watch(ConfigMap, labels={"a": "b"}):
    print("watched", event, item.metadata.name)
    break

try:
    client.get(ConfigMap, "missing")
except ApiError as error:
    print("missing", error.status.reason, error.status.details.name)

client.create(
    Pod(
        metadata=ObjectMeta(name="worker"),
        spec=PodSpec(
            restartPolicy="Never",
            containers=[Container(name="main", image="busybox", command=["sh", "-c", "echo hello; sleep 1"])],
        ),
    )
)
client.wait(Pod, "worker", for_conditions=["Ready"])
print("logs", *(line.strip() for line in client.log("worker", follow=True)))

Job = create_namespaced_resource("cpod.cpod", "v1beta1", "CPodJob", "cpodjobs")
spec = {"jobType": "general", "image": "busybox", "command": ["true"]}
job = client.create(Job(metadata=ObjectMeta(name="job"), spec=spec))
print("custom", job.spec["jobType"])
for _, item in client.watch(Job, fields={"metadata.name": "job"}):
    conditions = (item.status or {}).get("conditions") or []
    if any(entry["type"] == "Succeeded" and entry["status"] == "True" for entry in conditions):
        print("status Succeeded")
        break
client.delete(Job, "job")
client.deletecollection(ConfigMap)
print("left", [item.metadata.name for item in client.list(ConfigMap)])
