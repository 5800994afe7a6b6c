"""What the examples leave out: retries, a template of the task's own, another namespace, unlike containers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task
from kubernetes.client import models as k8s

ETL = "etl@acme.iam.gserviceaccount.com"
ADS = "ads@acme.iam.gserviceaccount.com"

SECOND_NAMESPACE = (Path(__file__).parent / "second_namespace.txt").read_text(encoding="utf-8").strip()

PRINT_ACCOUNT = """
import google.auth
from google.auth.exceptions import DefaultCredentialsError
try:
    print("account:", google.auth.default()[0].service_account_email)
except DefaultCredentialsError:
    print("account: none")
"""


def print_account() -> None:
    """Print the account that Application Default Credentials are, for whoever reads the pod's log."""
    exec(PRINT_ACCOUNT)  # noqa: S102


def container(name: str) -> k8s.V1Container:
    """Build a container that prints its account and ends."""
    return k8s.V1Container(name=name, image="apache/airflow:3.1.8", command=["python", "-c", PRINT_ACCOUNT])


def with_others(metadata: k8s.V1ObjectMeta | None = None) -> k8s.V1Pod:
    """Build a `pod_override` with a sidecar and an init container."""
    return k8s.V1Pod(
        metadata=metadata,
        spec=k8s.V1PodSpec(
            containers=[k8s.V1Container(name="base"), container("sidecar")],
            init_containers=[container("setup")],
        ),
    )


with DAG(
    "identities",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    catchup=False,
):

    @task(
        executor_config={
            "gcp-service-account": ETL,
            "pod_template_file": str(Path(__file__).with_name("own_template.yaml")),
        },
        retries=1,
        retry_delay=timedelta(seconds=1),
    )
    def fails_once() -> None:
        from airflow.providers.common.compat.sdk import get_current_context

        print_account()
        if get_current_context()["ti"].try_number == 1:
            raise RuntimeError("the first try fails")

    @task(
        executor_config={
            "gcp-service-account": ETL,
            "pod_override": with_others(k8s.V1ObjectMeta(namespace=SECOND_NAMESPACE)),
        }
    )
    def base_only() -> None:
        print_account()

    @task(
        executor_config={
            "gcp-service-account": {"name": ADS, "containers": ["*"]},
            "pod_override": with_others(),
        }
    )
    def every_container() -> None:
        print_account()

    fails_once()
    base_only()
    every_container()
