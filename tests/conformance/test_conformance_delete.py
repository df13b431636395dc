"""The delete path: finalizers, preconditions, propagation, collections, namespaces; and garbage collection."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conformance_api import Api, Definition, Json, Space, configmap, path, version, wait

Define = Callable[..., Definition]
FINALIZER = "conformance.example.com/hold"


def owner(obj: Json, **more: bool) -> list[Json]:
    """A reference to the object."""
    metadata = obj["metadata"]
    return [
        {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": metadata["name"], "uid": metadata["uid"], **more}
    ]


def release(api: Api, where: str) -> None:
    """Take the finalizers away."""
    assert api.patch(where, {"metadata": {"finalizers": None}}).status in (200, 404)


def test_a_deleted_object_is_gone_and_the_answer_tells_of_it(api: Api, space: Space) -> None:
    uid = space.configmap("a")["metadata"]["uid"]
    found = api.delete(space.path("configmaps", "a")).value
    assert (found["kind"], found["status"]) == ("Status", "Success")
    assert found["details"] == {"name": "a", "kind": "configmaps", "uid": uid}
    api.get(space.path("configmaps", "a")).refused(404, "NotFound")
    api.delete(space.path("configmaps", "a")).refused(404, "NotFound")


def test_the_deletion_of_a_service_account_answers_with_the_object(api: Api, space: Space) -> None:
    api.post(space.path("serviceaccounts"), {"metadata": {"name": "a"}}).done()
    found = api.delete(space.path("serviceaccounts", "a")).value
    assert (found["kind"], found["metadata"]["name"]) == ("ServiceAccount", "a")


def test_a_finalizer_holds_the_object_until_it_is_removed(api: Api, space: Space) -> None:
    created = space.configmap("a", finalizers=[FINALIZER])
    where = space.path("configmaps", "a")
    with api.watch(space.configmaps, resourceVersion=created["metadata"]["resourceVersion"]) as events:
        first = api.delete(where).value
        assert first["kind"] == "ConfigMap"
        metadata = events.event("MODIFIED")["object"]["metadata"]
        assert (metadata["deletionTimestamp"], metadata["deletionGracePeriodSeconds"]) == (
            first["metadata"]["deletionTimestamp"], 0,
        )  # fmt: skip
        assert api.delete(where).value["metadata"]["deletionTimestamp"] == metadata["deletionTimestamp"]
        release(api, where)
        gone = events.until(lambda event: event["type"] == "DELETED")["object"]["metadata"]
        assert int(gone["resourceVersion"]) > int(metadata["resourceVersion"])
    assert api.gone(where)


def test_no_new_finalizer_is_taken_while_an_object_is_being_deleted(api: Api, space: Space) -> None:
    space.configmap("a", finalizers=[FINALIZER])
    where = space.path("configmaps", "a")
    api.delete(where)
    more = {"metadata": {"finalizers": [FINALIZER, "conformance.example.com/more"]}}
    status = api.patch(where, more).refused(422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "metadata.finalizers"
    release(api, where)
    api.wait_gone(where)


def test_the_deletion_timestamp_cannot_be_taken_back(api: Api, space: Space) -> None:
    space.configmap("a", finalizers=[FINALIZER])
    where = space.path("configmaps", "a")
    api.delete(where)
    assert api.patch(where, {"metadata": {"deletionTimestamp": None}}).value["metadata"]["deletionTimestamp"]
    release(api, where)


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_a_precondition_that_fails_is_a_conflict(api: Api, space: Space, field: str) -> None:
    created = space.configmap("a")
    where = space.path("configmaps", "a")
    wrong = "1" if field == "resourceVersion" else "11111111-1111-1111-1111-111111111111"
    api.delete(where, {"preconditions": {field: wrong}}).refused(409, "Conflict")
    assert api.delete(where, {"preconditions": {field: created["metadata"][field]}}).status == 200


def test_an_unknown_propagation_policy_is_refused(api: Api, space: Space) -> None:
    space.configmap("a")
    assert api.delete(space.path("configmaps", "a"), {"propagationPolicy": "Sideways"}).status in (400, 422)
    assert api.get(space.path("configmaps", "a")).status == 200


def test_a_collection_is_deleted_by_selectors(api: Api, space: Space) -> None:
    for name in "abc":
        space.configmap(name, labels={"set": "x" if name != "c" else "y"})
    assert api.delete(space.configmaps, labelSelector="set=x", fieldSelector="metadata.name!=b").status == 200
    left = [item["metadata"]["name"] for item in api.get(space.configmaps, labelSelector="set").value["items"]]
    assert left == ["b", "c"]


def test_a_deleted_namespace_takes_its_contents_along(api: Api, space: Space) -> None:
    created = api.post(path("namespaces"), {"metadata": {"generateName": "conformance-"}}).value
    name = created["metadata"]["name"]
    held = path("configmaps", "held", space=name)
    api.post(path("configmaps", space=name), configmap("held", finalizers=[FINALIZER])).done()
    found = api.delete(path("namespaces", name)).value
    if found["kind"] == "Namespace":
        assert found["metadata"]["deletionTimestamp"]
    assert api.get(path("namespaces", name)).value["status"]["phase"] == "Terminating"
    status = api.post(path("configmaps", space=name), configmap("late")).refused(403, "Forbidden")
    assert "being terminated" in status["message"]
    wait(lambda: api.get(held).value["metadata"].get("deletionTimestamp"), "its contents are being deleted")
    release(api, held)
    api.wait_gone(path("namespaces", name))
    assert api.gone(held)


# ---- garbage collection


def test_dependents_follow_their_owner(api: Api, space: Space) -> None:
    parent = space.configmap("parent")
    space.configmap("child", ownerReferences=owner(parent))
    grandchild = owner(api.get(space.path("configmaps", "child")).value)
    space.configmap("grandchild", ownerReferences=grandchild)
    api.delete(space.path("configmaps", "parent"), {"propagationPolicy": "Background"}).done()
    for name in ("child", "grandchild"):
        api.wait_gone(space.path("configmaps", name))


def test_an_owner_is_known_by_its_uid_and_not_by_its_name(api: Api, space: Space) -> None:
    first = space.configmap("parent")
    api.delete(space.path("configmaps", "parent")).done()
    second = space.configmap("parent")
    space.configmap("stale", ownerReferences=owner(first))
    space.configmap("fresh", ownerReferences=owner(second))
    api.wait_gone(space.path("configmaps", "stale"))
    assert api.get(space.path("configmaps", "fresh")).status == 200


def test_a_dependent_stays_while_one_of_its_owners_does(api: Api, space: Space) -> None:
    one, two = space.configmap("one"), space.configmap("two")
    space.configmap("child", ownerReferences=[*owner(one), *owner(two)])
    space.configmap("marker", ownerReferences=owner(one))
    api.delete(space.path("configmaps", "one")).done()
    api.wait_gone(space.path("configmaps", "marker"))
    assert api.get(space.path("configmaps", "child")).status == 200
    api.delete(space.path("configmaps", "two")).done()
    api.wait_gone(space.path("configmaps", "child"))


def test_foreground_deletion_waits_for_the_dependents(api: Api, space: Space) -> None:
    parent = space.configmap("parent")
    reference = owner(parent, blockOwnerDeletion=True)
    space.configmap("child", ownerReferences=reference, finalizers=[FINALIZER])
    where, child = space.path("configmaps", "parent"), space.path("configmaps", "child")
    api.delete(where, {"propagationPolicy": "Foreground"}).done()
    assert "foregroundDeletion" in api.get(where).value["metadata"]["finalizers"]
    wait(lambda: api.get(child).value["metadata"].get("deletionTimestamp"), "the child is being deleted")
    assert api.get(where).status == 200
    release(api, child)
    api.wait_gone(where)
    assert api.gone(child)


@pytest.mark.parametrize(
    "options", [{"propagationPolicy": "Orphan"}, {"orphanDependents": True}], ids=["policy", "legacy"]
)
def test_orphans_lose_their_reference_and_stay(api: Api, space: Space, options: Json) -> None:
    parent = space.configmap("parent")
    space.configmap("child", ownerReferences=owner(parent))
    api.delete(space.path("configmaps", "parent"), options).done()
    api.wait_gone(space.path("configmaps", "parent"))
    assert not api.get(space.path("configmaps", "child")).value["metadata"].get("ownerReferences")


def test_the_policy_may_be_in_the_query(api: Api, space: Space) -> None:
    parent = space.configmap("parent")
    space.configmap("child", ownerReferences=owner(parent))
    api.delete(space.path("configmaps", "parent"), propagationPolicy="Orphan").done()
    api.wait_gone(space.path("configmaps", "parent"))
    assert api.get(space.path("configmaps", "child")).status == 200


def test_a_jobs_pods_follow_it(api: Api, space: Space) -> None:
    template = {
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "docker.io/library/busybox:1.37", "command": ["sleep", "60"]}],
        }
    }
    where = space.path("jobs", group="batch")
    api.post(where, {"metadata": {"name": "j"}, "spec": {"template": template}}).done()
    chosen = {"labelSelector": "batch.kubernetes.io/job-name=j"}
    wait(lambda: api.get(space.path("pods"), **chosen).value["items"], "the job has its pod")
    api.delete(f"{where}/j", {"propagationPolicy": "Background", "gracePeriodSeconds": 1}).done()
    wait(
        lambda: all(
            pod["metadata"].get("deletionTimestamp") for pod in api.get(space.path("pods"), **chosen).value["items"]
        ),
        "the pod follows",
    )


def test_custom_objects_own_and_are_owned(api: Api, space: Space, define: Define) -> None:
    found = define(version("v1"))
    parent = api.post(found.path(space.name), found.widget("parent")).value
    space.configmap("child", ownerReferences=owner(parent, controller=True))
    api.delete(found.path(space.name, "parent")).done()
    api.wait_gone(space.path("configmaps", "child"))
