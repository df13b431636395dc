"""A deployment at a URL of this machine, for a program that has none of one's credentials: an evaluation's harness."""

from __future__ import annotations

import json
import secrets
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.likelihood import fault_of
from cpod_jupyter.sdk.questions.failures import failure_of
from cpod_jupyter.sdk.questions.questioned import Questioned

if TYPE_CHECKING:
    import httpx

_PATHS = ("/chat/completions", "/completions")


class Relay:
    """Hands questions on to a deployment, as long as it is entered. `url` has a word in it that nobody can guess, for
    others on this machine reach its port too. `answered` counts; `fault` is the first thing that went wrong."""

    def __init__(self, deployment: Questioned) -> None:
        self.answered = 0
        self.fault = ""
        self._deployment = deployment
        self._endpoint = deployment.endpoint()
        self._lock = threading.Lock()
        self._believed = False
        relay, word = self, secrets.token_urlsafe(24)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.removeprefix(f"/{word}/v1")
                code, answer = relay._ask(path, body) if path in _PATHS else (404, b"{}")
                with suppress(OSError):  # who asked may have been ended meanwhile
                    self.send_response(code)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: a line for every question is too much."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/{word}/v1"

    def __enter__(self) -> Relay:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="cpod-relay", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The deployment's answer to one question; its refusal, which is the fault then."""
        import httpx
        import openai

        title = self._deployment.title
        try:
            asked = json.loads(body)
            answer: httpx.Response = self._endpoint.client.post(path, cast_to=httpx.Response, body=asked)
            if asked.get("logprobs"):
                self._check(answer)
        except openai.APIStatusError as error:
            return self._failed(error.status_code, f"{title} refused a question: {failure_of(error).words}")
        except (openai.APIError, RuntimeError) as error:  # httpx's RuntimeError: its client was closed meanwhile
            return self._failed(502, f"{title} did not answer: {error}")
        except CpodError as error:
            return self._failed(502, str(error))
        except ValueError as error:
            return self._failed(400, f"{title}: {error}")
        with self._lock:
            self.answered += 1
        return answer.status_code, answer.content

    def _check(self, answer: httpx.Response) -> None:
        """Raises ValueError where there are no likelihoods, or they are not to be believed, which is looked at once."""
        if not _has_logprobs(answer):
            raise ValueError("it gives no log-probabilities of a prompt (`echo` with `logprobs`), which the task needs")
        if not self._believed and (fault := fault_of(self._deployment)):
            raise ValueError(fault)
        self._believed = True

    def _failed(self, code: int, words: str) -> tuple[int, bytes]:
        words = self._deployment.redacted(words)
        with self._lock:
            self.fault = self.fault or words
        return code, json.dumps({"error": {"message": words}}).encode()


def _has_logprobs(answer: httpx.Response) -> bool:
    """Whether there are some for the prompt too (OpenAI, "Create completion": `echo`)."""
    choices = answer.json().get("choices") or []
    found = [((choice.get("logprobs") or {}).get("token_logprobs") or []) for choice in choices]
    return bool(found) and all(len(each) > 1 for each in found)
