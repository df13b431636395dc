"""What runs inside pods: download, train and serve, started as `python -m cpod_jupyter.runtime COMMAND`.

The only package that imports torch, transformers, trl and peft, and it does so inside the command that
needs them. Nothing imports this package: what it has to say leaves as records on standard output
(`cpod_jupyter.api.records`) and as a termination message. It knows nothing of Kubernetes.
"""
