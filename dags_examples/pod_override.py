"""An account together with a `pod_override` that changes other parts of the pod."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task
from kubernetes.client import models as k8s

ETL = "etl@acme.iam.gserviceaccount.com"

WITH_MEMORY = k8s.V1Pod(
    metadata=k8s.V1ObjectMeta(labels={"size": "large"}),
    spec=k8s.V1PodSpec(
        containers=[
            k8s.V1Container(
                name="base",
                env=[k8s.V1EnvVar(name="BATCH_SIZE", value="5000")],
                resources=k8s.V1ResourceRequirements(requests={"memory": "256Mi"}),
            )
        ]
    ),
)

with DAG("pod_override", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc), catchup=False):

    @task(executor_config={"gcp-service-account": ETL, "pod_override": WITH_MEMORY})
    def load() -> str:
        """Run as etl, in the pod that `WITH_MEMORY` describes."""
        import os

        import google.auth

        credentials, _ = google.auth.default()
        found = (credentials.service_account_email, os.environ.get("BATCH_SIZE"))
        if found != (ETL, "5000"):
            raise RuntimeError(f"account and batch size are {found}")
        return ETL

    load()
