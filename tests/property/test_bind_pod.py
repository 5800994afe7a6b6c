"""What holds for every pod and every request: see `strategies` for what is drawn."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given

from airflow_sa_binding.binding.decide import bind_operator_pod, bind_task_pod
from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.forgery import Task
from airflow_sa_binding.binding.pod import bind_pod
from airflow_sa_binding.binding.request import Request, parse_annotations
from airflow_sa_binding.binding.resolve import Binding, resolve
from tests.property.strategies import (
    PATHS,
    SECRETS,
    SETTINGS,
    VARIABLES,
    VOLUMES,
    build_pod,
    cases,
    container_names,
    manifests,
    send,
    thoroughly,
    widely,
)

TASK = Task(dag_id="sales", task_id="load", run_id="r", try_number=1, map_index=-1)
OUR_ANNOTATIONS = (
    "iam.cloud.google.com/service-account",
    "airflow-sa-binding/containers",
    "airflow-sa-binding/applied",
)


def bindings_of(request: Request) -> tuple[Binding, ...]:
    """Return the bindings that a request becomes."""
    return resolve(request, SETTINGS)


def owners(manifest: dict[str, Any], request: Request) -> dict[str, str]:
    """Return which account each container is to have, for those that are to have one."""
    return {
        name: one.name
        for one in request.identities
        for name in (container_names(manifest) if one.containers == ("*",) else one.containers)
    }


def containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all containers of a manifest."""
    return [*manifest["spec"]["containers"], *manifest["spec"].get("initContainers", ())]


def without(mapping: dict[str, Any], *fields: str) -> dict[str, Any]:
    """Return a mapping without some of its fields."""
    return {name: value for name, value in mapping.items() if name not in fields}


def is_ours(path: str, account: str) -> bool:
    """Tell whether a mount path of the strategies lies on or below an account's, by the ways they spell it."""
    spelled = path if path.startswith("/var/") else f"/var{path}"
    spelled = spelled.replace("/var/lib/../run/./secrets//gcp", "/var/run/secrets/gcp")
    return spelled == PATHS[account] or spelled.startswith(PATHS[account] + "/")


@thoroughly
@given(cases())
def test_binding_twice_equals_once(case: tuple[dict[str, Any], Request]) -> None:
    """A bound pod that is bound again stays as it is."""
    manifest, request = case
    once = bind_pod(build_pod(manifest), bindings_of(request))

    assert send(bind_pod(once, bindings_of(request))) == send(once)


@thoroughly
@given(cases())
def test_input_is_untouched(case: tuple[dict[str, Any], Request]) -> None:
    """The pod that comes in is the same afterwards, at any depth."""
    manifest, request = case
    pod = build_pod(manifest)
    before = copy.deepcopy(pod)

    bind_pod(pod, bindings_of(request))

    assert pod.to_dict() == before.to_dict()


@thoroughly
@given(cases())
def test_unrelated_parts_are_equal(case: tuple[dict[str, Any], Request]) -> None:
    """Everything but our annotations, volumes, mounts and variables is as it was, in the same order."""
    manifest, request = case
    given_pod = send(build_pod(manifest))
    held = owners(manifest, request)
    our_volumes = {VOLUMES[account] for account in held.values()}

    bound = send(bind_pod(build_pod(manifest), bindings_of(request)))

    assert without(bound, "metadata", "spec") == without(given_pod, "metadata", "spec")
    assert without(bound["metadata"], "annotations") == without(given_pod["metadata"], "annotations")
    assert without(bound["metadata"].get("annotations", {}), *OUR_ANNOTATIONS) == without(
        given_pod["metadata"].get("annotations", {}), *OUR_ANNOTATIONS
    )
    changed = ("containers", "initContainers", "volumes")
    assert without(bound["spec"], *changed) == without(given_pod["spec"], *changed)
    assert [one for one in bound["spec"].get("volumes", ()) if one["name"] not in our_volumes] == [
        one for one in given_pod["spec"].get("volumes", ()) if one["name"] not in our_volumes
    ]
    assert container_names(bound) == container_names(given_pod)
    for after, before in zip(containers(bound), containers(given_pod), strict=True):
        account = held.get(after["name"])
        assert without(after, "env", "volumeMounts") == without(before, "env", "volumeMounts")
        assert [
            one for one in after.get("volumeMounts", ()) if not _is_reserved(one, our_volumes, account)
        ] == [one for one in before.get("volumeMounts", ()) if not _is_reserved(one, our_volumes, account)]
        if account is None:
            assert after.get("env") == before.get("env")
            continue
        kept = [one for one in before.get("env", ()) if one["name"] not in VARIABLES]
        added = []
        if account == "ads@acme.iam.gserviceaccount.com" and all(
            one["name"] != "GOOGLE_CLOUD_PROJECT" for one in kept
        ):
            added = [{"name": "GOOGLE_CLOUD_PROJECT", "value": "acme"}]
        assert [one for one in after["env"] if one["name"] not in VARIABLES] == kept + added


def _is_reserved(mount: dict[str, Any], our_volumes: set[str], account: str | None) -> bool:
    return mount["name"] in our_volumes or (account is not None and is_ours(mount["mountPath"], account))


@widely
@given(cases())
def test_env_mount_and_volume_are_one(case: tuple[dict[str, Any], Request]) -> None:
    """A container that is to have an account has its variables and mount once each, and no other's; else none."""
    manifest, request = case
    held = owners(manifest, request)
    our_volumes = {VOLUMES[account] for account in held.values()}

    bound = send(bind_pod(build_pod(manifest), bindings_of(request)))

    for container in containers(bound):
        account = held.get(container["name"])
        mounts = [one for one in container.get("volumeMounts", ()) if _is_reserved(one, our_volumes, account)]
        if account is None:
            assert mounts == []
            continue
        assert mounts == [{"name": VOLUMES[account], "mountPath": PATHS[account], "readOnly": True}]
        assert sorted(
            (one["name"], one.get("value"), "valueFrom" in one)
            for one in container["env"]
            if one["name"] in VARIABLES
        ) == sorted((name, f"{PATHS[account]}/key.json", False) for name in VARIABLES)
    for account in set(held.values()):
        assert [one for one in bound["spec"]["volumes"] if one["name"] == VOLUMES[account]] == [
            {
                "name": VOLUMES[account],
                "secret": {
                    "secretName": SECRETS[account],
                    "defaultMode": 0o400 if account == "vault@acme.iam.gserviceaccount.com" else 0o440,
                    "items": [{"key": "key.json", "path": "key.json"}],
                },
            }
        ]


@widely
@given(cases())
def test_bound_pod_asks_for_what_it_was_given(case: tuple[dict[str, Any], Request]) -> None:
    """The annotations of a bound pod read back as the request."""
    manifest, request = case

    bound = bind_pod(build_pod(manifest), bindings_of(request))

    assert parse_annotations(bound.metadata.annotations) == request


@widely
@given(cases())
def test_no_pod_comes_out_that_trespasses(case: tuple[dict[str, Any], Request]) -> None:
    """Of every pod that is not refused, the managed Secrets are named by the volumes of its own bindings alone."""
    manifest, request = case
    held = owners(manifest, request)
    config = {
        "gcp-service-account": [
            {"name": one.name, "containers": one.containers} for one in request.identities
        ]
    }
    try:
        bound = bind_task_pod(
            build_pod(manifest), override=None, executor_config=config, task=TASK, settings=SETTINGS
        )
    except Refused:
        return

    spec = send(bound.pod)["spec"]
    spec["volumes"] = [one for one in spec["volumes"] if one["name"] not in map(VOLUMES.get, held.values())]

    assert _secrets_named(spec) & {*SECRETS.values(), "gcp-sa-gone-0123abcd"} == set()


@widely
@given(manifests())
def test_no_pod_without_identity_trespasses(manifest: dict[str, Any]) -> None:
    """A pod that asks for nothing is handed back as it is, without `applied`, or refused."""
    pod = build_pod(manifest)
    try:
        bound = bind_operator_pod(pod, SETTINGS)
    except Refused:
        assert _secrets_named(manifest["spec"]) & {*SECRETS.values(), "gcp-sa-gone-0123abcd"}
        return

    expected = send(pod)
    expected["metadata"].get("annotations", {}).pop("airflow-sa-binding/applied", None)
    assert send(bound.pod) == expected
    assert _secrets_named(manifest["spec"]) & {*SECRETS.values(), "gcp-sa-gone-0123abcd"} == set()


@widely
@given(cases())
def test_hook_never_changes_a_bound_pod(case: tuple[dict[str, Any], Request]) -> None:
    """The hook leaves a bound pod as it is, unless it refuses what a template brought."""
    manifest, request = case
    bound = bind_pod(build_pod(manifest), bindings_of(request))

    try:
        again = bind_operator_pod(bound, SETTINGS)
    except Refused as refused:
        problem = refused.problem.problem
    else:
        problem = ""

    assert problem.startswith(("hides the credentials", "names a Secret")) or send(again.pod) == send(bound)


def _secrets_named(value: Any, *, within: str = "") -> set[str]:
    """Collect every string of a manifest but the names of volumes and mounts."""
    if isinstance(value, dict):
        return {
            found
            for key, entry in value.items()
            if not (key == "name" and within in {"volumes", "volumeMounts"})
            for found in _secrets_named(entry, within=key)
        }
    if isinstance(value, list):
        return {found for entry in value for found in _secrets_named(entry, within=within)}
    return {value} if isinstance(value, str) else set()
