"""What scripts print themselves: a step and a loss on one line, in words or as a JSON object.

step 10/100 | loss 1.23 | lr 1e-4            iter 250: loss 2.0711, time 31.2ms
step 250: train loss 2.1, val loss 2.2       {"step": 10, "loss": 1.23}
"""

from __future__ import annotations

import json
import re

from cpod_jupyter.sdk.metrics.names import NUMBER, Record, normalised

_STEP = re.compile(
    r"(?:^|[\s\[(|,])(?:global[_ ])?(?:step|iter|iteration)\b\s*[:=#\[]?\s*"
    r"(\d+)(?![\d.]*[\d.])(?:\s*(?:/|of)\s*(\d+))?",
    re.IGNORECASE,
)
_EPOCH = re.compile(rf"\bepoch\b\s*[:=\[]?\s*({NUMBER})", re.IGNORECASE)
_VALUE = re.compile(
    r"(?<![\w/])((?:train|training|val|valid|validation|eval|lm|test)[ _/]loss|loss|lr|learning[ _]rate|grad[ _]?norm"
    rf"|tok(?:en)?s?/s(?:ec)?|samples/s(?:ec)?|[a-z_]*acc(?:uracy)?|ppl|perplexity)\s*[:=]?\s*({NUMBER})",
    re.IGNORECASE,
)
_STEP_KEYS = ("step", "global_step", "iter", "iteration")


class Plain:
    """A line counts only if it has both, in this order; JSON only if the object has both keys."""

    def read(self, line: str) -> list[Record] | None:
        text = line.strip()
        if text.startswith("{"):
            return _object(text)
        step = _STEP.search(text)
        if step is None:
            return None
        values = normalised(_VALUE.findall(text, step.end()))
        if "loss" not in values and "eval_loss" not in values:
            return None
        record: Record = {"type": "metrics", "step": int(step[1])}
        if step[2]:
            record["total_steps"] = int(step[2])
        if epoch := _EPOCH.search(text):
            record["epoch"] = float(epoch[1])
        return [{**record, **values}]


def _object(text: str) -> list[Record] | None:
    if '"' not in text or not text.endswith("}"):
        return None
    try:
        said = json.loads(text)
    except ValueError:
        return None
    if not isinstance(said, dict) or not any(key in said for key in _STEP_KEYS):
        return None
    values = normalised(said.items())
    if "step" not in values or not values.keys() & {"loss", "eval_loss"}:
        return None
    return [{"type": "metrics", **values}]
