"""The rows of a comparison in a page without scripts: filtered, and opened one at a time, by mouse and by keys."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from cpod_jupyter.sdk.evaluate import Comparison, scorers_of
from cpod_jupyter.sdk.evaluate.measure import measured


def shown() -> str:
    """Four rows: by `contains` better, worse, same and not answered; by `long` all of them worse but the last."""
    questions = [{"messages": [{"role": "user", "content": f"question {at}"}], "answer": "green"} for at in range(4)]
    answers = {"base": ["it is red", "it is green", "it is red", ""], "tuned": ["green", "blue", "red", ""]}
    errors = {"base": ["", "", "", "it was gone"], "tuned": ["", "", "", "it was gone"]}
    chosen = scorers_of(["contains", long])
    names = dict.fromkeys(answers)
    found = Comparison(list(names), questions, answers, measured(chosen, names, questions, answers, errors))  # type: ignore[arg-type]
    return str(found._repr_mimebundle_()["text/html"])


def long(given: str, right: str) -> float:
    return float(len(given))


def test_rows_are_filtered_and_stepped_through_without_scripts(browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(shown() + shown())  # twice on one page, as when a cell was run again
    first = page.locator(".cpod").first
    rows = first.locator("details.cpod-one:visible")
    first.get_by_text("Rows side by side: base, tuned").click()
    expect(rows).to_have_count(4)
    first.get_by_label("better").check()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("question 0")
    first.get_by_label("worse").check()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("question 1")
    first.get_by_label("long").check()
    expect(rows).to_have_count(3)
    first.get_by_label("no score").check()
    expect(rows).to_have_count(1)
    first.get_by_label("all").check()
    expect(page.locator(".cpod").nth(1).get_by_label("all")).to_be_checked()
    rows.nth(0).locator("summary").click()
    rows.nth(1).locator("summary").focus()
    page.keyboard.press("Enter")
    expect(first.locator("details.cpod-one[open]")).to_have_count(1)
    expect(first.locator("details.cpod-one[open]")).to_contain_text("right answer")
    context.close()
