"""lm-eval's own harness, put to a deployment over HTTP from task files beside their data, without a network."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from parrot import SERVER, predictor
from tiny_model import tiny_model

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk import Deployment, Session
from cpod_jupyter.sdk.evaluate import run_lm_eval

TASKS = Path(__file__).parents[2] / "examples" / "lm-eval"

__all__ = ["tiny_model"]

pytestmark = pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="needs the extra lm-eval")

KNOWS_FRANCE = '''
import json, math, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Model(BaseHTTPRequestHandler):
    """Knows the capital of France; with LOGPROBS, a text with Paris in it is likelier than any other."""

    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": "geographer", "object": "model"}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/chat/completions"):
            said = asked["messages"][-1]["content"]
            text = "It is Paris." if "France" in said else "I do not know."
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            return self.answer({"id": "1", "object": "chat.completion", "choices": [choice]})
        prompts = asked["prompt"] if isinstance(asked["prompt"], list) else [asked["prompt"]]
        choices = []
        for number, prompt in enumerate(prompts):
            choice = {"index": number, "text": prompt, "finish_reason": "length"}
            if os.environ.get("LOGPROBS"):
                words = prompt.split(" ")
                likely = [None] + [-1.0 if "Paris" in word else -9.0 for word in words[1:]]
                tops = [None] + [{word: score} for word, score in zip(words[1:], likely[1:])]
                choice["logprobs"] = {"tokens": words, "token_logprobs": likely, "top_logprobs": tops}
            choices.append(choice)
        self.answer({"id": "1", "object": "text_completion", "choices": choices})

    def answer(self, answer):
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Model).serve_forever()
'''


@pytest.fixture
def geographer(session: Session) -> Deployment:
    return session.inference("geographer", predictor=predictor(KNOWS_FRANCE)).wait(60)


def test_a_local_task_is_put_to_a_deployment_and_the_harnesss_own_results_are_kept(
    geographer: Deployment, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    found = run_lm_eval(geographer, "capitals", include_path=TASKS, folder=tmp_path, tell=lambda *now: told.append(now))
    [row] = found.to_df().to_dict("records")
    assert (row["task"], row["filter"], row["metric"], row["rows"]) == ("capitals", "capital", "exact_match", 8)
    assert row["value"] == 1 / 8
    assert told[-1] == (8, 8)
    assert found.file.parent.parent == tmp_path
    assert found.results["config"]["model"] == "local-chat-completions"
    assert "It is Paris." in str(found.samples("capitals")[0]["resps"])
    assert repr(found).splitlines()[1].split()[:4] == ["capitals", "capital", "exact_match", "0.1250"]
    assert "<td>0.1250</td>" in found._repr_mimebundle_()["text/html"]
    [row] = run_lm_eval(geographer, ["capitals"], include_path=TASKS, folder=tmp_path, limit=1).rows()
    assert (row["value"], row["rows"]) == (1.0, 1)


def test_a_server_without_log_probabilities_is_told_as_such(
    geographer: Deployment, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(CpodError, match="inference/geographer: it gives no log-probabilities of a prompt"):
        run_lm_eval(geographer, "capitals_choice", include_path=TASKS, tokenizer=tiny_model, folder=tmp_path)


def test_what_cannot_be_evaluated_so_is_said_before_the_harness_starts(geographer: Deployment, tmp_path: Path) -> None:
    with pytest.raises(CpodError, match="capitals_choice: chat completions cannot say how likely a text is"):
        run_lm_eval(geographer, "capitals_choice", include_path=TASKS, kind="chat")
    with pytest.raises(CpodError, match="capitals_choice: likelihoods need the model's tokenizer"):
        run_lm_eval(geographer, "capitals_choice", include_path=TASKS)
    with pytest.raises(CpodError, match="nowhere of tasks"):
        run_lm_eval(geographer, "capitals", include_path=tmp_path / "nowhere")
    with pytest.raises(CpodError, match="is no Python"):
        run_lm_eval(geographer, "capitals", include_path=TASKS, python=tmp_path / "python")


def test_what_the_harness_says_of_a_task_that_is_not_there_is_shown(geographer: Deployment, tmp_path: Path) -> None:
    with pytest.raises(CpodError, match=r"(?s)lm-eval failed.*capitels"):
        run_lm_eval(geographer, "capitels", include_path=TASKS, folder=tmp_path, python=sys.executable)


def test_a_deployment_that_refuses_is_quoted(session: Session, tmp_path: Path) -> None:
    told = 'said = asked["messages"]'
    refusing = SERVER.replace(told, f'return self.answer("text/plain", "no", 403)\n        {told}')
    deployment = session.inference("refusing", predictor=predictor(refusing)).wait(60)
    said = "lm-eval was ended: inference/refusing refused a question: the API key is refused"
    with pytest.raises(CpodError, match=said):
        run_lm_eval(deployment, "capitals", include_path=TASKS, folder=tmp_path)
