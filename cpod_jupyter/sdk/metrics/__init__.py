"""What other people's training programs print, read as metrics and progress."""

from cpod_jupyter.sdk.metrics.parser import MetricsParser

__all__ = ["MetricsParser"]
