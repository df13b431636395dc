"""The official client's asyncio half: typed calls, watch, dynamic, leader election.

python official_aio.py NAMESPACE
"""

import asyncio
import sys

from kubernetes.aio import client, config, watch
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.leaderelection import electionconfig, leaderelection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

namespace = sys.argv[1]


async def typed(api: client.CoreV1Api) -> None:
    body = {"metadata": {"name": "a"}, "data": {"x": "1"}}
    created = await api.create_namespaced_config_map(namespace, body)
    print("created", created.metadata.name)
    patched = await api.patch_namespaced_config_map("a", namespace, {"data": {"y": "2"}})
    print("patched", patched.data)
    try:
        await api.read_namespaced_config_map("none", namespace)
    except client.ApiException as error:
        print("missing", error.status, error.reason)


async def watched(api: client.CoreV1Api) -> None:
    version = (await api.list_namespaced_config_map(namespace)).metadata.resource_version
    await api.create_namespaced_config_map(namespace, {"metadata": {"name": "b"}})
    await api.delete_namespaced_config_map("b", namespace)
    told = []
    async with watch.Watch() as stream:
        async for event in stream.stream(
            api.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=5
        ):
            told.append(f"{event['type']} {event['object'].metadata.name}")
            if len(told) == 2:
                break
    print("watched", *told)


async def logs(api: client.CoreV1Api) -> None:
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", "echo one; echo two"]}
    pod = {"metadata": {"name": "p"}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    await api.create_namespaced_pod(namespace, pod)
    while (await api.read_namespaced_pod("p", namespace)).status.phase not in ("Succeeded", "Failed"):
        await asyncio.sleep(0.1)
    print("log", repr(await api.read_namespaced_pod_log("p", namespace)))


async def dynamic(found: client.ApiClient) -> None:
    kinds = await DynamicClient(found)
    jobs = await kinds.resources.get(api_version="cpod.cpod/v1beta1", kind="CPodJob")
    spec = {"jobType": "general", "image": "busybox", "command": ["true"]}
    body = {"apiVersion": "cpod.cpod/v1beta1", "kind": "CPodJob", "metadata": {"name": "j"}, "spec": spec}
    await jobs.create(body=body, namespace=namespace)
    found_job = await jobs.get(name="j", namespace=namespace)
    print("dynamic", found_job.spec.jobType)


async def elected(found: client.ApiClient) -> None:
    led = asyncio.Event()

    async def lead() -> None:
        led.set()

    async def stopped() -> None:
        return

    # The lock would make its lease itself, but in release 37.0.2 with `pretty=True`, which its own model refuses.
    leases = client.CoordinationV1Api(found)
    await leases.create_namespaced_lease(namespace, {"metadata": {"name": "turn"}, "spec": {}})
    lock = LeaseLock("turn", namespace, "me", found)
    settings = electionconfig.Config(
        lock, lease_duration=3, renew_deadline=2, retry_period=1, onstarted_leading=lead, onstopped_leading=stopped
    )
    running = asyncio.create_task(leaderelection.LeaderElection(settings).run())
    await asyncio.wait_for(led.wait(), 20)
    running.cancel()
    lease = await leases.read_namespaced_lease("turn", namespace)
    print("leads", lease.spec.holder_identity)


async def main() -> None:
    await config.load_kube_config()
    async with client.ApiClient() as found:
        api = client.CoreV1Api(found)
        await typed(api)
        await watched(api)
        await logs(api)
        await dynamic(found)
        await elected(found)


asyncio.run(main())
