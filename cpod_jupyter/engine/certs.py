"""The engine's own certificate authority and server certificate, for loopback only."""

from __future__ import annotations

import datetime as dt
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from cpod_jupyter.control.certificates import issue

_LIFETIME_DAYS = 3650
_RENEW_BEFORE = dt.timedelta(days=30)


@dataclass(frozen=True)
class Credentials:
    """Files for TLS, and the bearer token."""

    ca: Path
    certificate: Path
    key: Path
    token: str


def ensure_credentials(folder: Path) -> Credentials:
    """The credentials in a folder, made when absent or near their end. Files are the user's alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca, certificate, key, token = (folder / name for name in ("ca.crt", "server.crt", "server.key", "token"))
    if not all(path.exists() for path in (ca, certificate, key)) or _ends_soon(certificate):
        _make(ca, certificate, key)
    if not token.exists():
        write_private(token, secrets.token_urlsafe(32).encode())
    return Credentials(ca, certificate, key, token.read_text().strip())


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 as one step: readers see the old content or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    temporary.replace(path)


def _ends_soon(path: Path) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.not_valid_after_utc - dt.datetime.now(dt.UTC) < _RENEW_BEFORE


def _make(ca_path: Path, certificate_path: Path, key_path: Path) -> None:
    issued = issue("cpod-jupyter engine", ["localhost"], ["127.0.0.1", "::1"], days=_LIFETIME_DAYS)
    write_private(key_path, issued.key)
    write_private(certificate_path, issued.certificate)
    write_private(ca_path, issued.ca)
