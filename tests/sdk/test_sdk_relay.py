"""What stands between an evaluation's harness and the deployment that it asks."""

from __future__ import annotations

import httpx
import pytest
from chat_server import Serve

from cpod_jupyter import Endpoint
from cpod_jupyter.sdk.evaluate.relay import Relay


def test_a_client_that_is_closed_meanwhile_is_a_fault_in_words(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    """As where the session is closed while a harness asks: its thread has no trace to print."""
    endpoint = Endpoint(serve().url)
    with Relay(endpoint) as relay:
        question = {"model": endpoint.model, "messages": [{"role": "user", "content": "hello"}]}
        url = f"{relay.url}/chat/completions"
        assert httpx.post(url, json=question).status_code == 200
        endpoint.endpoint().client.close()
        refused = httpx.post(url, json=question)
    assert refused.status_code == 502
    assert "closed" in relay.fault
    assert refused.json()["error"]["message"] == relay.fault
    assert capfd.readouterr().err == ""
