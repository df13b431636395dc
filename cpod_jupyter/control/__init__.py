"""The controller pattern: list and watch, a keyed work queue, level-triggered reconcilers.

Written once for two users: the operator, over HTTP, and the embedded engine's own controllers,
in its process. What it needs of an API is `KubeApi`. Nothing here knows a kind.
"""
