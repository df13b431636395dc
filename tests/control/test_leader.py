"""Leader election by a Lease: one leads, another follows when it may, and who does not lead changes nothing."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.api.resources import CONFIGMAPS, LEASES, Object, Resource
from cpod_jupyter.client.client import Client
from cpod_jupyter.client.connection import connect
from cpod_jupyter.control.leader import Elector, FencedApi, LeaseTimes, Place
from cpod_jupyter.control.passing import PassingApi
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.errors import ApiUnreachable

QUICK = LeaseTimes(lease=1.0, renew=0.6, retry=0.05)


def elector(api: Any, identity: str, times: LeaseTimes = QUICK) -> Elector:
    return Elector(api, Place("op", "default", identity), times)


def spec(api: LocalApi) -> dict[str, Any]:
    return dict(api.get(LEASES, "op", "default")["spec"])


class Away(PassingApi):
    """An API that can be told not to answer."""

    away = False

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        if self.away:
            raise ApiUnreachable("it does not answer")
        return super().get(resource, name, namespace)


def test_one_leads_and_the_other_follows_at_once_when_it_is_given_up(api: LocalApi) -> None:
    first, second = elector(api, "first"), elector(api, "second")
    assert first.try_once()
    assert not second.try_once()
    assert (first.leads, second.leads, second.holder) == (True, False, "first")
    acquired = spec(api)["acquireTime"]
    assert first.try_once()
    assert (spec(api)["acquireTime"], spec(api)["leaseDurationSeconds"]) == (acquired, 1)
    first.stop()
    assert spec(api)["holderIdentity"] == ""
    assert second.try_once()
    assert (spec(api)["holderIdentity"], spec(api)["leaseTransitions"]) == ("second", 1)
    second.stop()


def test_a_dead_leader_is_followed_when_its_lease_is_over_and_not_before(api: LocalApi, eventually: Any) -> None:
    dead, other = elector(api, "dead"), elector(api, "other")
    assert dead.try_once()
    other.start()
    eventually(lambda: other.leads, "the other leads", 10)
    assert not dead.leads
    assert not dead.try_once()
    assert dead.lost_to == "other"
    other.stop()


def test_who_held_it_before_its_crash_need_not_wait(api: LocalApi) -> None:
    assert elector(api, "engine", LeaseTimes()).try_once()
    assert elector(api, "engine", LeaseTimes()).try_once()
    assert spec(api)["leaseTransitions"] == 0


def test_a_leader_that_is_not_answered_stops_acting_and_goes_on_when_it_is(api: LocalApi, eventually: Any) -> None:
    remote = Away(api)
    leader = elector(remote, "leader")
    fenced = FencedApi(api, lambda: leader.leads)
    leader.start()
    eventually(lambda: leader.leads, "it leads")
    config_map = {"metadata": {"name": "made", "namespace": "default"}}
    fenced.create(CONFIGMAPS, config_map)
    remote.away = True
    eventually(lambda: not leader.leads, "it leads no more", 10)
    for change in (
        lambda: fenced.create(CONFIGMAPS, config_map),
        lambda: fenced.replace(CONFIGMAPS, config_map),
        lambda: fenced.patch(CONFIGMAPS, "made", {}, "default"),
        lambda: fenced.delete(CONFIGMAPS, "made", "default"),
    ):
        with pytest.raises(ApiUnreachable, match="does not lead now, and may not change any ConfigMap"):
            change()
    assert fenced.get(CONFIGMAPS, "made", "default")
    remote.away = False
    eventually(lambda: leader.leads, "it leads again")
    assert leader.lost_to == ""
    fenced.delete(CONFIGMAPS, "made", "default")
    leader.stop()


def test_a_server_that_takes_calls_and_never_answers_is_given_up_before_the_lease_is(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = tmp_path / "kubeconfig"
        cluster = {"server": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        contexts = [{"name": "c", "context": {"cluster": "c", "user": "u"}}]
        users = [{"name": "u", "user": {"token": "t"}}]
        clusters = [{"name": "c", "cluster": cluster}]
        document = {"clusters": clusters, "users": users, "contexts": contexts, "current-context": "c"}
        path.write_text(json.dumps(document))
        client = Client(connect(path), patience=0.2)
        candidate = elector(client, "waits")
        assert not candidate.try_once()
        assert not candidate.answered_within(60)
        client.close()


def test_of_many_that_stand_at_once_one_leads(api: LocalApi) -> None:
    standing = [elector(api, f"number-{number}", LeaseTimes()) for number in range(8)]
    barrier = threading.Barrier(len(standing))

    def stand(candidate: Elector) -> None:
        barrier.wait()
        candidate.try_once()

    threads = [threading.Thread(target=stand, args=(candidate,)) for candidate in standing]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(candidate.leads for candidate in standing) == 1


@pytest.mark.parametrize("times", [(10, 15, 2), (15, 10, 9), (0.5, 0.3, 0.1)], ids=["renewal", "retry", "short"])
def test_times_that_contradict_each_other_are_refused(times: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="the lease must hold at least a second"):
        LeaseTimes(*times)
