"""Every error this project raises, in one tree.

CpodError
├── ApiError                 the Kubernetes API answered with a Status of failure
│   ├── BadRequest           400  the request itself is malformed
│   ├── Unauthorized         401  no token, or a wrong one
│   ├── Forbidden            403  not allowed
│   ├── NotFound             404  no such object or kind
│   │   └── EngineDown            the engine on this machine, which is asked, does not run
│   ├── MethodNotAllowed     405  the kind does not offer this verb
│   ├── NotAcceptable        406  no form that the client takes can be given
│   ├── Conflict             409  the object changed meanwhile (reason Conflict)
│   ├── AlreadyExists        409  the name is taken (reason AlreadyExists)
│   ├── Expired              410  a watch or list version is too old: list again
│   ├── TooLarge             413  the body is over the limit
│   ├── UnsupportedMediaType 415  a body or patch type that is not understood
│   ├── Invalid              422  the object breaks its schema or a rule
│   ├── Timeout              504  not in time, or a version that is not there yet
│   └── ServerError          5xx  the server failed
├── ApiUnreachable           no answer from the API server at all
├── EngineError              the embedded engine could not be started, found or stopped
├── ManifestError            a manifest or a cell is wrong: line, column, field
├── PreflightFailed          what was to be submitted cannot work as it is
├── WorkFailed               a job, download or deployment ended in failure
│   ├── TemporaryFailure     which may go well at another time
│   └── DoesNotFit           since the volume is too small
├── BatchStopped             a model went away, or refuses all, before every question was answered
└── WaitTimeout              something did not become true in the time allowed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class CpodError(Exception):
    """The root. `str(error)` is a message for a person: what happened, to what, what to do."""

    def _render_traceback_(self) -> list[str]:
        """Called by IPython: one clear message instead of a traceback of ours."""
        return [f"{type(self).__name__}: {self}"]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or a notebook's ■, came while something was waited for; the message says what became of that. A
    KeyboardInterrupt, so that queued cells don't run."""

    def _render_traceback_(self) -> list[str]:
        """Called by IPython: the message instead of a traceback."""
        return [str(self)]


class ApiError(CpodError):
    """A failure Status of the Kubernetes API (API conventions, "Response Status Kind").

    `details` has `name`, `group`, `kind` (the plural) and `causes`, where the server gave them.
    """

    code = 500
    reason = "InternalError"

    def __init__(self, message: str, details: dict[str, Any] | None = None, *, code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}
        if code is not None:
            self.code = code

    def to_status(self) -> dict[str, Any]:
        """The Status object that a server sends for this error, keys in upstream's order."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            status["details"] = self.details
        status["code"] = self.code
        return status


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    code, reason = 404, "NotFound"


class EngineDown(NotFound):
    """What is asked for is of the engine on this machine, which does not run."""


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"


class Expired(ApiError):
    code, reason = 410, "Expired"


class TooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    code, reason = 422, "Invalid"


class Timeout(ApiError):
    code, reason = 504, "Timeout"


class ServerError(ApiError):
    code, reason = 500, "InternalError"


_BY_REASON = {
    kind.reason: kind
    for kind in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, Conflict, AlreadyExists,
        Expired, TooLarge, UnsupportedMediaType, Invalid, Timeout, ServerError,
    )
}  # fmt: skip
_BY_CODE = {kind.code: kind for kind in _BY_REASON.values() if kind is not AlreadyExists}


def api_error(code: int, status: dict[str, Any] | str) -> ApiError:
    """The error for a failed answer: by the Status's reason, else by the HTTP code."""
    body: dict[str, Any] = status if isinstance(status, dict) else {"message": status[:2000]}
    kind = _BY_REASON.get(str(body.get("reason"))) or _BY_CODE.get(code)
    if kind is None:
        kind = BadRequest if code < 500 else ServerError
    return kind(str(body.get("message") or f"HTTP {code}"), body.get("details"), code=code)


class ApiUnreachable(CpodError):
    """The API server does not answer: it is down, or the address is wrong."""


class EngineError(CpodError):
    """The embedded engine could not be started, found or stopped."""


class ManifestError(CpodError):
    """One or more faults in a manifest; nothing was submitted.

    `problems` are whole sentences, each with its place (`line 3, column 5`) where it is known. `faults` are the same in
    parts (`cpod_jupyter.sdk.yamltext.Fault`) where a text was read.
    """

    def __init__(self, problems: Sequence[str], where: str = "manifest", faults: Sequence[Any] = ()) -> None:
        self.problems = list(problems)
        self.faults = tuple(faults)
        self.where = where
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"the {where} was not submitted:\n{lines}")


class PreflightFailed(CpodError):
    """What was to be submitted cannot work as it is; nothing was submitted. `problems` are whole sentences."""

    def __init__(self, title: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{title} was not submitted, for it cannot work as it is:\n{lines}")


class WorkFailed(CpodError):
    """A job, a download or a deployment ended in failure; the message has the cause.

    `diagnosis` has it in parts, where one was made (`cpod_jupyter.sdk.diagnose.Diagnosis`).
    """

    diagnosis: Any = None


class TemporaryFailure(WorkFailed):
    """What failed may go well at another time: a network or a server was not there."""


class DoesNotFit(WorkFailed):
    """The volume is too small for what is to be written on it; `needed` is the bytes that all of it takes."""

    def __init__(self, message: str, needed: int) -> None:
        super().__init__(message)
        self.needed = needed


class BatchStopped(CpodError):
    """A batch of questions ended before its end; what was answered is kept, and calling again goes on.

    `frame` is the DataFrame with what was answered, where one was asked for.
    """

    frame: Any = None


class WaitTimeout(CpodError):
    """Something did not become true in the time allowed; it may still do so."""
