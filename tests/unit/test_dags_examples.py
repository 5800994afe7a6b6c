"""The example DAGs, as a reader would try them: imported, and rendered with the example configuration."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_sa_binding.cli.main import main

EXAMPLES = Path(__file__).resolve().parents[2] / "dags_examples"


def example_environment() -> dict[str, str]:
    """Return the example airflow.cfg as environment variables, with this folder for the one in the image."""
    example = configparser.ConfigParser(interpolation=None)
    example.read(EXAMPLES / "airflow.cfg")
    return {
        f"AIRFLOW__{section.upper()}__{option.upper()}": value.replace("/opt/airflow/config", str(EXAMPLES))
        for section in ("kubernetes", "kubernetes_executor", "sa_binding")
        for option, value in example[section].items()
    }


@pytest.fixture
def example_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure Airflow as the example does, but for the executor, which would ask for a real database."""
    for name, value in example_environment().items():
        monkeypatch.setenv(name, value)


def without_rules(table: str) -> list[list[str]]:
    """Return the words of each line of a table."""
    return [line.split() for line in table.splitlines() if not line.startswith("─")]


HEADER = ["DAG", "TASK", "IDENTITY", "CONTAINERS", "DELIVERY", "SECRET", "MOUNT", "PATH"]
ETL = [
    *("etl@acme.iam.gserviceaccount.com", "base", "key"),
    *("gcp-sa-etl-fd6d6038", "/var/run/secrets/gcp/etl-fd6d6038"),
]
ADS = [
    *("ads@acme.iam.gserviceaccount.com", "base", "key"),
    *("gcp-sa-ads-a2a90470", "/var/run/secrets/gcp/ads-a2a90470"),
]
ADS_IN_UPLOADER = [ADS[0], "uploader", *ADS[2:]]
NOTHING = ["-"] * 5


@pytest.mark.usefixtures("example_configuration")
@pytest.mark.parametrize(
    ("example", "rows"),
    [
        ("plain", [["load", *ETL], ["report", *ADS], ["tidy_up", *NOTHING]]),
        ("mapped", [["load", *ETL], ["report", *ADS]]),
        ("pod_override", [["load", *ETL]]),
        ("per_container", [["load", *ETL], ["load", *ADS_IN_UPLOADER]]),
    ],
)
def test_an_example_gets_the_identities_that_it_asks_for(
    example: str, rows: list[list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Each task of an example is given what its DAG file says, and nothing else."""
    status = main(["render", str(EXAMPLES / f"{example}.py"), "--output", "table"])

    out, _ = capfd.readouterr()
    assert without_rules(out) == [HEADER, *([example, *row] for row in rows)]
    assert status == 0


def test_the_pod_of_an_operator_gets_the_identity_of_its_annotation(tmp_path: Path) -> None:
    """The task of KubernetesPodOperator gets no identity; the pod that it builds gets the one it asks for."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "airflow_local_settings.py").write_text(
        "from airflow_sa_binding.hook import pod_mutation_hook\n", encoding="utf-8"
    )
    command = [
        *(sys.executable, "-m", "airflow_sa_binding.cli.main", "render"),
        *(str(EXAMPLES / "kubernetes_pod_operator.py"), "--output", "table"),
    ]

    environment = {**os.environ, **example_environment(), "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run(
        command, check=False, env=environment, cwd=EXAMPLES.parent, capture_output=True, text=True
    )

    assert without_rules(done.stdout) == [
        HEADER,
        ["kubernetes_pod_operator", "load", *NOTHING],
        ["kubernetes_pod_operator", "load", "(operator's", "pod)", *ETL],
    ]
    assert done.returncode == 0


@pytest.mark.usefixtures("example_configuration")
def test_an_account_that_is_not_listed_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    """The example of a refusal ends with exit status 1 and the one line that the task would fail with."""
    status = main(["render", str(EXAMPLES / "not_listed.py"), "--output", "table"])

    _, err = capfd.readouterr()
    assert err.splitlines()[-1] == (
        'not_listed.pay: executor_config["gcp-service-account"]: account is not listed in '
        "[kubernetes] gcp_service_accounts, got 'payroll@hr-prod.iam.gserviceaccount.com'; "
        "ask your platform engineer to list it"
    )
    assert status == 1


def test_every_example_is_tested() -> None:
    """A new example file needs a line in this module."""
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.is_file()) == [
        "airflow.cfg",
        "kubernetes_pod_operator.py",
        "mapped.py",
        "not_listed.py",
        "per_container.py",
        "plain.py",
        "pod_override.py",
        "pod_template.yaml",
        "sa_bindings.yaml",
    ]
