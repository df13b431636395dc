"""What a cluster would bring, in the small: batch Jobs, Kubeflow's PyTorchJob, KServe's InferenceService, claims.

Each module has pure builders (object to children) and conditions (what is observed to status), and
a reconciler that joins them.
"""
