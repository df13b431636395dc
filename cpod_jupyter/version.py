"""The version, in one place that everything may import; pyproject.toml says the same."""

VERSION = "0.1.0"
