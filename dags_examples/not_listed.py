"""A task that asks for an account that the platform engineer has not listed: it fails, with the reason."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

with DAG("not_listed", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc), catchup=False):

    @task(executor_config={"gcp-service-account": "payroll@hr-prod.iam.gserviceaccount.com"})
    def pay() -> None:
        """Be refused."""
        raise RuntimeError("this never runs: the executor refuses the task before there is a pod")

    pay()
