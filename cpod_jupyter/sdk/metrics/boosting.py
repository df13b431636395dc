"""XGBoost (`xgboost.callback.EvaluationMonitor`): a line a round, a column for each metric of each data set.

[12]	train-rmse:0.35646	eval-rmse:0.35646
[2]	train-rmse:0.49865+0.04589	test-rmse:0.52024+0.07456        (of cross-validation: mean and deviation)
"""

from __future__ import annotations

import re

from cpod_jupyter.sdk.metrics.names import NUMBER, Record, number

_ROUND = re.compile(r"\[(\d+)\]\t")
_COLUMN = re.compile(rf"([^\s:][^\t:]*-[^\t:]+):({NUMBER}|[\d.]+(?=\+))(?:\+({NUMBER}))?")
_LOSSES = re.compile(r"(?:rmse|rmsle|mae|mape|m?logloss|mphe|\w+-nloglik|\w+-deviance)$")
_TRAINING, _EVALUATION = ("train", "training"), ("eval", "valid", "validation", "val", "test", "dev")


class XGBoost:
    """`loss` and `eval_loss` are of the last metric that is a loss, which is the one that stops early."""

    def read(self, line: str) -> list[Record] | None:
        match = _ROUND.search(line)
        if match is None:
            return None
        columns = _COLUMN.findall(line, match.end())
        if not columns:
            return None
        record: Record = {"type": "metrics", "step": int(match[1])}
        for name, value, deviation in columns:
            mean = number(value)
            if mean is None:
                continue
            record[name] = mean
            if deviation:
                record[f"{name}-std"] = number(deviation)
            data, _, metric = name.partition("-")
            if _LOSSES.fullmatch(metric):
                key = "loss" if data in _TRAINING else "eval_loss" if data in _EVALUATION else ""
                record.update({key: mean} if key else {})
        return [record]
