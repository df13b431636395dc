"""What other people's programs print becomes metrics and progress: of real programs where they are installed,
else of lines as their sources and users' reports show them."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.api.records import format_record
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.history import MOST_ROWS, History, texts
from cpod_jupyter.sdk.snapshot import Snapshot

TRAINER = """
import torch
from transformers import Trainer, TrainingArguments

class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def forward(self, x=None, labels=None):
        y = self.layer(x).squeeze(-1)
        return {"loss": ((y - labels) ** 2).mean(), "logits": y}

data = [{"x": torch.randn(4), "labels": torch.tensor(1.0)} for _ in range(32)]
options = TrainingArguments(output_dir="out", per_device_train_batch_size=4, num_train_epochs=2, logging_steps=2,
    eval_strategy="steps", eval_steps=4, save_strategy="no", report_to=[], use_cpu=True)
Trainer(model=Line(), args=options, train_dataset=data, eval_dataset=data[:8]).train()
"""
XGBOOST = """
import numpy, xgboost
X = numpy.random.default_rng(0).normal(size=(80, 3))
rows = xgboost.DMatrix(X, X[:, 0])
options = {"eval_metric": ["mae", "rmse"], "nthread": 1}
xgboost.train(options, rows, 4, evals=[(rows, "train"), (rows, "eval")])
"""
TQDM = """
from tqdm import tqdm
for epoch in range(2):
    bar = tqdm(range(5), desc=f"Epoch {epoch + 1}/2", mininterval=0, miniters=1)
    for i in bar:
        bar.set_postfix(loss=10 / (1 + i + 5 * epoch), lr="1.0e-04")
"""


def read(*lines: str, most: int | None = None) -> History:
    history = History(most)
    for line in lines:
        history.add(line)
    return history


def column(history: History, key: str) -> list[tuple[float, Any]]:
    return [(row["step"], row[key]) for row in history.metrics if key in row]


def output(program: str, place: Path) -> list[str]:
    """What a program prints into a pipe, both streams in one; lines end where a newline is."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
    )
    return done.stdout.decode().split("\n")


# ---- Hugging Face Trainer


def test_the_trainers_older_numbers_are_read_as_its_quoted_ones() -> None:
    # transformers 4, ProgressCallback; from transformers issue 14531
    bar = "\r  8%|█████         | 1999/24128 [1:52:09<20:27:23,  3.33s/it]"
    history = read(bar, "{'loss': 6.2645, 'learning_rate': 0.001, 'epoch': 0.02}", "{'loss': nan, 'epoch': 0.04}")
    assert column(history, "loss") == [(1999, 6.2645)]
    assert history.progress is not None
    assert history.progress.eta == 20 * 3600 + 27 * 60 + 23


def test_a_trainer_without_a_bar_counts_its_records() -> None:
    history = read(*(f"{{'loss': {loss}, 'epoch': {n / 10}}}" for n, loss in enumerate((3.0, 2.0, 1.0), 1)))
    assert column(history, "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]


# ---- tqdm and Lightning


def test_a_real_bars_losses_are_those_of_their_steps_over_all_epochs(tmp_path: Path) -> None:
    history = read(*output(TQDM, tmp_path))
    assert [step for step, _ in column(history, "loss")] == list(range(1, 11))
    assert [loss for _, loss in column(history, "loss")] == pytest.approx([10 / n for n in range(1, 11)], rel=0.01)
    assert history.metrics[-1]["learning_rate"] == 1e-4
    assert history.metrics[-1]["total_steps"] == 10
    assert history.metrics[-1]["epoch"] == 2


def test_a_bars_states_fill_no_log() -> None:
    states = [f"{n:3}%|{'█' * (n // 10)}| {n}/100 [00:{n // 10:02}<00:10, 9.0it/s]" for n in range(1, 101)]
    history = read("begin", "\r" + "\r".join(states[:50]), *("\r" + state for state in states[50:]), "end")
    assert texts(history.text()) == ["begin", states[-1], "end"]
    assert history.progress is not None
    assert (history.progress.done, history.progress.fraction) == (100, 1.0)


def test_lightnings_bar_gives_steps_by_epoch_and_its_checks_are_left_out() -> None:
    # pytorch_lightning, TQDMProgressBar; as in Lightning issues 4225 and 14094
    history = read(
        "Sanity Checking DataLoader 0: 100%|██████████| 2/2 [00:00<00:00, 40.10it/s]",
        "\rEpoch 0:   0%|          | 0/4 [00:00<?, ?it/s]"
        "\rEpoch 0:  50%|█████     | 2/4 [00:01<00:01, 1.50it/s, v_num=7, train_loss=1.800]"
        "\rEpoch 0: 100%|██████████| 4/4 [00:02<00:00, 1.50it/s, v_num=7, train_loss=1.500]",
        "Validation DataLoader 0:  46%|████▌     | 73/157 [00:02<00:02, 37.48it/s]",
        "Epoch 0: 100%|██████████| 4/4 [00:02<00:00, 1.50it/s, v_num=7, train_loss=1.500, val_loss=1.420]",
        "Epoch 1:  50%|█████     | 2/4 [00:01<00:03, 1.50it/s, v_num=7, train_loss=1.100, val_loss=1.420]",
    )
    assert column(history, "loss") == [(2, 1.8), (4, 1.5), (6, 1.1)]
    assert column(history, "eval_loss")[0] == (4, 1.42)
    assert history.progress is not None
    assert (history.progress.phase, history.progress.done, history.progress.total) == ("epoch 1", 2, 4)
    assert history.progress.eta == 3


def test_a_download_is_progress_of_its_own() -> None:
    history = read("Downloading:  45%|████▌     | 31.0M/93.0M [00:03<00:05, 10.0MB/s]")
    assert history.progress is not None
    assert (history.progress.phase, history.progress.unit) == ("Downloading", "B")
    assert history.progress.done == 31e6
    assert history.metrics == []


# ---- DeepSpeed


def test_deepspeeds_two_lines_and_a_scripts_loss_make_one_row() -> None:
    # deepspeed 0.10, log_dist and ThroughputTimer
    stamp = "[2023-08-02 00:41:17,935] [INFO]"
    history = read(
        f"{stamp} [logging.py:96:log_dist] [Rank 0] step=0, skipped=0, lr=[0.001], mom=[(0.9, 0.999)]",
        f"{stamp} [logging.py:96:log_dist] [Rank 0] step=10, skipped=2, lr=[0.0001, 0.0001], mom=[(0.9, 0.999)]",
        f"{stamp} [timer.py:215:stop] epoch=0/micro_step=40/global_step=10, RunningAvgSamplesPerSec=220.5, "
        "CurrSamplesPerSec=222.8, MemAllocated=0.07GB, MaxMemAllocated=1.5GB",
        "step 10: loss 10.8766",
        f"{stamp} [timer.py:189:stop] 0/20, SamplesPerSec=83.5, MemAllocated=0.26GB, MaxMemAllocated=9.02GB",
    )
    first, second = history.metrics
    assert (first["step"], first["learning_rate"], first["loss"]) == (10, 0.0001, 10.8766)
    assert (first["samples_per_second"], first["memory_bytes"]) == (220.5, int(1.5 * 2**30))
    assert (second["step"], second["samples_per_second"]) == (20, 83.5)


# ---- Keras


def test_keras_of_both_kinds_counts_steps_over_epochs() -> None:
    new = "\x1b[1m{}/469\x1b[0m \x1b[32m━━━━━━━━━━\x1b[0m\x1b[37m━━━━━━━━━━\x1b[0m \x1b[1m1s\x1b[0m 3ms/step"
    history = read(
        "Epoch 1/2",
        new.format(120) + " - accuracy: 0.7100 - loss: 0.9400",
        new.format(469) + " - accuracy: 0.8900 - loss: 0.3500 - val_accuracy: 0.9400 - val_loss: 0.2000",
        "Epoch 2/2",
        "120/469 [======>.......................] - ETA: 1s - loss: 0.3000 - accuracy: 0.9000",
        "469/469 [==============================] - 2s 4ms/step - loss: 0.2500 - accuracy: 0.9200 - val_loss: 0.1500",
        "10/10 [==============================] - 0s 4ms/step - loss: 9.0000",
    )
    assert column(history, "loss") == [(120, 0.94), (469, 0.35), (589, 0.3), (938, 0.25)]
    assert column(history, "eval_loss") == [(469, 0.2), (938, 0.15)]
    assert column(history, "val_accuracy") == [(469, 0.94)]
    assert column(history, "epoch")[-1] == (938, 2)
    assert history.metrics[0]["eta_seconds"] == pytest.approx((938 - 120) * 0.003, abs=0.1)
    assert history.metrics[-1]["total_steps"] == 938


def test_a_keras_line_an_epoch_is_read() -> None:
    history = read("Epoch 1/3", "469/469 - 2s - 4ms/step - accuracy: 0.8900 - loss: 3.5e-01")
    assert column(history, "loss") == [(469, 0.35)]


# ---- XGBoost


def test_a_real_boosters_metrics_are_columns_of_their_own(tmp_path: Path) -> None:
    history = read(*output(XGBOOST, tmp_path))
    assert [row["step"] for row in history.metrics] == [0, 1, 2, 3]
    row = history.metrics[-1]
    assert row.keys() >= {"train-rmse", "train-mae", "eval-rmse", "eval-mae"}
    assert (row["loss"], row["eval_loss"]) == (row["train-rmse"], row["eval-rmse"])


def test_cross_validation_and_an_accuracy() -> None:
    history = read("[2]\ttrain-auc:0.91\ttest-auc:0.85", "[3]\ttrain-rmse:0.49865+0.04589\ttest-rmse:0.5+0.1")
    assert "loss" not in history.metrics[0]
    assert (history.metrics[1]["loss"], history.metrics[1]["train-rmse-std"]) == (0.49865, 0.04589)


# ---- scripts


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("step 10/100 | loss 1.23 | lr 1e-4", {"step": 10, "total_steps": 100, "loss": 1.23, "learning_rate": 1e-4}),
        ("iter 250: loss 2.0711, time 31.20ms, mfu 17.9%", {"step": 250, "loss": 2.0711}),
        ("step 250: train loss 2.1034, val loss 2.2", {"step": 250, "loss": 2.1034, "eval_loss": 2.2}),
        ("Epoch: 2, Step: 30, Loss: 0.5", {"step": 30, "loss": 0.5, "epoch": 2}),
        ("INFO step=7 loss=3.5 grad_norm=1.5", {"step": 7, "loss": 3.5, "grad_norm": 1.5}),
        ('{"step": 10, "loss": 1.5, "lr": 0.001, "note": "x"}', {"step": 10, "loss": 1.5, "learning_rate": 0.001}),
        (
            " iteration       34/   10000 | learning rate: 2.111E-06 | lm loss: 1.118665E+01 | number of nan: 0 |",
            {"step": 34, "total_steps": 10000, "loss": 11.18665, "learning_rate": 2.111e-6},
        ),
    ],
)
def test_a_step_and_a_loss_on_one_line_are_a_record(line: str, expected: dict[str, float]) -> None:
    [row] = read(line).metrics
    assert {key: value for key, value in row.items() if key != "type"} == expected


@pytest.mark.parametrize(
    "line",
    [
        "the loss of packets is 3",
        "no step was lost, loss 3 times",
        "step 3 failed: data loss",
        "using loss: CrossEntropyLoss",
        "{'lr': 0.1}",
        '{"loss": 3}',
        "step_size 10 loss 3",
        "[12]\tunrelated: tabbed",
        "10% | 3",
    ],
)
def test_what_could_mean_anything_is_left_alone(line: str) -> None:
    history = read(line)
    assert history.metrics == []
    assert history.progress is None
    assert texts(history.text()) == [line]


# ---- together


def test_a_bar_and_a_record_of_the_same_step_count_once() -> None:
    bar = " {:3}%|███       | {}/10 [00:01<00:02, 3.0it/s, loss={}]"
    history = read(
        bar.format(10, 1, "2.1"), bar.format(20, 2, "1.9"), "step 2 loss 1.9123", bar.format(40, 4, "1.5"),
        "step 4 loss 1.5456",
    )  # fmt: skip
    assert column(history, "loss") == [(2, 1.9123), (4, 1.5456)]


def test_records_of_ours_switch_the_guessing_off() -> None:
    history = read(
        "step 900 loss 7", format_record({"type": "metrics", "step": 1, "loss": 3.0}), "step 901 loss 6",
        "{'loss': 5.0, 'epoch': 0.5}",
    )  # fmt: skip
    assert column(history, "loss") == [(1, 3.0)]


def test_a_display_keeps_a_bounded_curve_and_the_frame_all_of_it() -> None:
    lines = [f"step {n} loss {1 / n}" for n in range(1, 10_001)]
    short, whole = read(*lines, most=MOST_ROWS), read(*lines)
    assert len(short.metrics) <= MOST_ROWS
    assert (short.metrics[0]["step"], short.metrics[-1]["step"]) == (1, 10_000)
    assert len(whole.metrics) == 10_000


def test_of_a_long_run_the_whole_is_kept_evenly_and_every_evaluation_while_they_are_few() -> None:
    lines = [
        format_record({"type": "metrics", "step": n, "loss": 1 / n, **({"eval_loss": 2 / n} if n % 1000 == 7 else {})})
        for n in range(1, 50_001)
    ]
    history = read(*lines, most=MOST_ROWS)
    steps = [row["step"] for row in history.metrics]
    assert MOST_ROWS / 3 < len(steps) <= MOST_ROWS
    assert (steps[0], steps[-1]) == (1, 50_000)
    assert max(after - before for before, after in itertools.pairwise(steps)) <= 64
    assert [step for step, _ in column(history, "eval_loss")] == list(range(7, 50_001, 1000))


def test_a_million_ordinary_lines_pass_in_seconds() -> None:
    lines = [f"2026-11-27 19:58:41 INFO worker {n}: batch {n} of shard 7 in 12.3 ms " + "x" * 130 for n in range(100)]
    history = History()
    begun = time.process_time()
    for _ in range(1000):
        for line in lines:
            history.add(line)
    assert time.process_time() - begun < 1.0  # a third of the speed that it has


# ---- jobs on the engine


def test_a_job_of_the_hugging_face_trainer_has_a_curve_with_evaluations_in_its_rows(session: Session) -> None:
    seen: list[Snapshot] = []
    job = session.job("trainer", image="python:3.11", command=[sys.executable, "-c", TRAINER]).wait(120, seen.append)
    frame = job.metrics
    assert frame["loss"].dropna().index.tolist() == [2, 4, 6, 8, 10, 12, 14, 16]
    assert frame["eval_loss"].dropna().index.tolist() == [4, 8, 12, 16]
    row = frame.loc[4]
    assert row["epoch"] == 0.5
    assert row["learning_rate"] == pytest.approx(4.063e-5)
    assert row["grad_norm"] > 0
    assert seen[-1].loss == frame["loss"].iloc[-1]
    assert seen[-1].progress is not None
    assert (seen[-1].progress.done, seen[-1].progress.total) == (16, 16)


def test_a_job_of_xgboost_has_a_column_for_each_metric(session: Session) -> None:
    job = session.job("booster", image="python:3.11", command=[sys.executable, "-c", XGBOOST]).wait(120)
    frame = job.metrics
    assert frame.index.tolist() == [0, 1, 2, 3]
    assert frame["train-mae"].is_monotonic_decreasing
    assert frame["loss"].equals(frame["train-rmse"].rename("loss"))


def test_a_bar_moves_while_its_job_runs(session: Session) -> None:
    slow = TQDM.replace("for i in bar:", "for i in bar:\n        import time; time.sleep(0.3)")
    seen: list[Snapshot] = []
    job = session.job("bar", image="python:3.11", command=[sys.executable, "-c", slow]).wait(120, seen.append)
    moments = {snapshot.progress.done for snapshot in seen if snapshot.progress and not snapshot.state.final}
    assert len(moments) >= 4
    assert job.metrics.index.tolist() == list(range(1, 11))
    assert len(seen[-1].log) == 1
