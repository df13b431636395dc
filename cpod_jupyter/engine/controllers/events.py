"""Events are news: after a day nobody asks for them, and they would grow without end."""

from __future__ import annotations

import datetime as dt

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import EVENTS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, to_itself
from cpod_jupyter.errors import NotFound

LIFETIME = dt.timedelta(hours=24)
"""Since an event was last seen. The API server's default is an hour; here a night's work is read in the morning."""


def last_seen(event: Object) -> str:
    """When an event last happened: its series', its own, else its object's time."""
    series = (event.get("series") or {}).get("lastObservedTime")
    found = series or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return str(found)


def event_controller(api: KubeApi, lifetime: dt.timedelta = LIFETIME) -> Controller:
    """Deletes events that were last seen longer ago than their lifetime."""

    def reconcile(key: Key) -> float | None:
        try:
            event = api.get(EVENTS, key.name, key.namespace)
        except NotFound:
            return None
        left = (meta.parse_time(last_seen(event)) + lifetime - dt.datetime.now(dt.UTC)).total_seconds()
        if left > 0:
            return left + 1
        try:
            api.delete(EVENTS, key.name, key.namespace, uid=meta.uid_of(event))
        except NotFound:
            return None
        return None

    return Controller("event-expiry", reconcile, {EVENTS: to_itself})
