"""A model outside any cluster: where its API is, which model it has, and its key."""

from __future__ import annotations

import pytest
from chat_server import Serve

from cpod_jupyter import Endpoint
from cpod_jupyter.errors import CpodError


@pytest.mark.parametrize("base", ["/v1", "/openai/v1", "/v1beta/openai", "/team/model"])
@pytest.mark.parametrize("given", ["", "/"], ids=["as it is", "with a slash"])
def test_the_base_path_and_the_model_are_found_out(serve: Serve, base: str, given: str) -> None:
    served = serve(base=base)
    usual = base in ("/v1", "/openai/v1")
    for path in ("", base) if usual else (base,):
        endpoint = Endpoint(served.url + path + given)
        assert endpoint.chat("hello").strip() == "You said: hello"
        assert (endpoint.endpoint().url, endpoint.model) == (served.url + base, "echo")


def test_a_url_of_a_question_is_taken_too(serve: Serve) -> None:
    assert Endpoint(f"{serve().url}/v1/chat/completions").model == "echo"


def test_where_there_are_several_models_one_must_be_named(serve: Serve) -> None:
    served = serve(models=("small", "large"))
    with pytest.raises(CpodError, match="serves 2 models; say which with model=: small, large"):
        Endpoint(served.url).chat("hello")
    assert Endpoint(served.url, "large").model == "large"


def test_a_key_goes_to_its_own_host_alone_and_is_never_shown(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve(key="sk-secret")
    with pytest.raises(CpodError, match=r"wants an API key: give api_key= or api_key_env= \(HTTP 401\)"):
        Endpoint(served.url).chat("hello")
    with pytest.raises(CpodError, match=r"refuses the API key \(HTTP 401\)") as told:
        Endpoint(served.url, api_key="sk-wrong").chat("hello")
    assert "sk-wrong" not in str(told.value)
    monkeypatch.setenv("MY_KEY", "sk-secret")
    endpoint = Endpoint(served.url, api_key_env="MY_KEY")
    assert endpoint.chat("hello").strip() == "You said: hello"
    assert "sk-secret" not in f"{endpoint!r} {endpoint.endpoint()!r} {endpoint.identity()}"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with pytest.raises(CpodError, match="wants an API key"):
        Endpoint(served.url).chat("a key of another host does not come here")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{served.url}/v1")
    assert Endpoint(served.url).chat("hello").strip() == "You said: hello"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "gpu-box:8000"}, "is no address of a model's server"),
        ({"url": "ftp://gpu-box"}, "is no address of a model's server"),
        ({"url": "https://me:sk-1@gpu-box"}, "give the key of gpu-box as api_key= or api_key_env=, not in its URL"),
        ({"url": "https://gpu-box/v1?key=sk-1"}, "may have a path, but nothing after"),
        ({"url": "https://gpu-box", "api_key_env": "NO_SUCH"}, "variable NO_SUCH, which should hold the API key"),
    ],
)
def test_what_is_no_endpoint_is_told(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(CpodError, match=message) as told:
        Endpoint(**arguments)
    assert "sk-1" not in str(told.value)


def test_a_server_that_does_not_answer_and_one_of_another_kind_are_told(serve: Serve) -> None:
    served = serve(base="/api")
    with pytest.raises(CpodError, match=r"cannot be asked:\n.*/v1: HTTP 404"):
        Endpoint(served.url).chat("hello")
    served.stop()
    with pytest.raises(CpodError, match=r"/v1: no answer"):
        Endpoint(served.url).chat("hello")
