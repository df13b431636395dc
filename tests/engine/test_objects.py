"""The verbs on objects, as the Kubernetes API server has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    CONFIGMAPS,
    CRDS,
    FINETUNES,
    JOBS,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICEACCOUNTS,
)  # fmt: skip
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Store
from cpod_jupyter.errors import AlreadyExists, BadRequest, Conflict, Expired, Invalid, NotFound


def configmap(name: str = "a", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "busybox", "command": ["true"]}]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": containers, **spec}}


def finetune(name: str = "tune", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"model": "m", "dataset": "d", **spec}}


def test_a_new_object_gets_uid_time_and_version_and_a_generation_where_its_kind_counts_them(api: LocalApi) -> None:
    metadata = api.create(CONFIGMAPS, configmap(key="value"))["metadata"]
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert "generation" not in metadata
    assert api.create(FINETUNES, finetune())["metadata"]["generation"] == 1
    assert int(metadata["resourceVersion"]) > 0


def test_a_name_that_is_taken_is_refused(api: LocalApi) -> None:
    api.create(CONFIGMAPS, configmap())
    with pytest.raises(AlreadyExists, match='configmaps "a" already exists'):
        api.create(CONFIGMAPS, configmap())


def test_a_name_is_made_from_generate_name(api: LocalApi) -> None:
    made = api.create(CONFIGMAPS, {"metadata": {"generateName": "run-", "namespace": "default"}})
    assert made["metadata"]["name"].startswith("run-")
    assert len(made["metadata"]["name"]) == len("run-") + 5


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "", "a" * 254])
def test_a_name_that_is_no_dns_name_is_refused(api: LocalApi, name: str) -> None:
    with pytest.raises(Invalid, match=r"metadata\.name"):
        api.create(CONFIGMAPS, configmap(name))


def test_a_namespace_that_is_not_there_is_said(api: LocalApi) -> None:
    with pytest.raises(NotFound, match='namespaces "nowhere" not found'):
        api.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "nowhere"}})


def test_every_namespace_has_a_default_service_account(api: LocalApi) -> None:
    api.create(NAMESPACES, {"metadata": {"name": "team"}})
    assert api.get(SERVICEACCOUNTS, "default", "team")


def test_a_stale_version_is_a_conflict(api: LocalApi) -> None:
    old = api.create(CONFIGMAPS, configmap(key="1"))
    api.patch(CONFIGMAPS, "a", {"data": {"key": "2"}}, "default")
    with pytest.raises(Conflict, match="has been modified"):
        api.replace(CONFIGMAPS, {**old, "data": {"key": "3"}})
    assert api.get(CONFIGMAPS, "a", "default")["data"] == {"key": "2"}


def test_a_write_that_changes_nothing_keeps_the_version(api: LocalApi) -> None:
    made = api.create(CONFIGMAPS, configmap(key="1"))
    again = api.patch(CONFIGMAPS, "a", {"data": {"key": "1"}}, "default")
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_the_generation_counts_changes_of_the_spec_alone(api: LocalApi) -> None:
    api.create(FINETUNES, finetune())
    labelled = api.patch(FINETUNES, "tune", {"metadata": {"labels": {"a": "b"}}}, "default")
    reported = api.patch(FINETUNES, "tune", {"status": {"phase": "Pending"}}, "default", subresource="status")
    edited = api.patch(FINETUNES, "tune", {"spec": {"gpuCount": 1}}, "default")
    generations = [item["metadata"]["generation"] for item in (labelled, reported, edited)]
    assert generations == [1, 1, 2]


def test_status_and_spec_are_written_apart(api: LocalApi) -> None:
    made = api.create(FINETUNES, {**finetune(), "status": {"phase": "Succeeded"}})
    assert "status" not in made
    api.patch(
        FINETUNES, "tune", {"status": {"phase": "Pending"}, "spec": {"gpuCount": 9}}, "default", subresource="status"
    )
    found = api.patch(FINETUNES, "tune", {"status": {"phase": "Failed"}, "spec": {"gpuCount": 2}}, "default")
    assert found["status"]["phase"] == "Pending"
    assert found["spec"]["gpuCount"] == 2


def test_defaults_are_filled_in_and_unknown_fields_dropped(api: LocalApi) -> None:
    made = api.create(FINETUNES, finetune(bogus=1))
    assert made["spec"]["finetuneType"] == "lora"
    assert made["spec"]["autoMerge"] is True
    assert "bogus" not in made["spec"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            {"gpuCount": "two"},
            'spec.gpuCount: Invalid value: "string": spec.gpuCount in body must be of type integer: "string"',
            id="type",
        ),
        pytest.param(
            {"gpuCount": -1},
            "spec.gpuCount: Invalid value: -1: spec.gpuCount in body should be greater than or equal to 0",
            id="minimum",
        ),
        pytest.param(
            {"finetuneType": "lorra"}, 'spec.finetuneType: Unsupported value: .* did you mean "lora"', id="enum"
        ),
        pytest.param(
            {"model": ""},
            'spec.model: Invalid value: "": spec.model in body should be at least 1 chars long',
            id="empty",
        ),
        pytest.param(
            {"hyperParameters": {"n_epochs": 3}},
            "spec.hyperParameters.n_epochs in body must be of type string",
            id="map",
        ),
    ],
)
def test_an_object_that_breaks_its_schema_is_refused_with_the_field(
    api: LocalApi, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(Invalid, match=message) as caught:
        api.create(FINETUNES, finetune(**spec))
    assert caught.value.details["causes"][0]["field"].startswith("spec.")
    assert api.list(FINETUNES).items == []


def test_a_missing_field_is_refused(api: LocalApi) -> None:
    with pytest.raises(Invalid, match=r"spec\.dataset: Required value"):
        api.create(FINETUNES, {"metadata": {"name": "tune", "namespace": "default"}, "spec": {"model": "m"}})


def test_strict_decoding_names_unknown_fields(objects: Objects) -> None:
    kind = objects.kinds.of(FINETUNES)
    with pytest.raises(BadRequest, match=r'unknown field "spec\.modle"'):
        objects.create(kind, "default", {"metadata": {"name": "x"}, "spec": {"modle": "m"}}, strict=True)


def test_a_dry_run_changes_nothing(objects: Objects, api: LocalApi) -> None:
    kind = objects.kinds.of(CONFIGMAPS)
    objects.create(kind, "default", {"metadata": {"name": "x"}}, dry_run=True)
    assert [item["metadata"]["name"] for item in api.list(CONFIGMAPS).items] == []
    api.create(CONFIGMAPS, configmap("y"))
    objects.delete(kind, "default", "y", dry_run=True)
    assert api.get(CONFIGMAPS, "y", "default")


def test_a_finalizer_holds_an_object_until_it_is_removed(api: LocalApi) -> None:
    made = configmap()
    made["metadata"]["finalizers"] = ["example.com/hold"]
    api.create(CONFIGMAPS, made)
    api.delete(CONFIGMAPS, "a", "default")
    held = api.get(CONFIGMAPS, "a", "default")
    assert held["metadata"]["deletionTimestamp"]
    with pytest.raises(Invalid, match="no new finalizers"):
        api.patch(CONFIGMAPS, "a", {"metadata": {"finalizers": ["example.com/hold", "example.com/late"]}}, "default")
    api.patch(CONFIGMAPS, "a", {"metadata": {"finalizers": None}}, "default")
    with pytest.raises(NotFound):
        api.get(CONFIGMAPS, "a", "default")


def test_only_the_object_with_the_uid_is_deleted(api: LocalApi) -> None:
    api.create(CONFIGMAPS, configmap())
    with pytest.raises(Conflict, match="Precondition failed"):
        api.delete(CONFIGMAPS, "a", "default", uid="another")
    assert api.get(CONFIGMAPS, "a", "default")


def test_a_bound_pod_stays_until_its_grace_is_over(api: LocalApi) -> None:
    api.create(PODS, pod())
    api.patch(PODS, "p", {"spec": {"nodeName": "here"}}, "default")
    api.delete(PODS, "p", "default")
    assert api.get(PODS, "p", "default")["metadata"]["deletionGracePeriodSeconds"] == 30
    api.delete(PODS, "p", "default", grace_seconds=0)
    with pytest.raises(NotFound):
        api.get(PODS, "p", "default")


def test_a_pod_that_no_node_has_goes_at_once(api: LocalApi) -> None:
    api.create(PODS, pod())
    api.delete(PODS, "p", "default")
    assert api.list(PODS).items == []


def test_a_pod_that_no_node_has_goes_in_the_foreground_too(api: LocalApi, eventually: Any) -> None:
    api.create(PODS, pod())
    api.delete(PODS, "p", "default", propagation="Foreground")
    eventually(lambda: api.list(PODS).items == [], "the pod is gone")


def test_a_pods_spec_is_fixed_but_for_its_binding(api: LocalApi) -> None:
    made = api.create(PODS, pod())
    assert made["status"]["phase"] == "Pending"
    assert made["spec"]["restartPolicy"] == "Always"
    api.patch(PODS, "p", {"spec": {"nodeName": "here"}}, "default")
    with pytest.raises(Invalid, match="may not change fields"):
        api.patch(PODS, "p", {"spec": {"nodeName": "there"}}, "default")


def test_a_secrets_plain_values_are_stored_encoded(api: LocalApi) -> None:
    made = api.create(SECRETS, {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"token": "abc"}})
    assert made["data"] == {"token": "YWJj"}
    assert "stringData" not in made


def test_a_size_limit_may_be_a_number(api: LocalApi) -> None:
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": 1024}}]
    assert api.create(PODS, pod(volumes=volumes))["spec"]["volumes"] == volumes


def test_a_job_gets_its_selector_and_labels(api: LocalApi) -> None:
    template = {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}
    made = api.create(JOBS, {"metadata": {"name": "j", "namespace": "default"}, "spec": {"template": template}})
    assert made["spec"]["backoffLimit"] == 6
    assert made["spec"]["template"]["metadata"]["labels"]["job-name"] == "j"


# ---- what goes with an owner


def test_dependents_go_when_their_owner_is_gone(api: LocalApi, eventually: Any) -> None:
    owner = api.create(FINETUNES, finetune())
    child = configmap("child")
    child["metadata"]["ownerReferences"] = [meta.owner_reference(owner)]
    api.create(CONFIGMAPS, child)
    api.delete(FINETUNES, "tune", "default")
    eventually(lambda: not api.list(CONFIGMAPS).items, "the child is collected")


def test_an_owner_is_known_by_uid_and_not_by_name(api: LocalApi, eventually: Any) -> None:
    owner = api.create(FINETUNES, finetune())
    child = configmap("child")
    child["metadata"]["ownerReferences"] = [{**meta.owner_reference(owner), "uid": "somebody-else"}]
    api.create(CONFIGMAPS, child)
    eventually(lambda: not api.list(CONFIGMAPS).items, "the stranger is collected")


def test_orphaned_dependents_stay(api: LocalApi, eventually: Any) -> None:
    owner = api.create(FINETUNES, finetune())
    child = configmap("child")
    child["metadata"]["ownerReferences"] = [meta.owner_reference(owner)]
    api.create(CONFIGMAPS, child)
    api.delete(FINETUNES, "tune", "default", propagation="Orphan")
    eventually(lambda: not api.list(FINETUNES).items, "the owner goes")
    assert "ownerReferences" not in api.get(CONFIGMAPS, "child", "default")["metadata"]


def test_foreground_deletion_waits_for_dependents(api: LocalApi, eventually: Any) -> None:
    owner = api.create(FINETUNES, finetune())
    child = configmap("child")
    child["metadata"] |= {"ownerReferences": [meta.owner_reference(owner)], "finalizers": ["example.com/hold"]}
    api.create(CONFIGMAPS, child)
    api.delete(FINETUNES, "tune", "default", propagation="Foreground")
    eventually(lambda: api.get(CONFIGMAPS, "child", "default")["metadata"].get("deletionTimestamp"), "the child ends")
    assert api.get(FINETUNES, "tune", "default")["metadata"]["deletionTimestamp"]
    api.patch(CONFIGMAPS, "child", {"metadata": {"finalizers": None}}, "default")
    eventually(lambda: not api.list(FINETUNES).items, "the owner goes last")


def test_a_namespace_goes_with_its_contents(api: LocalApi, eventually: Any) -> None:
    api.create(NAMESPACES, {"metadata": {"name": "team"}})
    api.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "team"}})
    api.delete(NAMESPACES, "team")
    eventually(lambda: "team" not in [item["metadata"]["name"] for item in api.list(NAMESPACES).items], "it is gone")
    assert api.list(CONFIGMAPS).items == []


def test_a_definition_goes_with_its_objects(api: LocalApi, objects: Objects, eventually: Any) -> None:
    api.create(FINETUNES, finetune())
    api.delete(CRDS, FINETUNES.qualified)
    eventually(lambda: objects.store.list("cpod.cpod/finetunes") == [], "the objects are gone")
    eventually(lambda: FINETUNES.qualified not in [meta.name_of(item) for item in api.list(CRDS).items], "it is gone")
    with pytest.raises(NotFound):
        api.list(FINETUNES)


# ---- history and survival


def test_a_watch_goes_on_from_a_version_without_loss(api: LocalApi) -> None:
    version = api.list(CONFIGMAPS).resource_version
    api.create(CONFIGMAPS, configmap(key="1"))
    api.patch(CONFIGMAPS, "a", {"data": {"key": "2"}}, "default")
    api.delete(CONFIGMAPS, "a", "default")
    events = api.watch(CONFIGMAPS, resource_version=version, timeout_seconds=30)
    seen = [next(events) for _ in range(3)]
    assert [event.type for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in seen]
    assert versions == sorted(set(versions))


def test_an_object_that_leaves_the_selection_is_deleted_to_its_watch(api: LocalApi) -> None:
    version = api.list(CONFIGMAPS).resource_version
    made = configmap()
    made["metadata"]["labels"] = {"app": "x"}
    api.create(CONFIGMAPS, made)
    api.patch(CONFIGMAPS, "a", {"metadata": {"labels": {"app": "y"}}}, "default")
    events = api.watch(CONFIGMAPS, resource_version=version, label_selector="app=x", timeout_seconds=30)
    assert [next(events).type for _ in range(2)] == ["ADDED", "DELETED"]


def test_a_version_that_is_no_longer_kept_is_expired(tmp_path: Path) -> None:
    store = Store(tmp_path / "db", history=1000)
    for number in range(3000):
        store.put(("/configmaps", "", "a"), {"metadata": {"name": "a"}, "n": number})
    with pytest.raises(Expired, match="too old resource version"):
        store.changes("/configmaps", 5)
    assert len(store.changes("/configmaps", 2990)) == 10
    store.close()


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "db")
    api = LocalApi(Objects(store, Kinds()))
    api.create(NAMESPACES, {"metadata": {"name": "default"}})
    made = api.create(CONFIGMAPS, configmap(key="1"))
    store.close()
    again = Store(tmp_path / "db")
    assert again.revision == store.revision
    found = LocalApi(Objects(again, Kinds())).get(CONFIGMAPS, "a", "default")
    assert found == made
    again.close()
