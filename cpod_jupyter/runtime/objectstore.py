"""Object stores as fsspec file systems: s3://, oss:// and gs://, with keys from the environment.

Apache Arrow's clients do the work: they are one package, which the trainer's data sets bring anyway. The variables are
those that the stores' own tools read:

s3://BUCKET/KEY   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL (any
                  S3-compatible store), AWS_CA_BUNDLE; and the AWS SDK's others (profiles, web identity, instances)
oss://BUCKET/KEY  OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, OSS_SESSION_TOKEN, OSS_ENDPOINT or OSS_REGION
gs://BUCKET/KEY   GOOGLE_APPLICATION_CREDENTIALS (a file), or GOOGLE_CREDENTIALS (its content, as a Secret gives it)
"""

from __future__ import annotations

import datetime
import importlib.util
import ipaddress
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cpod_jupyter.errors import WorkFailed

OSS_DEFAULT_REGION = "cn-beijing"
"""Where the original's buckets are."""

_CONNECT_SECONDS, _REQUEST_SECONDS = 10.0, 60.0
_GOOGLE_SECONDS = 20.0
"""For which Google's client tries a call again by itself; the Job tries the whole again later."""
_NEEDED = {"s3": ("pyarrow", "fsspec"), "oss": ("pyarrow", "fsspec"), "gs": ("pyarrow", "fsspec"), "file": ("fsspec",)}
_NEEDED |= {"https": ("fsspec", "aiohttp"), "http": ("fsspec", "aiohttp"), "memory": ("fsspec",)}


def open_store(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a URI's store, and the path in it (`BUCKET/KEY` for an object store).

    Opening asks nothing of the store, but for an S3 bucket's region where none is named. Raises WorkFailed for a
    scheme that is not known and for a package that is not installed.
    """
    scheme, found, path = uri.partition("://")
    if not found or scheme not in _NEEDED:
        raise WorkFailed(f"{uri}: not an object store; those known are {', '.join(f'{s}://' for s in _NEEDED)}")
    for package in _NEEDED[scheme]:
        if importlib.util.find_spec(package) is None:
            raise WorkFailed(
                f"{uri}: the package {package} is not installed in this environment; "
                "install it with pip install 'cpod-jupyter[storage]'"
            )
    import fsspec

    if scheme in ("http", "https"):
        return fsspec.filesystem("http"), uri
    if scheme == "file":
        parts = urlsplit(uri)
        if parts.netloc not in ("", "localhost"):
            raise WorkFailed(f"{uri}: not of the form file:///ABSOLUTE/PATH")
        return fsspec.filesystem("file"), unquote(parts.path)
    if scheme == "memory":
        return fsspec.filesystem("memory"), "/" + path
    bucket = path.partition("/")[0]
    if not bucket:
        raise WorkFailed(f"{uri}: not of the form {scheme}://BUCKET/KEY")
    from fsspec.implementations.arrow import ArrowFSWrapper

    store = {"s3": _s3, "oss": _oss, "gs": _gs}[scheme](bucket)
    return ArrowFSWrapper(store, skip_instance_cache=True), path.rstrip("/")


def _s3(bucket: str) -> Any:
    from pyarrow import fs

    environment = os.environ
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    if not region and not endpoint and "." not in bucket:
        try:
            region = fs.resolve_s3_region(bucket)
        except OSError as error:  # no such bucket, or none to be seen from here: the first request will say it better
            print(f"the region of bucket {bucket} is not known: {error}", flush=True)
    return fs.S3FileSystem(
        **_endpoint(endpoint),
        region=region or "us-east-1",
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_REQUEST_SECONDS,
        tls_ca_file_path=environment.get("AWS_CA_BUNDLE") or None,
    )


def _oss(bucket: str) -> Any:
    """Alibaba Cloud's store by its S3-compatible API, which wants the bucket in the host name.

    Its documentation, "Use Amazon S3 SDKs to access OSS": virtual-hosted style only, no checksum trailers.
    """
    from pyarrow import fs

    environment = os.environ
    environment.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    environment.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
    region = environment.get("OSS_REGION", "").removeprefix("oss-") or OSS_DEFAULT_REGION
    endpoint = environment.get("OSS_ENDPOINT") or f"https://oss-{region}.aliyuncs.com"
    options = _endpoint(endpoint)
    key = environment.get("OSS_ACCESS_KEY_ID") or environment.get("AWS_ACCESS_KEY_ID")
    secret = environment.get("OSS_ACCESS_KEY_SECRET") or environment.get("AWS_SECRET_ACCESS_KEY")
    keys = {"access_key": key, "secret_key": secret} if key and secret else {"anonymous": True}
    token = environment.get("OSS_SESSION_TOKEN")
    return fs.S3FileSystem(
        **options,
        **keys,
        **({"session_token": token} if token and key else {}),
        region=f"oss-{region}",
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_REQUEST_SECONDS,
        force_virtual_addressing=not _is_address(options["endpoint_override"]),
    )


def _gs(_bucket: str) -> Any:
    from pyarrow import fs

    environment = os.environ
    retries = {"retry_time_limit": datetime.timedelta(seconds=_GOOGLE_SECONDS)}
    if emulator := environment.get("STORAGE_EMULATOR_HOST"):
        return fs.GcsFileSystem(anonymous=True, **_endpoint(emulator), **retries)
    if content := environment.get("GOOGLE_CREDENTIALS"):
        environment.setdefault("GOOGLE_APPLICATION_CREDENTIALS", str(_private_file(content)))
    known = environment.get("GOOGLE_APPLICATION_CREDENTIALS") or environment.get("KUBERNETES_SERVICE_HOST")
    return fs.GcsFileSystem(anonymous=not known, **retries)


def _private_file(content: str) -> Path:
    """A file that only this user can read: Google's libraries take keys from files alone."""
    descriptor, name = tempfile.mkstemp(prefix="google-", suffix=".json")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    return Path(name)


def _endpoint(url: str) -> dict[str, str]:
    """Arrow's options for an endpoint, a URL or a host; none for the store's own."""
    if not url:
        return {}
    scheme, found, host = url.partition("://")
    return {"endpoint_override": (host if found else url).rstrip("/"), "scheme": scheme if found else "https"}


def _is_address(endpoint: str) -> bool:
    """Whether the host is a number, before which no bucket's name can stand."""
    host = urlsplit(f"//{endpoint}").hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
