"""Every way in which a pod can name a Secret, and the one way that is allowed."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client
from kubernetes.client import models as k8s

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.fence import refuse_trespass
from airflow_sa_binding.binding.identity import Identity, KeySecret, Settings
from airflow_sa_binding.binding.pod import bind_pod
from airflow_sa_binding.binding.resolve import Binding
from tests.unit.binding.samples import ADS_SECRET, BOTH, ETL, ETL_IDENTITY, ETL_SECRET, pod

REMEDY = 'ask for the identity with executor_config={"gcp-service-account": ...} instead'
BINDING = Binding(identity=ETL_IDENTITY, containers=("base",), field="x")


def from_manifest(spec: dict[str, Any]) -> k8s.V1Pod:
    """Read a pod as Airflow reads a template."""
    return client.ApiClient()._ApiClient__deserialize_model(
        {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "base"}], **spec}}, k8s.V1Pod
    )


def volume(**source: Any) -> dict[str, Any]:
    """Build a spec whose second volume has this source."""
    return {"volumes": [{"name": "scratch", "emptyDir": {}}, {"name": "data", **source}]}


def env(name: str) -> dict[str, Any]:
    """Build a container with one variable from a Secret."""
    return {
        "name": "base",
        "env": [
            {"name": "A", "value": "1"},
            {"name": "K", "valueFrom": {"secretKeyRef": {"name": name, "key": "key.json", "optional": True}}},
        ],
    }


def env_from(name: str) -> dict[str, Any]:
    """Build a container with all variables of a Secret."""
    return {"name": "base", "envFrom": [{"configMapRef": {"name": "x"}}, {"secretRef": {"name": name}}]}


def ways(secret: str) -> list[tuple[str, dict[str, Any]]]:
    """List every way to name a Secret: the field in the message, and the spec."""
    reference = {"secretRef": {"name": secret}}
    return [
        ("spec.volumes[1].secret.secretName", volume(secret={"secretName": secret})),
        (
            "spec.volumes[1].projected.sources[1].secret.name",
            volume(projected={"sources": [{"configMap": {"name": "x"}}, {"secret": {"name": secret}}]}),
        ),
        ("spec.volumes[1].azureFile.secretName", volume(azureFile={"secretName": secret, "shareName": "x"})),
        ("spec.volumes[1].cephfs.secretRef.name", volume(cephfs={"monitors": ["x"], **reference})),
        ("spec.volumes[1].cinder.secretRef.name", volume(cinder={"volumeID": "x", **reference})),
        (
            "spec.volumes[1].csi.nodePublishSecretRef.name",
            volume(csi={"driver": "x", "nodePublishSecretRef": {"name": secret}}),
        ),
        (
            "spec.volumes[1].csi.volumeAttributes",
            volume(
                csi={
                    "driver": "file.csi.azure.com",
                    "volumeAttributes": {"shareName": "x", "secretName": secret},
                }
            ),
        ),
        ("spec.volumes[1].flexVolume.secretRef.name", volume(flexVolume={"driver": "x", **reference})),
        (
            "spec.volumes[1].flexVolume.options",
            volume(flexVolume={"driver": "x", "options": {"secret": secret}}),
        ),
        (
            "spec.volumes[1].iscsi.secretRef.name",
            volume(iscsi={"targetPortal": "x", "iqn": "x", "lun": 0, **reference}),
        ),
        ("spec.volumes[1].rbd.secretRef.name", volume(rbd={"monitors": ["x"], "image": "x", **reference})),
        (
            "spec.volumes[1].scaleIO.secretRef.name",
            volume(scaleIO={"gateway": "x", "system": "x", "volumeName": "x", **reference}),
        ),
        ("spec.volumes[1].storageos.secretRef.name", volume(storageos={"volumeName": "x", **reference})),
        ("spec.imagePullSecrets[1].name", {"imagePullSecrets": [{"name": "x"}, {"name": secret}]}),
        ("spec.containers[0].env[1].valueFrom.secretKeyRef.name", {"containers": [env(secret)]}),
        ("spec.containers[0].envFrom[1].secretRef.name", {"containers": [env_from(secret)]}),
        ("spec.initContainers[0].env[1].valueFrom.secretKeyRef.name", {"initContainers": [env(secret)]}),
        ("spec.initContainers[0].envFrom[1].secretRef.name", {"initContainers": [env_from(secret)]}),
        (
            "spec.ephemeralContainers[0].env[1].valueFrom.secretKeyRef.name",
            {"ephemeralContainers": [env(secret)]},
        ),
        (
            "spec.ephemeralContainers[0].envFrom[1].secretRef.name",
            {"ephemeralContainers": [env_from(secret)]},
        ),
        (
            "spec.volumes[1].projected.sources[0].secret.name",
            volume(secret={"secretName": "x"}, projected={"sources": [{"secret": {"name": secret}}]}),
        ),
        (
            "spec.volumes[1].csi.nodePublishSecretRef.name",
            volume(projected={"sources": []}, csi={"driver": "x", "nodePublishSecretRef": {"name": secret}}),
        ),
    ]


@pytest.mark.parametrize(
    ("field", "spec"), ways(ETL_SECRET), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_way_is_fenced(field: str, spec: dict[str, Any]) -> None:
    """A pod without a binding reaches a managed Secret by no field."""
    with pytest.raises(Refused) as caught:
        refuse_trespass(from_manifest(spec), (), BOTH)

    assert str(caught.value) == (
        f"{field}: names a Secret that holds an identity, got 'gcp-sa-etl-fd6d6038'; {REMEDY}"
    )


@pytest.mark.parametrize(
    ("field", "spec"), ways(ADS_SECRET), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_way_to_another_identity_is_fenced(field: str, spec: dict[str, Any]) -> None:
    """A pod with a binding reaches no other identity's Secret."""
    bound = bind_pod(from_manifest(spec), (BINDING,))

    with pytest.raises(Refused) as caught:
        refuse_trespass(bound, (BINDING,), BOTH)

    assert str(caught.value) == (
        f"{field}: names a Secret that holds an identity, got 'gcp-sa-ads-a2a90470'; {REMEDY}"
    )


@pytest.mark.parametrize(
    ("field", "spec"), ways(ETL_SECRET), ids=lambda value: value if isinstance(value, str) else ""
)
def test_own_secret_is_reached_through_the_binding_only(field: str, spec: dict[str, Any]) -> None:
    """A pod with a binding reaches even its own identity's Secret by no other field."""
    bound = bind_pod(from_manifest(spec), (BINDING,))

    with pytest.raises(Refused) as caught:
        refuse_trespass(bound, (BINDING,), BOTH)

    assert caught.value.problem.field == field


@pytest.mark.parametrize(
    ("field", "spec"), ways("airflow-fernet-key"), ids=lambda value: value if isinstance(value, str) else ""
)
def test_secrets_of_others_are_not_fenced(field: str, spec: dict[str, Any]) -> None:
    """Secrets that hold no identity are nobody's business here."""
    del field

    refuse_trespass(from_manifest(spec), (), BOTH)


def test_binding_itself_passes() -> None:
    """The volume that a binding brings is the one way that is allowed."""
    refuse_trespass(bind_pod(pod(), (BINDING,)), (BINDING,), BOTH)


def test_volume_of_the_bindings_name_without_the_binding() -> None:
    """A template cannot write the volume itself for a task that asks for nothing."""
    bound = bind_pod(pod(), (BINDING,))

    with pytest.raises(Refused) as caught:
        refuse_trespass(bound, (), BOTH)

    assert str(caught.value) == (
        f"spec.volumes[0].secret.secretName: names a Secret that holds an identity, got 'gcp-sa-etl-fd6d6038'; {REMEDY}"
    )


@pytest.mark.parametrize("name", ["gcp-sa-gone-0123abcd", "gcp-sa-0123abcd", "gcp-sa-a-b-0123abcd"])
def test_managed_secret_of_an_account_no_longer_listed(name: str) -> None:
    """The names that this project gives stay fenced, listed or not."""
    with pytest.raises(Refused):
        refuse_trespass(from_manifest(volume(secret={"secretName": name})), (), Settings())


@pytest.mark.parametrize(
    "name",
    [
        "gcp-sa-etl",
        "gcp-sa-etl-0123abcg",
        "my-gcp-sa-etl-0123abcd",
        "gcp-sa--0123abcd",
        "gcp-sa-etl-0123abcd0",
    ],
)
def test_secret_with_a_similar_name(name: str) -> None:
    """A name that this project never gives is not fenced."""
    refuse_trespass(from_manifest(volume(secret={"secretName": name})), (), Settings())


def test_secret_made_by_someone_else() -> None:
    """A Secret that the bindings file names is fenced by its own name."""
    external = Identity(name=ETL, delivery=KeySecret(secret_name="etl-from-vault", managed=False))

    with pytest.raises(Refused) as caught:
        refuse_trespass(
            from_manifest({"containers": [env("etl-from-vault")]}), (), Settings(identities={ETL: external})
        )

    assert str(caught.value) == (
        "spec.containers[0].env[1].valueFrom.secretKeyRef.name: names a Secret that holds an identity,"
        f" got 'etl-from-vault'; {REMEDY}"
    )


def test_secret_of_an_account_that_cannot_be_used() -> None:
    """What the configuration says is fenced, without an identity that could be bound."""
    with pytest.raises(Refused) as caught:
        refuse_trespass(
            from_manifest(volume(secret={"secretName": "etl-from-vault"})),
            (),
            Settings(unusable={ETL: "is broken; mend it"}, fenced=frozenset({"etl-from-vault"})),
        )

    assert str(caught.value) == (
        "spec.volumes[1].secret.secretName: names a Secret that holds an identity,"
        f" got 'etl-from-vault'; {REMEDY}"
    )


def test_managed_secret_of_an_account_with_a_secret_of_its_own() -> None:
    """Where an account is delivered by another Secret, the managed one of its name is not its binding."""
    external = Identity(name=ETL, delivery=KeySecret(secret_name="etl-from-vault", managed=False))
    binding = Binding(identity=external, containers=("base",), field="x")
    other = from_manifest(volume(secret={"secretName": ETL_SECRET}))

    with pytest.raises(Refused) as caught:
        refuse_trespass(bind_pod(other, (binding,)), (binding,), Settings(identities={ETL: external}))

    assert caught.value.problem.field == "spec.volumes[1].secret.secretName"


def test_pod_without_a_spec() -> None:
    """A pod without a spec names nothing."""
    refuse_trespass(k8s.V1Pod(), (), BOTH)
