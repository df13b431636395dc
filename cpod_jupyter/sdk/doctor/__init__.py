"""What is missing or wrong with a cluster, or with the engine: facts are gathered, and findings follow from them."""

from cpod_jupyter.sdk.doctor.findings import Finding, Level, findings, is_healthy, text
from cpod_jupyter.sdk.doctor.gather import examine

__all__ = ["Finding", "Level", "examine", "findings", "is_healthy", "text"]
