"""The operator on a cluster: its manifests (pure), and how they get there."""

from cpod_jupyter.sdk.install.cluster import Installation, install
from cpod_jupyter.sdk.install.manifests import Choices, manifests

__all__ = ["Choices", "Installation", "install", "manifests"]
