"""A deployment's page in JupyterLab, in a real browser."""

from __future__ import annotations

from pathlib import Path

from acts import until_kept
from answering import answering
from lab import SECONDS, Lab, choose
from playwright.sync_api import Page, expect

expect.set_options(timeout=SECONDS * 1000)


def test_two_deployments_are_asked_the_same_side_by_side_stopped_and_there_after_a_reload(
    lab: Lab, page: Page, namespace: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with answering("base", "tuned"):
        lab.write("chat.ipynb")
        lab.open(page, "chat.ipynb")
        choose(page, "Chat with a deployment")
        page.get_by_label("Its name").fill(f"{namespace}/tuned")
        page.keyboard.press("Enter")
        deployment = page.get_by_role("region", name="Deployment tuned")
        expect(deployment.get_by_role("status").first).to_have_text("Ready")
        expect(deployment.locator(".cpodDeployment-url")).to_contain_text("http")
        deployment.get_by_label("Side by side with").select_option("base")
        deployment.get_by_label("Temperature").fill("0.5")
        message = deployment.get_by_label("Message")
        message.fill(str(gate))
        message.press("Enter")
        logs = [deployment.get_by_role("log", name=f"Conversation with {name}") for name in ("tuned", "base")]
        for log in logs:
            expect(log).to_contain_text("begun")  # while the model waits for the gate
            expect(log).to_have_attribute("aria-busy", "true")
        deployment.get_by_role("button", name="Stop").click()
        for log in logs:
            expect(log).to_contain_text("(stopped)")
        gate.touch()
        message.fill(str(gate))
        message.press("Enter")
        for log in logs:
            expect(log).to_contain_text("[3, 0.5, null]")  # question, what came of the answer, question
        message.fill("break")
        message.press("Enter")
        for log in logs:
            expect(log).to_contain_text("out of memory")
        until_kept(page, lab, "chat", f"{namespace}/inference/tuned")
        page.reload()
        expect(deployment.get_by_role("status").first).to_have_text("Ready")
