"""Any Kubernetes API over HTTP: credentials, objects, watches that resume, logs that follow.

The official `kubernetes` client brings the credentials and the connection; objects stay plain
dictionaries, because one object that its strict models refuse would lose a whole list.
"""
