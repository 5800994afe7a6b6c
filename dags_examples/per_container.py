"""Two identities in one pod: the task is one account, a second container beside it is another.

The second container writes the account that it found into a volume that both containers share, where the task
reads it. A real one would be a proxy or an uploader.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task
from kubernetes.client import models as k8s

ETL = "etl@acme.iam.gserviceaccount.com"
ADS = "ads@acme.iam.gserviceaccount.com"

SHARED = k8s.V1VolumeMount(name="shared", mount_path="/shared")
WRITE_ACCOUNT = """
import os, google.auth
credentials, _ = google.auth.default()
with open("/shared/draft", "w") as file:
    file.write(credentials.service_account_email)
os.replace("/shared/draft", "/shared/account")
"""

WITH_UPLOADER = k8s.V1Pod(
    spec=k8s.V1PodSpec(
        containers=[
            k8s.V1Container(name="base", volume_mounts=[SHARED]),
            k8s.V1Container(
                name="uploader",
                image="apache/airflow:3.1.8",
                command=["python", "-c", WRITE_ACCOUNT],
                volume_mounts=[SHARED],
            ),
        ],
        volumes=[k8s.V1Volume(name="shared", empty_dir=k8s.V1EmptyDirVolumeSource())],
    )
)

with DAG("per_container", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc), catchup=False):

    @task(
        executor_config={
            # Without "containers" an account is for the container "base": the task.
            "gcp-service-account": [ETL, {"name": ADS, "containers": ["uploader"]}],
            "pod_override": WITH_UPLOADER,
        }
    )
    def load() -> str:
        """Run as etl, and wait for the account of the other container."""
        import time
        from pathlib import Path

        import google.auth

        credentials, _ = google.auth.default()
        account = Path("/shared/account")
        deadline = time.monotonic() + 120
        while not account.exists() and time.monotonic() < deadline:
            time.sleep(1)
        found = (credentials.service_account_email, account.read_text())
        if found != (ETL, ADS):
            raise RuntimeError(f"task and uploader are {found}")
        return f"task: {ETL}, uploader: {ADS}"

    load()
