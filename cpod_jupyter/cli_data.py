"""The commands of `cpod` about models and datasets: what is brought, and what there is."""

from __future__ import annotations

import argparse
import sys

from cpod_jupyter.cli_output import AddCommand, print_data, session_of


def add_commands(add: AddCommand, where: argparse.ArgumentParser, output: argparse.ArgumentParser) -> None:
    """Add them to the parser of `cpod`, by its own function for a command."""
    models = add("models", _models, "show the models that a fine-tune can name, own and of the catalogue", where,
                 output)  # fmt: skip
    models.add_argument("--all", action="store_true", help="every model, however many there are")
    upload = add("upload", _upload, "make a dataset of rows in a file, or a model of a folder", where,
                 example="cpod upload rows.jsonl as facts")  # fmt: skip
    upload.add_argument("words", metavar="PATH as NAME", nargs="+", help="JSONL, JSON, CSV or Parquet, or a folder")
    upload.add_argument("--as", dest="new_name", metavar="NAME", help="the same as the word")
    upload.add_argument("--model", action="store_true", help="the folder holds a model, or the file is GGUF")
    upload.add_argument("--image", help="of the pod that receives it on a cluster; the operator's when left out")


def _models(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk.models import SHOWN

    found = session_of(options).models(most=None if options.all else SHOWN)
    if not print_data(options, found.to_dicts()):
        print(found)


def _upload(options: argparse.Namespace) -> int:
    from cpod_jupyter.sdk.upload import UploadInterrupted, content_of, upload, words_of
    from cpod_jupyter.sdk.words import amount

    what, name = words_of(options.words, options.new_name)
    content = content_of(what, model=options.model)

    def tell(doing: str, done: int, total: int) -> None:
        share = f": {amount(done)} of {amount(total)}" if total else ""
        end = "" if sys.stderr.isatty() and total and done < total else "\n"
        if sys.stderr.isatty() or not total or done == total:
            print(f"\r{doing}{share}", end=end, file=sys.stderr, flush=True)

    try:
        handle, outcome = upload(session_of(options), content, name, tell=tell, image=options.image or "")
    except UploadInterrupted as interrupted:
        print(interrupted, file=sys.stderr)
        return 130
    print(f"{handle.title} {outcome}: {content.summary} from {content.called}")
    return 0
