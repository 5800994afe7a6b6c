"""Mapped tasks: all of them inherit an account from `default_args`, one task asks for another account itself."""

from __future__ import annotations

from datetime import datetime, timezone

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


with DAG(
    "mapped",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"executor_config": {"gcp-service-account": ETL}},
):

    @task
    def load(country: str) -> str:
        """Run as etl, as `default_args` say, once per country."""
        return f"{country}: {require_account(ETL)}"

    # A task's own executor_config replaces the one of default_args as a whole.
    @task(executor_config={"gcp-service-account": ADS})
    def report(loaded: list[str]) -> str:
        """Run as ads."""
        return f"{len(list(loaded))} countries: {require_account(ADS)}"

    report(load.expand(country=["at", "de", "fr"]))
