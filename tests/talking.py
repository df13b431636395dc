"""A deployment's server that knows all that a chat may ask of it, one word at a time, so that it can be stopped.

What it says depends on the question's first word: `slowly` goes on until the connection is closed, which it then writes
to the file LOG names; `call NAME {JSON}` calls a tool and tells what came of it; `break` breaks off a stream before its
first word, and `nothing` ends one there, where it would refuse a whole answer; `think`, `json`, `fence`, `cut`,
`history` and `refuse` are what they say. What it was asked is in LOG too, a line of JSON each.
"""

from __future__ import annotations

from typing import Any

from parrot import predictor

SERVER = """
import json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOG = os.environ["LOG"]

def note(**what):
    with open(LOG, "a") as file:
        file.write(json.dumps(what) + "\\n")

class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        models = {"object": "list", "data": [{"id": "talking", "object": "model"}]}
        self.whole(models if self.path == "/v1/models" else {}, 200 if self.path in ("/", "/v1/models") else 404)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        note(asked=asked)
        messages = asked["messages"]
        last = messages[-1]
        said = last["content"]
        text = said if isinstance(said, str) else said[0]["text"]
        word, _, rest = text.partition(" ")
        if last["role"] == "tool":
            return self.stream(asked, ["The ", "tool ", "said: ", text])
        if isinstance(said, list) and word not in ("look", "break"):
            return self.whole({"error": {"message": "this model takes text only"}}, 400)
        if word == "refuse":
            return self.whole({"error": {"message": "context of 10 tokens exceeded"}}, 400)
        if word == "nothing":
            if asked.get("stream"):
                return self.stream(asked, None)
            return self.whole({"error": {"message": "context of 10 tokens exceeded"}}, 400)
        if word == "break":
            if asked.get("stream"):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.close_connection = True
                return None
            message = {"role": "assistant", "content": "all at once"}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            return self.whole({"id": "1", "object": "chat.completion", "choices": choices}, 200)
        if word == "plainly" and "stream_options" in asked:
            return self.whole({"error": {"message": "unknown field stream_options"}}, 422)
        if word == "call":
            if asked.get("tool_choice") == "none":
                return self.stream(asked, ["no ", "more ", "calls"])
            name, _, arguments = rest.partition(" ")
            halves = [arguments[:5], arguments[5:]]
            calls = [{"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": halves[0]}}]
            more = [{"index": 0, "function": {"arguments": halves[1]}}]
            return self.stream(asked, [{"tool_calls": calls}, {"tool_calls": more}], finish="tool_calls")
        if word == "slowly":
            return self.stream(asked, ("word%d " % n for n in range(100000)), pause=0.05)
        answers = {
            "think": [{"reasoning_content": "Hm, "}, {"reasoning_content": "yes."}, "So ", "it ", "is."],
            "json": ['{"answer"', ": 42}"],
            "fence": ["```python\\n", "print(1)"],
            "history": [" / ".join(f"{m['role']}: {m['content']}" for m in messages)],
        }
        words = [piece + " " for piece in text.split(" ")]
        self.stream(asked, answers.get(word, ["You ", "said: ", *words]), finish="length" if word == "cut" else "stop")

    def stream(self, asked, pieces, finish="stop", pause=0.01):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if pieces is None:
            return
        count = 0
        try:
            for piece in pieces:
                count += 1
                self.chunk(piece if isinstance(piece, dict) else {"content": piece})
                time.sleep(pause)
            self.chunk({}, finish)
            if asked.get("stream_options", {}).get("include_usage"):
                usage = {"prompt_tokens": 7, "completion_tokens": count, "total_tokens": 7 + count}
                self.send({"id": "1", "object": "chat.completion.chunk", "choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\\n\\n")
        except OSError:
            note(closed=count)

    def chunk(self, delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.send({"id": "1", "object": "chat.completion.chunk", "choices": [choice]})

    def send(self, event):
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\\n\\n")
        self.wfile.flush()

    def whole(self, answer, code):
        body = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Model).serve_forever()
"""


def talking(log: str) -> dict[str, Any]:
    """Its predictor; LOG is a file."""
    made = predictor(SERVER)
    made["containers"][0]["env"].append({"name": "LOG", "value": log})
    return made
