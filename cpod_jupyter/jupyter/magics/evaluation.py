"""What measures and compares deployments: `%cpod compare`, `accuracy`, `bench`, `lm-eval`; and `%%cpod eval`, whose
body says what."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cpod_jupyter import bench_options, lm_eval_options
from cpod_jupyter.api.schema import Path, problems
from cpod_jupyter.errors import CpodError, ManifestError
from cpod_jupyter.jupyter.magics import template
from cpod_jupyter.jupyter.magics.live import Live
from cpod_jupyter.sdk import accuracy
from cpod_jupyter.sdk.evaluate import Scorer, compare, scorer_of, scorers_of, written
from cpod_jupyter.sdk.evaluate.up import answering
from cpod_jupyter.sdk.yamltext import Document, Fault, dotted, read

if TYPE_CHECKING:
    from cpod_jupyter.jupyter.magics.commands import CpodMagics

_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "targets": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "rows": {},
        "scorer": {},
        "scorers": {"type": "array", "minItems": 1, "items": {}},
        "maxTokens": {"type": "integer", "minimum": 1},
    },
    "required": ["targets", "rows"],
}
"""What the body of `%%cpod eval` may have; `rows` is a file, or rows, a DataFrame too; a scorer is a name,
or a name with its options."""
FIELDS = tuple(_BODY["properties"])


def run_accuracy(magics: CpodMagics, options: argparse.Namespace) -> None:
    """`%cpod accuracy`."""
    deployments = [answering(name, lambda: magics.session(options)) for name in options.name]
    live = Live(magics.ip)
    compared = accuracy(deployments, options.rows, max_tokens=options.max_tokens, tell=_telling(live))
    live.show(compared._repr_mimebundle_())
    magics.bind(options, compared)


def run_bench(magics: CpodMagics, options: argparse.Namespace) -> None:
    """`%cpod bench`."""
    _measured(magics, options, bench_options.measure)


def run_lm_eval(magics: CpodMagics, options: argparse.Namespace) -> None:
    """`%cpod lm-eval`."""
    _measured(magics, options, lm_eval_options.evaluate)


def _measured(magics: CpodMagics, options: argparse.Namespace, measure: Callable[..., Any]) -> None:
    """Show how far `measure` is and then, in the same place, what it found."""
    live = Live(magics.ip)
    found = measure(options, lambda: magics.session(options), lambda words: live.show({"text/plain": words}))
    live.show(found._repr_mimebundle_())
    magics.bind(options, found)


def run_compare(magics: CpodMagics, options: argparse.Namespace) -> None:
    """`%cpod compare`."""
    scorers = [written(text) for text in options.scorer or ["contains"]]
    _compare(magics, options, options.name, options.rows, scorers_of(scorers), options.max_tokens)


def run_eval(magics: CpodMagics, options: argparse.Namespace, body: str) -> None:
    """`%%cpod eval`. A scorer's name may be that of a function of the answer and the right one."""
    wanted = _read(body, magics)
    _compare(magics, options, wanted["targets"], wanted["rows"], wanted["scorers"], wanted["maxTokens"])


def _read(body: str, magics: CpodMagics) -> dict[str, Any]:
    rendered = template.render(body, magics.ip.user_ns, rows_field="rows")
    faults: list[Fault] = []
    documents = read(rendered.text, rendered.locate, faults)
    value: Any = {}
    if len(documents) == 1:
        document = documents[0][1]
        value = document.value
        for found in problems(_BODY, value, unknown=True):
            faults.append(Fault(document.place(found.path, key=True), found.message, dotted(found.path)))
        if not faults:
            rows = rendered.rows.get(value["rows"], value["rows"]) if isinstance(value["rows"], str) else value["rows"]
            value = {**value, "rows": rows, "scorers": _scorers(document, magics.ip.user_ns, faults)}
    elif not faults:
        faults.append(Fault(rendered.locate(0, 0), "one YAML document with targets and rows is wanted"))
    if faults:
        raise ManifestError([str(fault) for fault in faults], "cell")
    return {"maxTokens": 64, **value}


def _scorers(document: Document, own: Mapping[str, Any], faults: list[Fault]) -> list[Scorer]:
    """Those that the body names; what is wrong with one is said at its place."""
    value, found = document.value, []
    if "scorers" in value and "scorer" in value:
        faults.append(Fault(document.place(("scorer",), key=True), "give scorer or scorers, not both", "scorer"))
    if "scorers" in value:
        named: list[tuple[Path, Any]] = [(("scorers", at), each) for at, each in enumerate(value["scorers"])]
    else:
        named = [(("scorer",), value.get("scorer", "contains"))]
    for path, each in named:
        try:
            found.append(scorer_of(each, own))
        except CpodError as error:
            faults.append(Fault(document.place(path), str(error), dotted(path)))
    if not faults:
        try:
            return scorers_of(found)
        except CpodError as error:  # two of one name
            faults.append(Fault(document.place(("scorers",)), str(error), "scorers"))
    return found


def _compare(
    magics: CpodMagics, options: argparse.Namespace, targets: list[str], rows: Any, scorers: Any, max_tokens: int
) -> None:
    live = Live(magics.ip)
    session = magics.session(options)
    compared = compare(targets, rows, scorers, session=session, max_tokens=max_tokens, tell=_telling(live))
    live.show(compared._repr_mimebundle_())
    magics.bind(options, compared)


def _telling(live: Live) -> Any:
    return lambda done, total: live.show({"text/plain": f"{done} of {total} answers"})
