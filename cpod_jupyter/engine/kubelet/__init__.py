"""The kubelet of the embedded engine: pods are processes of this machine.

    kubelet       a controller: pods bound to this node are started, observed, probed and stopped
    scheduler     a controller: pods without a node get one, and GPUs, or are told why not
    runtime       `PodRuntime`, and the variant that runs pods as processes
    supervisor    the program that keeps one pod; it outlives the engine (standard library only)

Nothing is imported here, so that a supervisor starts fast.
"""
