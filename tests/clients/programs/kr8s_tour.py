"""What a script on kr8s does: look around, create, wait, follow logs, patch, watch, delete.

python kr8s_tour.py NAMESPACE
"""

import sys
import threading

import kr8s
from kr8s.objects import ConfigMap, Pod, new_class

namespace = sys.argv[1]
api = kr8s.api()

print("version", api.version()["major"])
print("whoami", api.whoami())
kinds = {entry["kind"]: entry for entry in api.api_resources()}
print("resources", *(kind for kind in ("Pod", "Deployment", "FineTune") if kind in kinds))

config = ConfigMap({"metadata": {"name": "settings", "namespace": namespace}, "data": {"a": "1"}})
config.create()
config.patch({"data": {"b": "2"}})
config.label({"team": "blue"})
config.annotate({"note": "seen"})
print("configmap", dict(config.data), dict(config.labels), config.annotations["note"])
print("selected", [item.name for item in kr8s.get("configmaps", namespace=namespace, label_selector="team=blue")])

seen = threading.Event()


def follow() -> None:
    for event, item in kr8s.watch("configmaps", namespace=namespace, label_selector="team=blue"):
        if event == "MODIFIED" and item.data.get("c") == "3":
            seen.set()
            return


watcher = threading.Thread(target=follow, daemon=True)
watcher.start()
for number in range(100):
    config.patch({"data": {"c": "3", "n": str(number)}})
    if seen.wait(0.2):
        break
print("watched", seen.is_set())

pod = Pod(
    {
        "metadata": {"name": "worker", "namespace": namespace, "labels": {"app": "worker"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {"name": "main", "image": "busybox", "command": ["sh", "-c", "echo one; sleep 1; echo two"]}
            ],
        },
    }
)
pod.create()
pod.wait("condition=Ready", timeout=30)
print("ready", pod.ready())
print("logs", *pod.logs(follow=True))
pod.wait("jsonpath='{.status.phase}'=Succeeded", timeout=30)
pod.refresh()
print("phase", pod.status.phase)
pod.delete()
pod.wait("delete", timeout=30)
print("exists", pod.exists())

Lease = new_class(kind="Lease", version="coordination.k8s.io/v1", namespaced=True)
Lease({"metadata": {"name": "turn", "namespace": namespace}, "spec": {"holderIdentity": "me"}}).create()
print("lease", Lease.get("turn", namespace=namespace).spec.holderIdentity)

try:
    ConfigMap.get("missing", namespace=namespace)
except kr8s.NotFoundError:
    print("missing NotFoundError")
