"""Values in `executor_config` that nobody should write, as far as Airflow takes the DAG at all.

A set among the annotations of a `pod_override` it does not take, for instance.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

ETL = "etl@acme.iam.gserviceaccount.com"

VALUES = {
    "set": {"gcp-service-account": {ETL}},
    "lambda": {"gcp-service-account": lambda: ETL},
    "large": {"gcp-service-account": "x" * 10 * 1024 * 1024},
}

for name, value in VALUES.items():
    with DAG(
        f"hostile_{name}",
        schedule=None,
        start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
        catchup=False,
    ):

        @task(executor_config=value)
        def never_runs() -> None:
            raise RuntimeError("this task has no pod")

        never_runs()
