"""What an author's part of a pod may not say beside an identity."""

from __future__ import annotations

import pytest
from kubernetes.client import models as k8s

from airflow_sa_binding.binding.contradictions import refuse_contradictions, require_containers
from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.pod import bind_pod
from airflow_sa_binding.binding.resolve import Binding
from tests.unit.binding.samples import (
    ADS_IDENTITY,
    ADS_PATH,
    ETL_IDENTITY,
    ETL_PATH,
    ETL_SECRET,
    override,
    pod,
)

KEY = 'executor_config["gcp-service-account"]'
BINDING = Binding(identity=ETL_IDENTITY, containers=("base",), field=KEY)
MOUNT = "pod_override.spec.containers[0].volumeMounts[0]"
ETL = "etl@acme.iam.gserviceaccount.com"


def contradict(author: k8s.V1Pod | None, whole: k8s.V1Pod | None = None, *bindings: Binding) -> None:
    """Check an override of a pod that is about to get an identity in `base`."""
    refuse_contradictions(author, whole or pod("base", "sidecar"), bindings or (BINDING,), "pod_override")


def refusal(author: k8s.V1Pod, whole: k8s.V1Pod | None = None, *bindings: Binding) -> str:
    """Return the message with which an override is refused."""
    with pytest.raises(Refused) as caught:
        contradict(author, whole, *bindings)
    return str(caught.value)


def mount(path: str, name: str = "data", **fields: object) -> k8s.V1VolumeMount:
    """Build a mount."""
    return k8s.V1VolumeMount(name=name, mount_path=path, **fields)


# --- containers


def container_refusal(whole: k8s.V1Pod, *containers: str) -> str:
    """Return the message with which a binding for these containers is refused."""
    with pytest.raises(Refused) as caught:
        require_containers(whole, (Binding(identity=ETL_IDENTITY, containers=containers, field=KEY),))
    return str(caught.value)


@pytest.mark.parametrize("containers", [("base",), ("sidecar", "init"), ("*",)])
def test_containers_that_are_there(containers: tuple[str, ...]) -> None:
    """Containers and init containers can be named, and `"*"` is all of them."""
    require_containers(
        pod("base", "sidecar", init=("init",)),
        (Binding(identity=ETL_IDENTITY, containers=containers, field=KEY),),
    )


def test_no_container_of_that_name() -> None:
    """A container that the pod does not have is refused, with those that it has."""
    assert container_refusal(pod("base", "sidecar", init=("warm-up",)), "base", "proxy") == (
        f"{KEY}.containers: the pod has no such container, got 'proxy'; the pod has 'base', 'sidecar', 'warm-up'"
    )


def test_container_that_is_nearly_there() -> None:
    """A typing error is answered with the nearest container."""
    assert container_refusal(pod("base", "sidecar"), "side-car") == (
        f"{KEY}.containers: the pod has no such container, got 'side-car'; did you mean 'sidecar'?"
    )


def test_many_containers_are_cut() -> None:
    """A message names the first eight containers, each on the same line and shortened."""
    whole = pod("x" * 500, "two\nlines", *(f"c{number}" for number in range(20)))

    assert container_refusal(whole, "proxy") == (
        f"{KEY}.containers: the pod has no such container, got 'proxy'; the pod has"
        " 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'... (500 characters), 'two\\nlines',"
        " 'c0', 'c1', 'c2', 'c3', 'c4', 'c5' and 14 more"
    )


@pytest.mark.parametrize("containers", [("base",), ("*",)])
def test_pod_without_containers(containers: tuple[str, ...]) -> None:
    """An identity for a pod without any container reaches nobody, so it is refused."""
    assert container_refusal(k8s.V1Pod(), *containers) == (
        f"{KEY}.containers: the pod has no such container, got '{containers[0]}'; the pod has none"
    )


# --- variables


@pytest.mark.parametrize("name", ["GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"])
def test_variable_with_a_value(name: str) -> None:
    """A variable that the identity needs may not have another value."""
    author = override(env=[k8s.V1EnvVar(name="A", value="1"), k8s.V1EnvVar(name=name, value="/mine.json")])

    assert refusal(author) == (
        f"pod_override.spec.containers[0].env[1]: sets {name},"
        " which etl@acme.iam.gserviceaccount.com needs for itself, got '/mine.json';"
        " drop the variable or drop the identity"
    )


def test_variable_with_an_empty_value() -> None:
    """An empty value says otherwise, too."""
    author = override(env=[k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value="")])

    assert refusal(author) == (
        "pod_override.spec.containers[0].env[0]: sets GOOGLE_APPLICATION_CREDENTIALS,"
        " which etl@acme.iam.gserviceaccount.com needs for itself, got '';"
        " drop the variable or drop the identity"
    )


def test_variable_from_elsewhere() -> None:
    """A variable that takes its value from a Secret is refused without a value to show."""
    source = k8s.V1EnvVarSource(secret_key_ref=k8s.V1SecretKeySelector(name="mine", key="path"))
    author = override(env=[k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value_from=source)])

    assert refusal(author) == (
        "pod_override.spec.containers[0].env[0]: sets GOOGLE_APPLICATION_CREDENTIALS,"
        " which etl@acme.iam.gserviceaccount.com needs for itself, got V1EnvVarSource;"
        " drop the variable or drop the identity"
    )


def test_key_in_a_variable() -> None:
    """Somebody who puts the key itself into the variable does not find it in the log."""
    author = override(
        env=[k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value='{"private_key": "MIIE"}')]
    )

    assert refusal(author) == (
        "pod_override.spec.containers[0].env[0]: sets GOOGLE_APPLICATION_CREDENTIALS,"
        " which etl@acme.iam.gserviceaccount.com needs for itself, got a str of 23 characters that is not shown;"
        " drop the variable or drop the identity"
    )


def test_variable_with_the_bindings_own_value() -> None:
    """The very value that the binding sets is no contradiction."""
    contradict(
        override(env=[k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value=f"{ETL_PATH}/key.json")])
    )


def test_project_is_the_authors_to_choose() -> None:
    """The project is not the identity: the author's wins."""
    contradict(override(env=[k8s.V1EnvVar(name="GOOGLE_CLOUD_PROJECT", value="mine")]))


def test_variable_in_a_container_without_the_identity() -> None:
    """Containers that the identity does not reach keep their own credentials."""
    sidecar = k8s.V1Container(
        name="sidecar", env=[k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value="/x")]
    )

    contradict(k8s.V1Pod(spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base"), sidecar])))


def test_variable_in_an_init_container() -> None:
    """Init containers are looked at by their name."""
    warm_up = k8s.V1Container(
        name="warm-up", env=[k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value="/x")]
    )
    author = k8s.V1Pod(
        spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base")], init_containers=[warm_up])
    )
    everywhere = Binding(identity=ETL_IDENTITY, containers=("*",), field=KEY)

    assert refusal(author, pod("base", init=("first", "warm-up")), everywhere) == (
        "pod_override.spec.initContainers[0].env[0]: sets GOOGLE_APPLICATION_CREDENTIALS,"
        " which etl@acme.iam.gserviceaccount.com needs for itself, got '/x';"
        " drop the variable or drop the identity"
    )


def test_container_is_found_after_a_hook_moved_it() -> None:
    """A hook that puts a container in front does not hide the author's from this check."""
    author = override(env=[k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value="/mine.json")])

    assert refusal(author, pod("injected", "base")).startswith("pod_override.spec.containers[0].env[0]: sets")


# --- mounts


@pytest.mark.parametrize(
    "path",
    [
        ETL_PATH,
        ETL_PATH + "/",
        ETL_PATH + "/sub",
        ETL_PATH + "/key.json",
        "/run/secrets/gcp/etl-fd6d6038",
        "/run/secrets/gcp/etl-fd6d6038/key.json",
        "/var/run/secrets/gcp/x/../etl-fd6d6038",
        "var/run/secrets/gcp/etl-fd6d6038",
        "/",
        "/var",
        "/var/run",
        "/var/run/",
        "/run",
        "/var/run/secrets",
        "/run/secrets/",
        "/var/run/secrets/gcp",
        "/var/tmp/../run/./secrets//gcp",
    ],
)
def test_mount_on_below_or_over_the_credentials(path: str) -> None:
    """However it is spelled, a mount that hides the credentials is refused."""
    assert refusal(override(volume_mounts=[mount(path)])) == (
        f"{MOUNT}.mountPath: hides the credentials of etl@acme.iam.gserviceaccount.com"
        f" at /var/run/secrets/gcp/etl-fd6d6038, got '{path}'; mount it elsewhere"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/data",
        "/var/runner",
        "/var/run/secrets/gcp-mine",
        "/var/run/secrets/kubernetes.io",
        ADS_PATH,
        ETL_PATH + "0",
    ],
)
def test_mount_elsewhere(path: str) -> None:
    """Mounts beside the credentials are nobody's business."""
    contradict(override(volume_mounts=[mount(path)]))


@pytest.mark.parametrize(
    "theirs",
    [
        mount("/data", ETL_SECRET),
        mount(ETL_PATH, ETL_SECRET, sub_path="x"),
        mount(ETL_PATH, ETL_SECRET, sub_path_expr="$(X)"),
    ],
)
def test_mount_of_the_bindings_volume(theirs: k8s.V1VolumeMount) -> None:
    """The volume of an identity is mounted by its binding, not by the author."""
    assert refusal(override(volume_mounts=[theirs])) == (
        f"{MOUNT}.name: mounts the volume that holds etl@acme.iam.gserviceaccount.com, got 'gcp-sa-etl-fd6d6038';"
        " drop the mount: the identity brings its own"
    )


def test_mount_exactly_as_the_binding_makes_it() -> None:
    """The very mount that the binding makes is no contradiction."""
    contradict(override(volume_mounts=[mount(ETL_PATH, ETL_SECRET, read_only=True)]))


def test_mount_of_the_bindings_volume_in_another_container() -> None:
    """A container without the identity cannot borrow the volume; silence would leave its author wondering."""
    sidecar = k8s.V1Container(name="sidecar", volume_mounts=[mount("/data", ETL_SECRET)])
    author = k8s.V1Pod(spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base"), sidecar]))

    assert refusal(author) == (
        "pod_override.spec.containers[1].volumeMounts[0].name:"
        " mounts the volume that holds etl@acme.iam.gserviceaccount.com, got 'gcp-sa-etl-fd6d6038';"
        " ask for the identity with this container among its containers, or drop the mount"
    )


def test_credentials_path_in_a_container_without_the_identity() -> None:
    """Where the identity does not reach, its path is free."""
    sidecar = k8s.V1Container(name="sidecar", volume_mounts=[mount(ETL_PATH)])

    contradict(k8s.V1Pod(spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base"), sidecar])))


def test_second_identity_is_checked_too() -> None:
    """With two identities each container is checked against its own."""
    sidecar = k8s.V1Container(name="sidecar", volume_mounts=[mount(ADS_PATH)])
    author = k8s.V1Pod(spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base"), sidecar]))
    other = Binding(identity=ADS_IDENTITY, containers=("sidecar",), field=KEY)

    assert refusal(author, None, BINDING, other) == (
        "pod_override.spec.containers[1].volumeMounts[0].mountPath: hides the credentials of"
        " ads@acme.iam.gserviceaccount.com at /var/run/secrets/gcp/ads-a2a90470,"
        " got '/var/run/secrets/gcp/ads-a2a90470'; mount it elsewhere"
    )


# --- volumes


@pytest.mark.parametrize(
    "theirs",
    [
        {"empty_dir": k8s.V1EmptyDirVolumeSource()},
        {"secret": k8s.V1SecretVolumeSource(secret_name="mine")},
        {"secret": k8s.V1SecretVolumeSource(secret_name=ETL_SECRET)},
    ],
    ids=["empty", "another Secret", "all items of the Secret"],
)
def test_volume_of_the_bindings_name(theirs: dict[str, object]) -> None:
    """The name of the binding's volume is taken, even for another way to the same Secret."""
    author = override()
    author.spec.volumes = [k8s.V1Volume(name="data"), k8s.V1Volume(name=ETL_SECRET, **theirs)]

    assert refusal(author) == (
        "pod_override.spec.volumes[1].name: is the name of the volume that holds"
        " etl@acme.iam.gserviceaccount.com, got 'gcp-sa-etl-fd6d6038'; choose another name"
    )


@pytest.mark.parametrize("author", [None, k8s.V1Pod(), override()], ids=["none", "no spec", "nothing in it"])
def test_nothing_to_contradict(author: k8s.V1Pod | None) -> None:
    """Without an override, or with an empty one, nothing contradicts."""
    contradict(author)


def test_bound_pod_does_not_contradict_itself() -> None:
    """A pod that was bound already, and that is its author's throughout, passes."""
    bound = bind_pod(pod("base", "sidecar"), (BINDING,))

    refuse_contradictions(bound, bound, (BINDING,), "pod")


def test_account_that_is_asked_for_twice_does_not_contradict_itself() -> None:
    """Nor does one with the same account in two requests."""
    bindings = (BINDING, Binding(identity=ETL_IDENTITY, containers=("sidecar",), field=KEY))
    bound = bind_pod(pod("base", "sidecar"), bindings)

    refuse_contradictions(bound, bound, bindings, "pod")
