"""Tasks for bad times: they run on the executor with the alias `sa`, beside a LocalExecutor."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

ETL = "etl@acme.iam.gserviceaccount.com"
ADS = "ads@acme.iam.gserviceaccount.com"

START = datetime(2025, 1, 1, tzinfo=timezone.utc)


def print_account() -> None:
    """Print the account that Application Default Credentials are, for whoever reads the pod's log."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        credentials, _ = google.auth.default()
    except DefaultCredentialsError:
        print("account: none")
    else:
        print("account:", getattr(credentials, "service_account_email", credentials))


with DAG("three", schedule=None, start_date=START, catchup=False, default_args={"executor": "sa"}):

    @task(executor_config={"gcp-service-account": ETL})
    def etl() -> None:
        print_account()

    @task(executor_config={"gcp-service-account": ADS})
    def ads() -> None:
        print_account()

    @task
    def nobody() -> None:
        print_account()

    etl()
    ads()
    nobody()

with DAG("rotation", schedule=None, start_date=START, catchup=False, default_args={"executor": "sa"}):

    @task(executor_config={"gcp-service-account": ETL})
    def waits_for_another_key() -> None:
        import json
        import os
        import time
        from pathlib import Path

        def key_id() -> str:
            found: str = json.loads(Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())[
                "private_key_id"
            ]
            return found

        first = key_id()
        print("first key:", first)
        deadline = time.monotonic() + 150
        while key_id() == first:
            if time.monotonic() > deadline:
                raise TimeoutError("no other key came")
            time.sleep(0.5)
        print("second key:", key_id())

    waits_for_another_key()

with DAG("beside", schedule=None, start_date=START, catchup=False):

    @task
    def on_local_executor() -> None:
        """Runs in the scheduler's own machine."""

    on_local_executor()
