"""The operator: reconcilers from what people ask for to what Kubernetes, Kubeflow and KServe run.

`manager.controllers` is the entry point. Each reconciler is level-triggered: it reads what is there,
takes one step towards what is wanted, writes what it saw into the status, and is woken by whatever
it waits for. `builders` are pure (object to child manifests), `conditions` too (observed to status).

Not in here: how the API is reached (`client`, or the engine's own), what runs inside pods
(`runtime`), and what a cluster brings with it (Job, PyTorchJob and InferenceService controllers).
"""
