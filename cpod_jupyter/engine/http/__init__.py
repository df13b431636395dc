"""The Kubernetes API over HTTPS: paths, bodies, discovery, tables, watches, logs and the service proxy."""
