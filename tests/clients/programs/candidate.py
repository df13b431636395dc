"""One of several that want to lead, by the official client's leader election on a Lease.

python candidate.py NAMESPACE NAME
"""

import sys
import time

from kubernetes import config
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

config.load_kube_config()
namespace, name = sys.argv[1:]


def lead() -> None:
    print(f"{name} leads", flush=True)
    time.sleep(60)


lock = LeaseLock("turn", namespace, name)
settings = electionconfig.Config(
    lock, lease_duration=3, renew_deadline=2, retry_period=1, onstarted_leading=lead, onstopped_leading=None
)
leaderelection.LeaderElection(settings).run()
