"""Two tasks with a Google service account each, and one task without."""

from __future__ import annotations

from datetime import datetime, timezone

# `airflow.sdk` in Airflow 3; this module is the same in Airflow 2.11 and 3.
from airflow.providers.common.compat.sdk import DAG, task

ETL = "etl@acme.iam.gserviceaccount.com"
ADS = "ads@acme.iam.gserviceaccount.com"


def require_account(wanted: str) -> str:
    """Return the account that Application Default Credentials are; fail if it is not the wanted one."""
    import google.auth

    credentials, _ = google.auth.default()
    if credentials.service_account_email != wanted:
        raise RuntimeError(f"this task is {credentials.service_account_email}, not {wanted}")
    return wanted


with DAG("plain", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc), catchup=False):

    @task(executor_config={"gcp-service-account": ETL})
    def load() -> str:
        """Run as etl."""
        return require_account(ETL)

    @task(executor_config={"gcp-service-account": ADS})
    def report() -> str:
        """Run as ads."""
        return require_account(ADS)

    @task
    def tidy_up() -> str:
        """Run without an identity, next to tasks that have one."""
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        try:
            credentials, _ = google.auth.default()
        except DefaultCredentialsError:
            return "no identity"
        raise RuntimeError(f"this task asked for no identity and has {credentials}")

    load() >> report() >> tidy_up()
