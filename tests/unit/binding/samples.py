"""Accounts, settings and pods that the tests of `binding` share, and how a pod is compared."""

from __future__ import annotations

from typing import Any

from kubernetes import client
from kubernetes.client import models as k8s

from airflow_sa_binding.binding.forgery import Task
from airflow_sa_binding.binding.identity import Identity, KeySecret, Settings

ETL = "etl@acme.iam.gserviceaccount.com"
ETL_SECRET = "gcp-sa-etl-fd6d6038"
ETL_PATH = "/var/run/secrets/gcp/etl-fd6d6038"
ADS = "ads@acme.iam.gserviceaccount.com"
ADS_SECRET = "gcp-sa-ads-a2a90470"
ADS_PATH = "/var/run/secrets/gcp/ads-a2a90470"

ETL_IDENTITY = Identity(name=ETL, delivery=KeySecret(secret_name=ETL_SECRET, managed=True))
ADS_IDENTITY = Identity(name=ADS, delivery=KeySecret(secret_name=ADS_SECRET, managed=True))
BOTH = Settings(identities={ETL: ETL_IDENTITY, ADS: ADS_IDENTITY})

TASK = Task(dag_id="sales", task_id="load", run_id="manual__2026-01-01", try_number=1, map_index=-1)


def pod(*names: str, init: tuple[str, ...] = (), **spec: Any) -> k8s.V1Pod:
    """Build a pod with containers of these names, `base` if none is given."""
    containers = [k8s.V1Container(name=name, image="airflow:3") for name in names or ("base",)]
    init_containers = [k8s.V1Container(name=name, image="airflow:3") for name in init] or None
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(name="sales-load", namespace="default"),
        spec=k8s.V1PodSpec(containers=containers, init_containers=init_containers, **spec),
    )


def override(
    *, annotations: object = None, labels: object = None, namespace: str | None = None, **container: Any
) -> k8s.V1Pod:
    """Build a `pod_override` for the container `base`."""
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(annotations=annotations, labels=labels, namespace=namespace),
        spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base", **container)]),
    )


def manifest(of: k8s.V1Pod) -> dict[str, Any]:
    """Return a pod as it is sent to the API server."""
    sent: dict[str, Any] = client.ApiClient().sanitize_for_serialization(of)
    return sent
