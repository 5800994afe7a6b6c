"""`bind_pod` in what a whole manifest does not show; the manifests are in `tests/unit/pods`."""

from __future__ import annotations

import copy
import pickle

import pytest
from kubernetes.client import models as k8s

from airflow_sa_binding.binding.pod import bind_pod, build_variables, build_volume
from airflow_sa_binding.binding.resolve import Binding
from tests.unit.binding.samples import ADS_IDENTITY, ETL_IDENTITY, ETL_PATH, ETL_SECRET, manifest, pod

BINDING = Binding(identity=ETL_IDENTITY, containers=("base",), field="x")
OURS = {"name": ETL_SECRET, "mountPath": ETL_PATH, "readOnly": True}


def test_volume_is_the_secret_with_its_one_item() -> None:
    """The volume holds the key and nothing else that the Secret may hold."""
    assert build_volume(ETL_IDENTITY) == k8s.V1Volume(
        name=ETL_SECRET,
        secret=k8s.V1SecretVolumeSource(
            secret_name=ETL_SECRET,
            items=[k8s.V1KeyToPath(key="key.json", path="key.json")],
            default_mode=0o440,
        ),
    )


def test_variables_name_the_same_file() -> None:
    """Client libraries and gcloud are told the same file."""
    assert build_variables(ETL_IDENTITY) == {
        "GOOGLE_APPLICATION_CREDENTIALS": "/var/run/secrets/gcp/etl-fd6d6038/key.json",
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": "/var/run/secrets/gcp/etl-fd6d6038/key.json",
    }


def test_input_stays_as_it_is() -> None:
    """The pod that is passed in is not changed, at any depth."""
    given = pod("base", "sidecar", init=("init",), volumes=[k8s.V1Volume(name="data")])
    before = copy.deepcopy(given)

    bind_pod(given, (Binding(identity=ETL_IDENTITY, containers=("*",), field="x"),))

    assert given == before


def test_pod_without_bindings_is_handed_back() -> None:
    """Nothing is copied for a pod that gets nothing."""
    given = pod()

    assert bind_pod(given, ()) is given


def test_forged_decision_is_taken_off_an_unbound_pod() -> None:
    """A pod that gets nothing does not claim to have been given something."""
    given = pod()
    given.metadata.annotations = {"airflow-sa-binding/applied": "{}", "mine": "x"}

    bound = bind_pod(given, ())

    assert bound.metadata.annotations == {"mine": "x"}
    assert given.metadata.annotations == {"airflow-sa-binding/applied": "{}", "mine": "x"}


def test_pod_without_metadata() -> None:
    """A pod without metadata gets what it needs for its annotations."""
    given = pod()
    given.metadata = None

    bound = bind_pod(given, (BINDING,))

    assert sorted(bound.metadata.annotations) == [
        "airflow-sa-binding/applied",
        "iam.cloud.google.com/service-account",
    ]


def test_one_account_in_two_bindings_keeps_env_and_mount_together() -> None:
    """The second binding of an account does not take the mount away that the first has made."""
    bindings = (BINDING, Binding(identity=ETL_IDENTITY, containers=("sidecar",), field="x"))

    sent = manifest(bind_pod(pod("base", "sidecar", "other"), bindings))

    assert [container.get("volumeMounts") for container in sent["spec"]["containers"]] == [
        [OURS],
        [OURS],
        None,
    ]
    assert [len(container.get("env", ())) for container in sent["spec"]["containers"]] == [2, 2, 0]


def test_one_account_in_two_bindings_is_idempotent() -> None:
    """Binding such a pod again changes nothing."""
    bindings = (BINDING, Binding(identity=ETL_IDENTITY, containers=("sidecar",), field="x"))
    once = bind_pod(pod("base", "sidecar"), bindings)

    assert manifest(bind_pod(once, bindings)) == manifest(once)


def test_doubled_names_are_reduced_to_one() -> None:
    """Of variables, mounts and volumes that a template sets twice, ours alone is left, where the first stood."""
    given = pod(
        volumes=[k8s.V1Volume(name=ETL_SECRET), k8s.V1Volume(name="data"), k8s.V1Volume(name=ETL_SECRET)],
    )
    given.spec.containers[0].env = [
        k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value="/a"),
        k8s.V1EnvVar(name="A", value="1"),
        k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value="/b"),
    ]
    given.spec.containers[0].volume_mounts = [
        k8s.V1VolumeMount(name="data", mount_path=ETL_PATH + "/below"),
        k8s.V1VolumeMount(name="data", mount_path="/data"),
        k8s.V1VolumeMount(name=ETL_SECRET, mount_path="/elsewhere"),
    ]

    bound = bind_pod(given, (BINDING,))

    assert [(one.name, one.value) for one in bound.spec.containers[0].env] == [
        ("GOOGLE_APPLICATION_CREDENTIALS", f"{ETL_PATH}/key.json"),
        ("A", "1"),
        ("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", f"{ETL_PATH}/key.json"),
    ]
    assert [one.mount_path for one in bound.spec.containers[0].volume_mounts] == [ETL_PATH, "/data"]
    assert [one.name for one in bound.spec.volumes] == [ETL_SECRET, "data"]


def test_bound_pod_can_be_pickled() -> None:
    """Nothing in a bound pod keeps it from being sent to another process."""
    bound = bind_pod(pod(), (BINDING,))

    assert manifest(pickle.loads(pickle.dumps(bound))) == manifest(bound)  # noqa: S301


@pytest.mark.parametrize("mount_path", ["/var/run/secrets/gcp/ads-a2a90470", "/data"])
def test_volume_of_another_identity_is_taken_from_containers_without_it(mount_path: str) -> None:
    """With two identities in a pod, no container is left with the other's volume."""
    given = pod("base", "sidecar")
    given.spec.containers[0].volume_mounts = [
        k8s.V1VolumeMount(name="gcp-sa-ads-a2a90470", mount_path=mount_path),
        k8s.V1VolumeMount(name="data", mount_path="/other"),
    ]

    sent = manifest(
        bind_pod(given, (BINDING, Binding(identity=ADS_IDENTITY, containers=("sidecar",), field="x")))
    )

    assert sent["spec"]["containers"][0]["volumeMounts"] == [{"name": "data", "mountPath": "/other"}, OURS]
