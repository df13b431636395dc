"""The version, in one place that everything may import; pyproject.toml reads it here."""

VERSION = "0.1.0"

KUBERNETES = "v1.33.0+cpod"
"""The Kubernetes version whose API the engine serves, of its API server and its node alike: the kinds' fields are those
of 1.33 or newer, and kubectl 1.32 to 1.34 works with it without a warning."""
