"""The engine's own certificate authority and server certificate, for loopback only."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = dt.timedelta(days=1)
_LIFETIME = 3650 * _DAY
_RENEW_BEFORE = 30 * _DAY


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
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cpod-jupyter engine CA")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cpod-jupyter engine")])
    server = (
        _builder(server_name, ca_name, server_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    write_private(key_path, server_key.private_bytes(pem, form, serialization.NoEncryption()))
    write_private(certificate_path, server.public_bytes(pem))
    write_private(ca_path, ca.public_bytes(pem))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    start = dt.datetime.now(dt.UTC) - _DAY
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFETIME)
    )
