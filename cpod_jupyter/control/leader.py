"""One of several that are alike acts at a time: leader election by a Lease, and a fence around writes.

The algorithm and its times are client-go's (package tools/leaderelection): a candidate takes the lease when nobody
holds it, or when its record has not changed for the duration that it names, as this candidate saw it. So nobody's
clock need agree with anybody else's. A leader that could not renew for `renew_seconds` stops acting before anyone
else may begin.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api.resources import LEASES, Object, Resource
from cpod_jupyter.control.api import KubeApi, Propagation
from cpod_jupyter.control.passing import PassingApi
from cpod_jupyter.errors import AlreadyExists, ApiError, ApiUnreachable, Conflict, NotFound

log = logging.getLogger(__name__)

_RELEASED_SECONDS = 1
"""The duration in a lease that was given up."""


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds. Raises ValueError where they contradict each other."""

    lease: float = 15.0
    """How long a record holds after it was last seen to change."""
    renew: float = 10.0
    """How long a leader acts on after its last renewal."""
    retry: float = 2.0
    """The time between two tries."""

    def __post_init__(self) -> None:
        if not (self.lease >= 1 and self.lease > self.renew > self.retry * 1.2 > 0):
            raise ValueError("the lease must hold at least a second, longer than a leader acts without a renewal, and "
                             "that longer than 1.2 times the time between two tries")  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where the lease is, and who stands for it."""

    name: str
    namespace: str
    identity: str


def own_identity() -> str:
    """One that no other process has: `HOST_UUID`, as client-go's users have it."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class Elector:
    """Stands for a lease, in a thread of its own, and keeps it. Safe to ask from any thread."""

    def __init__(self, api: KubeApi, place: Place, times: LeaseTimes | None = None) -> None:
        self.place = place
        self.times = times or LeaseTimes()
        self._api = api
        self._seen: tuple[Any, ...] = ()
        self._seen_at = 0.0
        self._seen_holder = ""
        self._renewed_at: float | None = None
        self._answered_at: float | None = None
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    # ---- asked from outside

    @property
    def leads(self) -> bool:
        """Whether this one may act now."""
        renewed = self._renewed_at
        return renewed is not None and time.monotonic() - renewed < self.times.renew

    @property
    def holder(self) -> str:
        """Who held the lease when it was last read; empty when nobody did."""
        return self._seen_holder

    @property
    def lost_to(self) -> str:
        """Who else holds the lease; empty while nobody is seen to, or this one does."""
        return self._seen_holder if self._seen_holder != self.place.identity else ""

    @property
    def runs(self) -> bool:
        """Whether its thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def answered_within(self, seconds: float) -> bool:
        """Whether the API server answered a try in that time."""
        answered = self._answered_at
        return answered is not None and time.monotonic() - answered < seconds

    def wake(self) -> None:
        """Have those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, condition: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait for what a try may change; whether it came to be so."""
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    # ---- its thread

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="leader-election", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop standing, and give the lease up, so that another need not wait for its end."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(self.times.renew)
        was_leading, self._renewed_at = self.leads, None
        if was_leading:
            self._release()
        self.wake()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.try_once()
            self._stopped.wait(self.times.retry * (1.0 if self.leads else random.uniform(1.0, 1.2)))

    def try_once(self) -> bool:
        """Take or renew the lease, if that may be; whether it is held now. Never raises: it tries again."""
        led = self.leads
        try:
            held = self._take_or_renew()
            self._answered_at = time.monotonic()
        except (Conflict, AlreadyExists):  # somebody else was quicker
            held = False
            self._answered_at = time.monotonic()
        except (ApiUnreachable, ApiError) as error:
            held = False
            log.warning("the lease %s/%s cannot be renewed: %s", self.place.namespace, self.place.name, error)
        if held and not led:
            log.info("%s leads now, by the lease %s/%s", self.place.identity, self.place.namespace, self.place.name)
        self.wake()
        return held

    def _take_or_renew(self) -> bool:
        began = time.monotonic()
        try:
            lease = self._api.get(LEASES, self.place.name, self.place.namespace)
        except NotFound:
            lease = None
        if lease is None:
            metadata = {"name": self.place.name, "namespace": self.place.namespace}
            lease = self._api.create(LEASES, {"metadata": metadata, "spec": self._record({})})
        else:
            spec = lease.get("spec") or {}
            self._observe(spec)
            if self._is_held_by_another(spec):
                if self._renewed_at is not None:
                    log.error("the lease %s/%s was lost to %s", self.place.namespace, self.place.name, self.holder)
                    self._renewed_at = None
                return False
            lease = self._api.replace(LEASES, {**lease, "spec": self._record(spec)})
        self._observe(lease["spec"])
        self._renewed_at = began
        return True

    def _observe(self, spec: Object) -> None:
        seen = tuple(spec.get(name) for name in ("holderIdentity", "renewTime", "acquireTime", "leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        self._seen_holder = str(spec.get("holderIdentity") or "")

    def _is_held_by_another(self, spec: Object) -> bool:
        if self._seen_holder in ("", self.place.identity):
            return False
        return time.monotonic() - self._seen_at < float(spec.get("leaseDurationSeconds") or 0)

    def _record(self, old: Object) -> Object:
        stamp = _micro_time()
        mine = old.get("holderIdentity") == self.place.identity
        transitions = int(old.get("leaseTransitions") or 0)
        return {
            "holderIdentity": self.place.identity,
            "leaseDurationSeconds": max(1, round(self.times.lease)),
            "acquireTime": old.get("acquireTime") or stamp if mine else stamp,
            "renewTime": stamp,
            "leaseTransitions": transitions if mine or not old else transitions + 1,
        }

    def _release(self) -> None:
        try:
            lease = self._api.get(LEASES, self.place.name, self.place.namespace)
            if (lease.get("spec") or {}).get("holderIdentity") == self.place.identity:
                given_up = {"holderIdentity": "", "leaseDurationSeconds": _RELEASED_SECONDS, "renewTime": _micro_time()}
                self._api.replace(LEASES, {**lease, "spec": {**lease["spec"], **given_up}})
        except (ApiUnreachable, ApiError) as error:
            log.warning("the lease could not be given up, and ends by itself: %s", error)


def _micro_time() -> str:
    """MicroTime: RFC 3339 with six digits of a second."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class FencedApi(PassingApi):
    """Writes go through only while somebody says so: whoever does not lead changes nothing."""

    def __init__(self, api: KubeApi, may_write: Callable[[], bool]) -> None:
        super().__init__(api)
        self._may_write = may_write

    def _check(self, resource: Resource) -> None:
        if not self._may_write():
            raise ApiUnreachable(f"this operator does not lead now, and may not change any {resource.kind}")

    def create(self, resource: Resource, obj: Object) -> Object:
        self._check(resource)
        return super().create(resource, obj)

    def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        self._check(resource)
        return super().replace(resource, obj, subresource=subresource)

    def patch(
        self,
        resource: Resource,
        name: str,
        patch: dict[str, Any],
        namespace: str | None = None,
        *,
        subresource: str = "",
    ) -> Object:
        self._check(resource)
        return super().patch(resource, name, patch, namespace, subresource=subresource)

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> None:
        self._check(resource)
        super().delete(resource, name, namespace, propagation=propagation, grace_seconds=grace_seconds, uid=uid)
