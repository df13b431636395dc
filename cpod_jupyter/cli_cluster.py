"""The commands that concern a cluster as a whole: `cpod install`, `cpod doctor`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cpod_jupyter.cli_output import AddCommand, print_data
from cpod_jupyter.errors import CpodError

if TYPE_CHECKING:
    from cpod_jupyter.sdk.install import Choices


def add_commands(add: AddCommand, where: argparse.ArgumentParser, output: argparse.ArgumentParser) -> None:
    """Add them to the parser of `cpod`, by its own function for a command."""
    add("doctor", _doctor, "say what is missing or wrong with the cluster or the engine, and what to do",
        where, output, example="cpod doctor --context lab")  # fmt: skip
    install = add("install", _install, "put the operator and its kinds on a cluster, or print the manifests for it",
                  example="cpod install --print | kubectl apply -f -")  # fmt: skip
    install.add_argument("--print", action="store_true", help="write the manifests, and touch nothing")
    install.add_argument("--context", help="a context of the kubeconfig, instead of the current one")
    install.add_argument("--namespace", default=None, help="the operator's namespace, made if absent (cpod-system)")
    install.add_argument(
        "--image", help="the image of this project, made by its Dockerfile, where the cluster finds it"
    )
    install.add_argument(
        "--config", type=Path, metavar="FILE", help="the operator's settings, YAML; see docs/cluster.md"
    )
    install.add_argument("--replicas", type=int, default=2, help="operators, of which one leads (2)")
    install.add_argument(
        "--webhooks", action="store_true",
        help="refuse what cannot work when it is submitted, by an admission webhook; with --print the manifests hold "
        "its private key",
    )  # fmt: skip
    install.add_argument("--no-wait", action="store_true", help="do not wait until the operator is available")


def _install(options: argparse.Namespace) -> None:
    from cpod_jupyter.sdk.install import Choices, install, manifests

    choices = _choices(options, Choices())
    if options.print:
        import yaml

        print(yaml.safe_dump_all(manifests(choices), sort_keys=False, allow_unicode=True), end="")
        return
    from cpod_jupyter.client.client import Client
    from cpod_jupyter.sdk import config
    from cpod_jupyter.sdk.connect import means_engine

    if means_engine(options.context):
        raise CpodError(
            "the engine on this machine has the operator and its kinds already; to install them on a cluster, name one "
            "with KUBECONFIG or --context, or write the manifests with --print"
        )
    client = Client.connect(config.chosen(options.context).context.value or None)
    print(f"installing into context {client.context} at {client.server}", file=sys.stderr)
    install(client, choices, lambda step: print(step, flush=True), wait=not options.no_wait)
    from cpod_jupyter.sdk import Session
    from cpod_jupyter.sdk.doctor import Level, examine, text

    missing = [finding for finding in examine(Session(options.context)) if finding.level is not Level.OK]
    if missing:
        print(f"\nwhat this cluster lacks (cpod doctor):\n{text(missing)}")


def _doctor(options: argparse.Namespace) -> int:
    from cpod_jupyter.sdk import Session
    from cpod_jupyter.sdk.doctor import examine, is_healthy, text

    found = examine(Session(options.context, options.namespace))
    if not print_data(options, [{**asdict(finding), "level": str(finding.level)} for finding in found]):
        print(text(found))
    return 0 if is_healthy(found) else 1


def _choices(options: argparse.Namespace, defaults: Choices) -> Choices:
    from cpod_jupyter.operator.settings_file import parse_settings
    from cpod_jupyter.sdk.install.webhooks import certificate_for

    text = ""
    if options.config:
        try:
            text = options.config.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise CpodError(f"{options.config} cannot be read: {why}") from error
        parse_settings(text, str(options.config))  # refused now, not by a pod that does not come up
    if options.replicas < 1:
        raise CpodError(f"--replicas {options.replicas}: at least one operator is needed")
    image, namespace = options.image or defaults.image, options.namespace or defaults.namespace
    return replace(
        defaults, namespace=namespace, image=image, settings=text, replicas=options.replicas,
        webhook=certificate_for(namespace) if options.webhooks else None,
    )  # fmt: skip
