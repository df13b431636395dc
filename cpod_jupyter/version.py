"""The version, in one place that everything may import; pyproject.toml reads it here."""

VERSION = "0.1.0"
