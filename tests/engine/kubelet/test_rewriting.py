"""Mount paths in words."""

from __future__ import annotations

import pytest

from cpod_jupyter.engine.kubelet.rewriting import Rewriter

MOUNTS = [("/data", "/h/d"), ("/data/model", "/h/m"), ("/mnt/models/", "/h/k"), ("/ckpt", "/data/x")]


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        pytest.param("/data/model", "/h/m", id="alone"),
        pytest.param("/data/model/", "/h/m/", id="trailing slash"),
        pytest.param("--dir=/data/model/x", "--dir=/h/m/x", id="option"),
        pytest.param("a:/data/model:b", "a:/h/m:b", id="between colons"),
        pytest.param("/data/models", "/h/d/models", id="a longer name below a shorter mount"),
        pytest.param("/data2/model", "/data2/model", id="a longer name"),
        pytest.param("/data-old", "/data-old", id="a name with a dash"),
        pytest.param("/data.bak", "/data.bak", id="a name with a dot"),
        pytest.param("/home/data/model", "/home/data/model", id="below another path"),
        pytest.param("http://host/data/model", "http://host/data/model", id="path of a URL"),
        pytest.param("file:///data/model/a", "file:///h/m/a", id="file URL"),
        pytest.param("../data", "../data", id="relative"),
        pytest.param("cd /data && ls '/mnt/models'", "cd /h/d && ls '/h/k'", id="shell"),
        pytest.param('{"path": "/data/model"}', '{"path": "/h/m"}', id="JSON"),
        pytest.param("/ckpt", "/data/x", id="a result is not rewritten again"),
        pytest.param("nothing", "nothing", id="no path"),
    ],
)
def test_mount_paths_become_directories_at_path_boundaries(text: str, rewritten: str) -> None:
    assert Rewriter(MOUNTS)(text) == rewritten


def test_without_mounts_words_stay() -> None:
    assert Rewriter([])("/data") == "/data"
