"""What users of the peers complained of in a notebook, and the test that shows each absent here.

Numbered as in the project's design: `shared/design/NOTEBOOK_UX.md`, "What users of the peers complained of".
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

ANSWERED: dict[str, str | tuple[str, ...]] = {
    "1 unsure whether Ctrl-C kills the job": (
        "jupyter/test_magics_kernel.py::test_an_interrupt_detaches_the_job_goes_on_and_queued_cells_do_not_run"
    ),
    "2 nothing is said while a pod is pending": (
        "jupyter/test_magics_kernel.py::test_while_a_pod_is_pending_the_cell_says_what_it_waits_for"
    ),
    "3 logs twice, not streamed, all in memory": (
        "jupyter/test_magics_runs.py::test_a_followed_log_has_each_line_once_though_its_engine_is_killed_meanwhile",
        "jupyter/test_magics_kernel.py::test_a_long_log_is_bounded_in_the_notebook_and_whole_on_request",
    ),
    "4 closing the tab loses the output": (
        "jupyter/test_magics_kernel.py::test_a_restarted_kernel_finds_the_job_again_without_a_second_run",
        "browser/test_browser_block.py::test_the_block_goes_on_after_a_reload_in_the_middle_and_the_notebook_keeps_the_end",
        "browser/test_browser_block.py::test_the_block_goes_on_when_its_kernel_is_gone",
    ),
    "5 no progress before the end": ("jupyter/test_magics_kernel.py::test_progress_is_shown_before_the_end"),
    "6 the real cause is hidden": (
        "jupyter/test_magics_runs.py::test_the_cause_of_a_failure_stands_where_the_cell_ends",
        "sdk/test_sdk_follow.py::test_a_service_that_says_it_is_ready_while_its_pod_crash_loops_is_seen_through",
    ),
    "7 impossible requests wait for ever, without a word": (
        "jupyter/test_magics_runs.py::test_what_can_never_run_is_refused_and_what_waits_says_for_what"
    ),
    "8 runs vanish, and cannot be run again": (
        "jupyter/test_magics_runs.py::test_a_run_whose_cell_and_kernel_are_gone_is_found_followed_and_run_again",
        "jupyter/test_magics_kernel.py::test_a_restarted_kernel_finds_the_job_again_without_a_second_run",
    ),
    "9 failures pass silently without a browser": (
        "jupyter/test_magics_kernel.py::test_headless_runs_end_with_the_right_exit_code"
    ),
    "10 bad data or too little memory is found late": (
        "jupyter/test_magics_runs.py::test_bad_rows_and_too_little_memory_are_found_before_anything_is_submitted",
        "test_path.py::test_a_row_that_is_not_valid_stops_everything_before_training",
    ),
}
"""Complaint, and `file::test`, or several."""


@pytest.mark.parametrize("complaint", ANSWERED)
def test_a_complaint_is_answered_by_a_test_that_is_there(complaint: str) -> None:
    named = ANSWERED[complaint]
    for place in (named,) if isinstance(named, str) else named:
        file, test = place.split("::")
        found = ast.parse((TESTS / file).read_text("utf-8"))
        assert test in {node.name for node in ast.walk(found) if isinstance(node, ast.FunctionDef)}


def test_all_ten_are_there() -> None:
    assert [int(complaint.split()[0]) for complaint in ANSWERED] == list(range(1, 11))
