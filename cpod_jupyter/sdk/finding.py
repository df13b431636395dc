"""What there is in a namespace, found by its name, its kind or all together: the half of a Session that only reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import DATASETSTORAGES, INFERENCES, MODELSTORAGES, Object, Resource
from cpod_jupyter.errors import ApiError, ApiUnreachable, CpodError, NotFound
from cpod_jupyter.sdk.deployment import Deployment
from cpod_jupyter.sdk.handles import Handle, Job, Storage
from cpod_jupyter.sdk.kinds import PARTS, RUN_ONCE, WORDS, claims, forms_of, resource_of, word_of
from cpod_jupyter.sdk.listing import Listing
from cpod_jupyter.sdk.pods import Family, whole

if TYPE_CHECKING:
    from cpod_jupyter.client.client import Client

T = TypeVar("T")

_AT_ONCE = 6
"""Kinds that are asked for at once: a far cluster answers each in a tenth of a second."""


class Finder(ABC):
    """Finds objects of one namespace, as handles and lists."""

    namespace: str

    @property
    @abstractmethod
    def client(self) -> Client:
        """The Kubernetes API client."""

    @abstractmethod
    def _schema(self, resource: Resource) -> Mapping[str, Any]:
        """What the server takes of a kind. Raises CpodError for one that it does not serve."""

    def get(self, kind: str | Resource, name: str) -> Handle:
        """The handle of one object. Raises NotFound."""
        found, absent = [], []
        for resource in self._forms(kind):
            try:
                obj = self.client.get(resource, name, self.namespace)
            except NotFound as error:
                absent.append(error)
                continue
            found.append(handle_for(self.client, whole(obj, resource), resource))
        if not found:
            raise absent[0]
        return next((handle for handle in found if claims(handle.resource, handle.object)), found[0])

    def kind(self, word: str) -> Resource:
        """The kind that a word means, in the group and version that this API serves. Raises CpodError."""
        forms = forms_of(resource_of(word))
        if len(forms) == 1:
            return forms[0]
        return next((resource for resource in forms if self._serves(resource)), forms[0])

    def _serves(self, resource: Resource) -> bool:
        try:
            self._schema(resource)
        except CpodError:
            return False
        return True

    @staticmethod
    def _forms(kind: str | Resource) -> tuple[Resource, ...]:
        """A kind given by a word in all its groups and versions; a resource as it is."""
        return forms_of(resource_of(kind)) if isinstance(kind, str) else (kind,)

    def find(self, name: str) -> Handle:
        """The handle of an object by its name alone, or by `kind/name`.

        Raises CpodError when there is none, or several of different kinds.
        """
        if "/" in name:
            word, name = name.split("/", 1)
            return self.get(word, name)
        found, unread = [], []
        answers: Sequence[Handle | CpodError] = self._asked(lambda word: self.get(word, name))
        for word, answer in zip(WORDS, answers, strict=True):
            if isinstance(answer, Handle):
                found.append(answer)
            elif not isinstance(answer, NotFound):
                unread.append(f"{word} cannot be read: {answer}")
        # A CPodJob and the PyTorchJob that it made have one name; the person means the former.
        named = [handle for handle in found if not is_part(handle.object)] or found
        if not named:
            more = f" ({'; '.join(unread)})" if unread else ""
            raise NotFound(
                f'there is no model, dataset, finetune, job, inference or training job named "{name}" in namespace '
                f"{self.namespace}; %cpod ls (or cpod ls) shows what there is{more}"
            )
        if len(named) > 1:
            listed = " or ".join(f"{word_of(handle.resource)}/{name}" for handle in named)
            raise CpodError(f'"{name}" names several objects: say {listed}')
        return named[0]

    def find_all(self, names: Sequence[str]) -> list[Handle]:
        """The handles of several names; the first may be a kind that the others are of: `model a b`."""
        try:
            kind = resource_of(names[0]) if len(names) > 1 else None
        except CpodError:
            kind = None
        return [self.get(names[0], name) for name in names[1:]] if kind else [self.find(name) for name in names]

    def list(self, kind: str | Resource) -> list[Handle]:
        """The handles of all objects of a kind in the namespace."""
        found: dict[str, Handle] = {}
        forms, absent = self._forms(kind), []
        for resource in forms:  # several may serve the same objects: each counts in its own
            try:
                items = self.client.list(resource, self.namespace if resource.namespaced else None).items
            except NotFound as error:
                absent.append(error)
                continue
            for item in items:
                if meta.uid_of(item) not in found or claims(resource, item):
                    found[meta.uid_of(item)] = handle_for(self.client, whole(item, resource), resource)
        if len(absent) == len(forms):
            raise absent[0]
        return list(found.values())

    def ls(self, kind: str | Resource | None = None) -> Listing:
        """What there is in the namespace: all our kinds, or one. Kinds that the API does not serve are left out, and
        one that cannot be listed is told of beside the others."""
        if kind is not None:
            return Listing([handle.object for handle in self.list(kind)], self.namespace)
        found: list[Object] = []
        unread: dict[str, CpodError] = {}
        answers: Sequence[Sequence[Handle] | CpodError] = self._asked(self.list)
        for word, answer in zip(WORDS, answers, strict=True):
            if not isinstance(answer, CpodError):
                found += [handle.object for handle in answer]
            elif not isinstance(answer, NotFound):
                unread[word] = answer
        if len(unread) == len(WORDS):
            raise next(iter(unread.values()))
        notes = [f"{word}: {error}" for word, error in unread.items()]
        return Listing([obj for obj in found if not is_part(obj)], self.namespace, notes)

    @staticmethod
    def _asked(ask: Callable[[str], T]) -> Sequence[T | CpodError]:
        """What comes of asking for each kind, several at a time: an answer, or the error."""

        def one(word: str) -> T | CpodError:
            try:
                return ask(word)
            except (ApiError, ApiUnreachable) as error:
                return error

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cpod-kinds") as pool:
            return list(pool.map(one, WORDS))

    def delete(self, kind: str | Resource, name: str) -> None:
        """Delete an object and what was made for it; returns when it is gone. Raises NotFound."""
        self.get(kind, name).delete()

    def family(self, handle: Handle) -> Family:
        """An object with all that was made for it."""
        return Family.read(self.client, handle.resource, handle.name, handle.namespace)


def is_part(obj: Object) -> bool:
    """Whether a job is a part of another object, which is what the person submitted."""
    return obj["kind"] in PARTS and meta.controller_of(obj) is not None


def handle_for(client: Client, obj: Object, resource: Resource) -> Handle:
    """The handle that fits an object's kind."""
    if resource in (MODELSTORAGES, DATASETSTORAGES):
        return Storage(client, obj, resource)
    if resource in RUN_ONCE:
        return Job(client, obj, resource)
    return (Deployment if resource == INFERENCES else Handle)(client, obj, resource)
