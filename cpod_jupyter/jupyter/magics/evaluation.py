"""What compares deployments: `%cpod compare`, `%cpod accuracy`, and `%%cpod eval`, whose body says what."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api.resources import INFERENCES
from cpod_jupyter.api.schema import problems
from cpod_jupyter.errors import ManifestError
from cpod_jupyter.jupyter.magics import template
from cpod_jupyter.jupyter.magics.live import Live
from cpod_jupyter.sdk import Deployment, accuracy
from cpod_jupyter.sdk.evaluate import compare
from cpod_jupyter.sdk.yamltext import Fault, dotted, read

if TYPE_CHECKING:
    from cpod_jupyter.jupyter.magics.commands import CpodMagics

_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "targets": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "rows": {},
        "scorer": {"type": "string"},
        "maxTokens": {"type": "integer", "minimum": 1},
    },
    "required": ["targets", "rows"],
}
"""What the body of `%%cpod eval` may have; `rows` is a file, or a list of rows."""


def run_accuracy(magics: CpodMagics, options: argparse.Namespace) -> None:
    """`%cpod accuracy`."""
    session = magics.session(options)
    deployments = [found for name in options.name if isinstance(found := session.get(INFERENCES, name), Deployment)]
    live = Live(magics.ip)
    compared = accuracy(deployments, options.rows, max_tokens=options.max_tokens, tell=_telling(live))
    live.show(compared._repr_mimebundle_())
    magics.bind(options, compared)


def run_compare(magics: CpodMagics, options: argparse.Namespace) -> None:
    """`%cpod compare`."""
    _compare(magics, options, options.name, options.rows, options.scorer, options.max_tokens)


def run_eval(magics: CpodMagics, options: argparse.Namespace, body: str) -> None:
    """`%%cpod eval`. `scorer` is a scorer's name, or that of a function of the answer and the right one."""
    wanted = _read(body, magics)
    scorer = wanted.get("scorer", "contains")
    own = magics.ip.user_ns.get(scorer)
    _compare(magics, options, wanted["targets"], wanted["rows"], own if callable(own) else scorer, wanted["maxTokens"])


def _read(body: str, magics: CpodMagics) -> dict[str, Any]:
    rendered = template.render(body, magics.ip.user_ns)
    faults: list[Fault] = []
    documents = read(rendered.text, rendered.locate, faults)
    value: Any = {}
    if len(documents) == 1:
        document = documents[0][1]
        value = document.value
        for found in problems(_BODY, value, unknown=True):
            faults.append(Fault(document.place(found.path, key=True), found.message, dotted(found.path)))
    elif not faults:
        faults.append(Fault(rendered.locate(0, 0), "one YAML document with targets and rows is wanted"))
    if faults:
        raise ManifestError([str(fault) for fault in faults], "cell")
    return {"maxTokens": 64, **value}


def _compare(
    magics: CpodMagics, options: argparse.Namespace, targets: list[str], rows: Any, scorer: Any, max_tokens: int
) -> None:
    live = Live(magics.ip)
    session = magics.session(options)
    compared = compare(targets, rows, scorer, session=session, max_tokens=max_tokens, tell=_telling(live))
    live.show(compared._repr_mimebundle_())
    magics.bind(options, compared)


def _telling(live: Live) -> Any:
    return lambda done, total: live.show({"text/plain": f"{done} of {total} answers"})
