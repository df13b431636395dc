"""https://HOST/PATH: one file, fetched in ranges where the server has them (RFC 9110, sections 13 and 14).

A range is asked for with If-Range, so that a file which changed meanwhile comes anew and is not joined to the old
one's beginning. HTTPS_AUTHORIZATION from the environment becomes the Authorization header, which is not sent on to
another host; HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE are as everywhere.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from cpod_jupyter.api.rows.files import SUFFIXES, suffix_of
from cpod_jupyter.errors import TemporaryFailure, WorkFailed
from cpod_jupyter.runtime.files import CHUNK
from cpod_jupyter.runtime.report import log
from cpod_jupyter.runtime.sources import Sums, Wanted
from cpod_jupyter.runtime.transfer import Part, SourceChanged, fetch_parts

_CONNECT_SECONDS, _SILENCE_SECONDS = 10.0, 60.0
_CHANGES = 3
"""How often a file may change while it is fetched before that is given up."""
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
_BY_TYPE = {"application/jsonl": ".jsonl", "application/x-ndjson": ".jsonl", "application/x-jsonlines": ".jsonl"}


@dataclass(frozen=True)
class _Answer:
    """What the server says about the file before it is fetched."""

    name: str
    size: int | None
    version: str


def fetch_from_https(wanted: Wanted, directory: Path) -> Sums:
    """Fetch the file. A model is one *.gguf; a data set one file of rows; of another sort it may be any."""
    session = _Session(wanted.source)
    for _ in range(_CHANGES):
        answer = session.ask()
        if not _is_read(wanted, PurePosixPath(answer.name)):
            raise WorkFailed(f"{wanted.source}: {_what_is_read(wanted, answer.name)}")
        if not answer.version:
            log("the server names no version of the file (ETag, Last-Modified): broken off, it begins anew")
        part = Part(answer.name, answer.size, answer.version, functools.partial(session.read, known=answer))
        try:
            fetch_parts([part], directory, wanted.source)
        except SourceChanged as error:
            log(str(error))
            continue
        return {}
    raise TemporaryFailure(f"{wanted.source}: it changed {_CHANGES} times while it was fetched")


def _is_read(wanted: Wanted, name: PurePosixPath) -> bool:
    if wanted.kind == "files":
        return True
    return bool(suffix_of(name)) if wanted.kind == "dataset" else name.suffix == ".gguf"


def _what_is_read(wanted: Wanted, name: str) -> str:
    if wanted.kind == "dataset":
        return f"{name!r} is no file of rows; those end in {', '.join(SUFFIXES)}"
    return f"{name!r} is no *.gguf file; a model of several files comes from a hub, an object store or a claim"


class _Session:
    """Requests for one file."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._http = requests.Session()
        del self._http.adapters["http://"]  # no redirection leads to where anybody can change what comes
        self._headers = {"Accept-Encoding": "identity"}
        if authorization := os.environ.get("HTTPS_AUTHORIZATION"):
            self._headers["Authorization"] = authorization

    def ask(self) -> _Answer:
        """The head of the answer to a plain GET: there are servers that sign addresses for GET alone."""
        with self._open({}) as response:
            return _Answer(_name(response), _length(response), _version(response.headers))

    @contextmanager
    def read(self, offset: int, known: _Answer) -> Iterator[Iterator[bytes]]:
        """The bytes from an offset on, of the version that is known."""
        ranged = {"Range": f"bytes={offset}-", "If-Range": known.version} if offset else {}
        with self._open(ranged) as response:
            if _version(response.headers) != known.version or (offset and response.status_code != 206):
                raise SourceChanged(f"{self._source} changed while it was fetched, or its server has no ranges")
            if offset and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                raise TemporaryFailure(f"{self._source}: the server sent another range than was asked for")
            yield self._chunks(response)

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        try:
            while chunk := response.raw.read(CHUNK // 16, decode_content=False):
                yield chunk
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TemporaryFailure(f"{self._source}: the connection broke: {error}") from error

    @contextmanager
    def _open(self, headers: dict[str, str]) -> Iterator[requests.Response]:
        timeout = (_CONNECT_SECONDS, _SILENCE_SECONDS)
        try:
            response = self._http.get(self._source, headers={**self._headers, **headers}, stream=True, timeout=timeout)
        except requests.exceptions.InvalidSchema as error:
            raise WorkFailed(f"{self._source}: it leads to an address that is not https: {error}") from error
        except (requests.exceptions.SSLError, requests.exceptions.InvalidURL) as error:
            raise WorkFailed(f"{self._source}: {error}") from error
        except (requests.exceptions.RequestException, OSError) as error:
            raise TemporaryFailure(f"{self._source}: the server can't be reached: {error}") from error
        with response:
            self._judge(response)
            yield response

    def _judge(self, response: requests.Response) -> None:
        status = f"the server answers {response.status_code} {response.reason}"
        if response.status_code == 416:
            raise SourceChanged(f"{self._source}: {status}: it is shorter now than what was fetched of it")
        if response.status_code in _TEMPORARY:
            raise TemporaryFailure(f"{self._source}: {status}")
        if response.status_code in (401, 403):
            raise WorkFailed(
                f"{self._source}: {status}; HTTPS_AUTHORIZATION in the object store's Secret may be needed"
            )
        if response.status_code not in (200, 206):
            raise WorkFailed(f"{self._source}: {status}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise WorkFailed(f"{self._source}: the server sends it compressed though it was asked not to")


def _version(headers: CaseInsensitiveDict[str]) -> str:
    """What If-Range takes: a strong ETag, else the time of change (RFC 9110, 13.1.5)."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _name(response: Any) -> str:
    """The file's name: as the server calls it, or else the last part of the address."""
    stated = re.search(r'filename="?([^";]+)"?', response.headers.get("Content-Disposition", ""))
    paths = [stated[1] if stated else ""]
    paths += [unquote(urlsplit(hop.url).path) for hop in (response, *response.history[:1])]
    names = [PurePosixPath(path.replace("\\", "/")).name for path in paths]
    named = next((name for name in names if PurePosixPath(name).suffix), names[1] or "data").lstrip(".")
    if not PurePosixPath(named).suffix:
        named += _BY_TYPE.get(response.headers.get("Content-Type", "").partition(";")[0].strip(), "")
    return named or "data"
