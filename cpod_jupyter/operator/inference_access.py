"""Keeps an Inference's Ingress and web page as the settings want them, and takes them away when they no longer do."""

from __future__ import annotations

from contextlib import suppress

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import INGRESSES, Object, Resource
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Recorder
from cpod_jupyter.errors import NotFound
from cpod_jupyter.operator.builders import inference_access as build
from cpod_jupyter.operator.inference_status import EXPOSED, Said
from cpod_jupyter.operator.metadata import annotation
from cpod_jupyter.operator.objects import ensure_child, find, update_child
from cpod_jupyter.operator.settings import Settings


class Access:
    def __init__(self, api: KubeApi, settings: Settings, recorder: Recorder) -> None:
        self.api = api
        self.settings = settings
        self.recorder = recorder

    @property
    def enabled(self) -> bool:
        return self.settings.ingress or self.settings.web_ui

    def keep(self, inference: Object, upstream: build.Upstream, with_ui: bool) -> Said | None:
        """Make, change and remove. What to say of it; None where there is nothing, nor was there.

        Raises Refused when a name is taken, or the cluster does not accept an object.
        """
        if not self.enabled and not meta.is_true(inference, EXPOSED):
            return None
        wanted = build.wanted(inference, upstream, with_ui, self.settings)
        for resource, child in wanted:
            self._ensure(inference, resource, child)
        kept = {(resource, meta.name_of(child)) for resource, child in wanted}
        for resource, name in build.all_names(inference):
            if (resource, name) not in kept:
                self._remove(inference, resource, name)
        made = ", ".join(f"{resource.kind} {meta.name_of(child)}" for resource, child in wanted)
        return Said(bool(made), "Exposed" if made else "NotEnabled", made)

    def url(self, inference: Object) -> str:
        """Where the model answers from outside; empty when it does not, or nobody knows the address."""
        if not self.settings.ingress:
            return ""
        name = names.inference_ingress(meta.name_of(inference))
        ingress = find(self.api, INGRESSES, name, meta.namespace_of(inference))
        return build.external_url(inference, ingress, self.settings)

    def _ensure(self, inference: Object, resource: Resource, child: Object) -> None:
        given = child["metadata"].get("annotations") or {}
        mark = meta.spec_hash([child["spec"], given])
        child["metadata"]["annotations"] = {**given, names.ANNOTATION_SPEC_HASH: mark}
        found, created = ensure_child(self.api, resource, child, inference)
        what = f"{resource.kind} {meta.name_of(child)}"
        if created:
            self.recorder.normal(inference, "Exposed", f"{what} was made, as the operator's settings want it")
        elif annotation(found, names.ANNOTATION_SPEC_HASH) != mark:
            annotations = {**(found["metadata"].get("annotations") or {}), **child["metadata"]["annotations"]}
            metadata = {**found["metadata"], "annotations": annotations}
            spec = {**found["spec"], **child["spec"]}  # what the API server filled in, an address above all, stays
            update_child(self.api, resource, {**found, "metadata": metadata, "spec": spec})
            self.recorder.normal(inference, "Exposed", f"{what} follows the operator's settings")

    def _remove(self, inference: Object, resource: Resource, name: str) -> None:
        namespace = meta.namespace_of(inference)
        found = find(self.api, resource, name, namespace)
        if found is None or not meta.is_controlled_by(found, inference) or meta.is_going(found):
            return
        with suppress(NotFound):
            self.api.delete(resource, name, namespace, propagation="Background", uid=meta.uid_of(found))
        self.recorder.normal(inference, "Removed", f"{resource.kind} {name} is no longer wanted")
