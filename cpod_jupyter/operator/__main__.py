"""The operator as a process of its own, against a cluster or against an engine.

    python -m cpod_jupyter.operator --kubeconfig ~/.kube/config --context lab --config operator.yaml

Without --kubeconfig it uses KUBECONFIG, the pod's service account, or ~/.kube/config, in this order.
Exit codes: 0 told to end; 1 it cannot begin, said in one message; 2 wrong usage; 3 another operator has taken the
lease, so whoever runs this one should start it again, to stand by.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from cpod_jupyter.api.resources import LEASES, NAMESPACES
from cpod_jupyter.client.client import Client
from cpod_jupyter.client.connection import connect
from cpod_jupyter.control.leader import LeaseTimes, Place, own_identity
from cpod_jupyter.errors import ApiError, CpodError, Forbidden, NotFound
from cpod_jupyter.operator.health import HealthServer
from cpod_jupyter.operator.running import LEASE_NAME, SYSTEM_NAMESPACE, Operator
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.settings_file import load_settings
from cpod_jupyter.operator.webhook import WebhookServer
from cpod_jupyter.version import VERSION

EXIT_LEASE_LOST = 3

log = logging.getLogger("cpod_jupyter.operator")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to end; the exit code."""
    options = _parser().parse_args(arguments)
    _log_to_stderr(options.log_format, options.log_level)
    try:
        return _run(options)
    except CpodError as error:
        log.error("%s", error)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cpod_jupyter.operator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="how to reach the cluster")
    parser.add_argument("--context", metavar="NAME", help="a context of it, instead of the current one")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML; see docs/cluster.md")
    parser.add_argument("--namespace", action="append", default=[], metavar="NAME",
                        help="watch only this namespace; may be given several times; all when left out")  # fmt: skip
    parser.add_argument("--lease-namespace", default=os.environ.get("POD_NAMESPACE") or SYSTEM_NAMESPACE,
                        metavar="NAME", help="where the lease is, by which one of several operators leads "
                        f"(POD_NAMESPACE, or else {SYSTEM_NAMESPACE})")  # fmt: skip
    times = LeaseTimes()
    parser.add_argument("--lease-seconds", type=float, default=times.lease, metavar="N",
                        help=f"how long a lease holds that is not renewed ({times.lease:g})")  # fmt: skip
    parser.add_argument("--renew-seconds", type=float, default=times.renew, metavar="N",
                        help=f"how long this operator acts without having renewed it ({times.renew:g})")  # fmt: skip
    parser.add_argument("--retry-seconds", type=float, default=times.retry, metavar="N",
                        help=f"time between two tries ({times.retry:g})")  # fmt: skip
    parser.add_argument("--health-port", type=int, default=8081, metavar="N",
                        help="port of /healthz, /readyz and /metrics (8081); 0 for none")  # fmt: skip
    parser.add_argument("--health-address", default="127.0.0.1", metavar="ADDRESS",
                        help="address of that port (127.0.0.1)")  # fmt: skip
    parser.add_argument("--webhook-port", type=int, default=0, metavar="N",
                        help="port of the admission webhook, at the health port's address; 0 for none (0)")  # fmt: skip
    parser.add_argument("--webhook-certificates", type=Path, metavar="DIR",
                        help="folder with its tls.crt and tls.key")  # fmt: skip
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    return parser


def _run(options: argparse.Namespace) -> int:
    try:
        times = LeaseTimes(options.lease_seconds, options.renew_seconds, options.retry_seconds)
    except ValueError as error:
        raise CpodError(f"--lease-seconds, --renew-seconds, --retry-seconds: {error}") from error
    settings = load_settings(options.config) if options.config else Settings()
    connection = connect(options.kubeconfig, options.context)
    client, quick = Client(connection), Client(connection, patience=times.renew / 2)
    place = Place(LEASE_NAME, options.lease_namespace, own_identity())
    _check_lease(client, place)
    operator = Operator(client, settings, place, times, options.namespace, quick)
    health = HealthServer(operator, options.health_address, options.health_port) if options.health_port else None
    webhook = _webhook(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: operator.stop_soon())
    watched = ", ".join(options.namespace) or "every namespace"
    log.info("operator %s for %s at %s, as %s", VERSION, watched, client.server, place.identity)
    if not operator.run():
        log.error("%s has taken the lease: this operator ends", operator.elector.holder)
        logging.shutdown()
        os._exit(EXIT_LEASE_LOST)  # at once: what its threads still do is not its business any more
    log.info("ended, and the lease given up")
    for server in (health, webhook):
        if server is not None:
            server.close()
    return 0


def _webhook(options: argparse.Namespace) -> WebhookServer | None:
    if not options.webhook_port:
        return None
    if options.webhook_certificates is None:
        raise CpodError("--webhook-port needs --webhook-certificates: the API server calls over TLS alone")
    return WebhookServer(options.health_address, options.webhook_port, options.webhook_certificates)


def _check_lease(client: Client, place: Place) -> None:
    """That the lease can be read, before anything waits for it. An API server that is away is waited for."""
    namespace = place.namespace
    try:
        client.get(LEASES, place.name, namespace)
    except NotFound as error:
        if error.details.get("kind") == NAMESPACES.plural:
            raise CpodError(_no_namespace(namespace, client.server)) from error
        if not _namespace_is_there(client, namespace):
            raise CpodError(_no_namespace(namespace, client.server)) from error
    except ApiError as error:
        raise CpodError(f"the lease {namespace}/{place.name} cannot be read at {client.server}: {error}") from error
    except CpodError as error:
        log.warning("%s; it is waited for", error)


def _namespace_is_there(client: Client, namespace: str) -> bool:
    try:
        client.get(NAMESPACES, namespace)
    except NotFound:
        return False
    except Forbidden:
        return True  # one may not look: the lease itself will tell
    return True


def _no_namespace(namespace: str, server: str) -> str:
    return (
        f"the namespace {namespace!r}, where the operator's lease is kept, is not there at {server}: "
        "`cpod install` makes it, or name another with --lease-namespace"
    )


class _JsonLines(logging.Formatter):
    """One JSON object a line, for programs that collect logs."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


def _log_to_stderr(form: str, level: str) -> None:
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonLines() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
