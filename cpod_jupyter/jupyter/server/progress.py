"""How a job gets on, and how it was planned: its metrics as columns, and the operator's plan with the reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.server.address import Address
from cpod_jupyter.jupyter.server.base import Handler, answered, hub_of

if TYPE_CHECKING:
    from cpod_jupyter.sdk import Handle
    from cpod_jupyter.sdk.history import Metrics

_NO_METRICS = ("type", "step", "total_steps", "total_epochs")
_CHARACTERS = 100
"""Of a metric's name."""
_NAMES = 100


class MetricsHandler(Handler):
    """GET: what a job has told of each step, the last one always among them; `over` where nothing more will come.

    Of a long run the rows are thinned evenly (`sdk.history.MOST_ROWS`). While it is not over, or its log is still read,
    ask again.
    """

    @answered
    async def get(self) -> None:
        hub = await hub_of(self)
        metrics, over = await hub.metrics(Address.of(self.query()))
        self.give({**columns(metrics), "over": over})


class PlanHandler(Handler):
    """GET: the plan that stands in an object's status, a choice and its reason in each row; no rows before there is
    one."""

    @answered
    async def get(self) -> None:
        self.give(await self.on(self.query(), _plan))


def columns(metrics: Sequence[Metrics]) -> dict[str, Any]:
    """The steps, and for each metric its values by step; null where a step has none, or no finite one."""
    names: dict[str, None] = {}
    for record in metrics:
        names.update(dict.fromkeys(name for name, value in record.items() if _finite(value) is not None))
    kept = [name for name in names if name not in _NO_METRICS and len(name) <= _CHARACTERS][:_NAMES]
    return {
        "steps": [record["step"] for record in metrics],
        "series": {name: [_finite(record.get(name)) for record in metrics] for name in kept},
    }


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _plan(handle: Handle) -> dict[str, Any]:
    from cpod_jupyter.api.resources import FINETUNES
    from cpod_jupyter.sdk.view.plan import whole_rows_of

    if handle.resource != FINETUNES:
        raise CpodError(f"{handle.title} has no plan: the operator plans fine-tunes only")
    plan = (handle.object.get("status") or {}).get("plan") or {}
    return {"title": "", "rows": [list(row) for row in whole_rows_of(plan)], "fits": plan.get("fits") is not False}
