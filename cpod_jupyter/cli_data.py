"""The commands of `cpod` about models and datasets: what is brought, and what there is."""

from __future__ import annotations

import argparse

from cpod_jupyter.cli_output import AddCommand, print_data, session_of, upload_shown


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


def _upload(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk.upload import content_of, upload, words_of

    what, name = words_of(options.words, options.new_name)
    content = content_of(what, model=options.model)
    handle, outcome = upload(session_of(options), content, name, tell=upload_shown, image=options.image or "")
    print(f"{handle.title} {outcome}: {content.summary} from {content.called}")
