"""Pure functions from an object, and facts observed about it, to the manifests of its children."""
