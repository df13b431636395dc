"""Where the server extension answers, below `cpod/`: REST for what is asked once, one socket for what goes on."""

from __future__ import annotations

from jupyter_server.utils import url_path_join
from tornado import web

from cpod_jupyter.jupyter.server import chat, cluster, objects, progress, stream, submitting
from cpod_jupyter.jupyter.server.base import RESOURCE
from cpod_jupyter.jupyter.server.log import handlers as log

ROUTES: dict[str, type[web.RequestHandler]] = {
    "cancel": objects.CancelHandler,
    "delete": objects.DeleteHandler,
    "rerun": objects.RerunHandler,
    "deploy": objects.DeployHandler,
    "events": objects.EventsHandler,
    "yaml": objects.YamlHandler,
    "logs": objects.LogsHandler,
    "log/window": log.WindowHandler,
    "log/find": log.FindHandler,
    "metrics": progress.MetricsHandler,
    "plan": progress.PlanHandler,
    "schema": submitting.SchemaHandler,
    "check": submitting.CheckHandler,
    "judge": submitting.JudgeHandler,
    "submit": submitting.SubmitHandler,
    "cell": submitting.CellHandler,
    "manifest": submitting.ManifestHandler,
    "version": cluster.VersionHandler,
    "contexts": cluster.ContextsHandler,
    "namespaces": cluster.NamespacesHandler,
    "gpus": cluster.GpusHandler,
    "models": cluster.ModelsHandler,
    "datasets": cluster.DatasetsHandler,
    "doctor": cluster.DoctorHandler,
    "engine": cluster.EngineHandler,
    "chat": chat.ChatHandler,
    "stream": stream.StreamHandler,
}


def handlers(base_url: str) -> list[tuple[str, type[web.RequestHandler]]]:
    """Where each of them answers."""
    return [(url_path_join(base_url, RESOURCE, path), handler) for path, handler in ROUTES.items()]
