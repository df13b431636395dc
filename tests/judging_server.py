"""A model's server whose answers can be foretold: it grades, compares, embeds, and gives log-probabilities where its
GIVES says so: `chat`, `completions`, or `neighbours`, which are completions whose prompts have those of other tokens.
Everyone's question is answered with its last word."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

PROGRAM = r"""
import json, math, os, re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GIVES = os.environ.get("GIVES", "")
CHOICE = os.environ.get("CHOICE", "B")

class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": "judge", "object": "model"}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/embeddings":
            return self.embed(asked)
        if self.path == "/v1/completions":
            return self.complete(asked)
        system = asked["messages"][0]["content"]
        said = asked["messages"][-1]["content"]
        if "You grade" in system:
            text = self.grade(said)
        elif "You compare" in system:
            text = self.verdict(system, said)
        else:
            text = said.split()[-1]
        if asked.get("stream"):
            delta = {"index": 0, "delta": {"content": text}}
            chunk = {"id": "1", "object": "chat.completion.chunk", "choices": [delta]}
            return self.send("text/event-stream", "data: " + json.dumps(chunk) + "\n\ndata: [DONE]\n\n")
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if asked.get("logprobs") and GIVES == "chat":
            top = [{"token": each, "logprob": math.log(share), "bytes": None}
                   for each, share in ((CHOICE, 0.4), (" " + CHOICE, 0.2), ("A", 0.2), ("The", 0.1))]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        self.answer({"id": "1", "object": "chat.completion", "choices": [choice]})

    def grade(self, said):
        right = re.search(r"<right_answer>\n(.*?)\n</right_answer>", said, re.S)[1]
        answer = re.search(r"<answer>\n(.*?)\n</answer>", said, re.S)[1]
        if "mumble" in answer:
            return "I would rather not say."
        return "<think>Grade: 3</think>It says so.\n**Grade: %d**" % (9 if right in answer else 2)

    def verdict(self, system, said):
        right = re.search(r"<right_answer>\n(.*?)\n</right_answer>", said, re.S)[1]
        a, b = (right in re.search(r"<answer_%s>\n(.*?)\n</answer_%s>" % (each, each), said, re.S)[1] for each in "AB")
        if "the first" in system:
            return "The first one.\nVerdict: A"
        return "Verdict: " + ("tie" if a == b else "A" if a else "B")

    def embed(self, asked):
        if any("unreadable" in text for text in asked["input"]):
            return self.answer({"error": {"message": "no such text"}}, 400)
        data = []
        for at, text in enumerate(asked["input"]):
            vector = [float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]
            data.append({"object": "embedding", "index": at, "embedding": vector})
        self.answer({"object": "list", "model": asked["model"], "data": data[::-1]})

    def complete(self, asked):
        if GIVES not in ("completions", "neighbours"):
            return self.answer({"error": {"message": "not found"}}, 404)
        tokens = re.findall(r"\s*\S+", asked["prompt"]) + [" end"]
        values = [None, *(-0.1 if "green" in token or token == " end" else -2.0 for token in tokens[1:])]
        if not asked.get("echo"):
            tokens, values = tokens[-1:], values[-1:]
        elif GIVES == "neighbours":  # no word follows itself
            values = [None, *(-9.0 for _ in tokens[1:])]
        logprobs = {"tokens": tokens, "token_logprobs": values, "top_logprobs": None, "text_offset": []}
        self.answer({"id": "1", "object": "text_completion", "choices": [
            {"index": 0, "text": "".join(tokens), "logprobs": logprobs, "finish_reason": "length"}]})

    def answer(self, body, code=200):
        self.send("application/json", json.dumps(body), code)

    def send(self, kind, text, code=200):
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "0"))), Model)
print(server.server_port, flush=True)
server.serve_forever()
"""


def giving(gives: str = "", choice: str = "B") -> str:
    """The program of a server with these."""
    return f"import os\nos.environ |= {{'GIVES': {gives!r}, 'CHOICE': {choice!r}}}\n{PROGRAM}"


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A process that serves it on this machine; its URL."""
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ), text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
