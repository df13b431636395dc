"""A command in a pod, through kr8s's WebSocket client.

python kr8s_exec.py NAMESPACE POD
"""

import sys

from kr8s.objects import Pod

pod = Pod.get(sys.argv[2], namespace=sys.argv[1])
done = pod.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
print(done.stdout.decode().strip(), done.stderr.decode().strip(), done.returncode)
