"""What a managed Secret looks like, and what is read of one."""

from __future__ import annotations

from typing import Any

from airflow_sa_binding.cluster.manifests import ObservedSecret, build_secret, read_metadata
from tests.unit.cluster.samples import ETL, ETL_KEY, ETL_SECRET

SHA256 = "f9d86028c6e0d64e225186f96acb69338b2c59764df79162107f5c4bb34d1310"


def metadata(**changes: Any) -> dict[str, Any]:
    """Build the metadata of a Secret as the API server shows ours."""
    return {
        "metadata": {
            "name": ETL_SECRET,
            "namespace": "team-a",
            "uid": "u-1",
            "resourceVersion": "7",
            "labels": {"app.kubernetes.io/managed-by": "airflow-sa-binding"},
            "annotations": {
                "iam.cloud.google.com/service-account": ETL,
                "airflow-sa-binding/content-sha256": SHA256,
            },
            "managedFields": [
                {
                    "manager": "airflow-sa-binding",
                    "operation": "Apply",
                    "fieldsV1": {"f:data": {"f:key.json": {}}, "f:type": {}},
                }
            ],
            **changes,
        }
    }


def test_secret_is_whole() -> None:
    """The Secret carries the key, whose it is, its hash, our label, and the version that it replaces."""
    secret = build_secret(ETL_KEY, namespace="team-a", resource_version="7")

    assert secret == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "gcp-sa-etl-fd6d6038",
            "namespace": "team-a",
            "resourceVersion": "7",
            "labels": {"app.kubernetes.io/managed-by": "airflow-sa-binding"},
            "annotations": {
                "iam.cloud.google.com/service-account": "etl@acme.iam.gserviceaccount.com",
                "airflow-sa-binding/content-sha256": SHA256,
            },
        },
        "type": "Opaque",
        "data": {"key.json": "eyJhIjogMX0="},
    }


def test_our_secret_is_recognised() -> None:
    """A Secret that we applied is read as ours and intact."""
    assert read_metadata(metadata()) == ObservedSecret(
        name="gcp-sa-etl-fd6d6038",
        uid="u-1",
        resource_version="7",
        is_managed=True,
        account="etl@acme.iam.gserviceaccount.com",
        content_sha256=SHA256,
        is_intact=True,
    )


def test_secret_without_anything_is_somebody_elses() -> None:
    """A Secret without labels, annotations and managed fields is read, as not ours."""
    bare = read_metadata(metadata(labels=None, annotations=None, managedFields=None))

    assert (bare.is_managed, bare.account, bare.content_sha256, bare.is_intact) == (False, None, None, False)


def test_label_of_another_manager_is_not_ours() -> None:
    """The label counts with its value."""
    assert not read_metadata(metadata(labels={"app.kubernetes.io/managed-by": "Helm"})).is_managed


def test_key_that_somebody_else_set_is_not_intact() -> None:
    """Once another manager owns the key, our entry no longer names it."""
    entries = [
        {"manager": "airflow-sa-binding", "operation": "Apply", "fieldsV1": {"f:type": {}}},
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {"f:key.json": {}}}},
    ]

    assert not read_metadata(metadata(managedFields=entries)).is_intact


def test_update_under_our_name_is_not_our_apply() -> None:
    """Somebody who updates the key with our name as the field manager has not applied it."""
    entry = {
        "manager": "airflow-sa-binding",
        "operation": "Update",
        "fieldsV1": {"f:data": {"f:key.json": {}}},
    }

    assert not read_metadata(metadata(managedFields=[entry])).is_intact


def test_another_item_that_somebody_adds_leaves_the_key_intact() -> None:
    """Pods mount the item `key.json` alone, so others in the Secret are no tampering."""
    entries = metadata()["metadata"]["managedFields"]
    entries.append({"manager": "x", "operation": "Update", "fieldsV1": {"f:data": {"f:other": {}}}})

    assert read_metadata(metadata(managedFields=entries)).is_intact


def test_managed_fields_that_were_wiped_are_not_intact() -> None:
    """`managedFields: [{}]`, which resets them, hides who set the key."""
    assert not read_metadata(metadata(managedFields=[{}])).is_intact
