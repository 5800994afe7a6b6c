"""What Airflow is told about the package, and what Airflow makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from airflow_sa_binding.config.options import DEFAULT_SYNC_INTERVAL_SECONDS, OPTIONS, Options, read_options
from airflow_sa_binding.provider_info import get_provider_info

PROJECT = Path(__file__).parents[2]
DECLARED = [
    "[kubernetes] gcp_service_accounts",
    "[sa_binding] bindings_file",
    "[sa_binding] sync_interval_seconds",
    "[sa_binding] prune",
    "[sa_binding] namespaces",
]


def test_schema_of_the_installed_airflow() -> None:
    """The description is valid for this version of Airflow."""
    airflow = find_spec("airflow")
    assert airflow is not None
    assert airflow.submodule_search_locations
    schema = Path(airflow.submodule_search_locations[0]) / "provider_info.schema.json"

    jsonschema.validate(get_provider_info(), json.loads(schema.read_text()))


def test_options_that_are_known_are_those_that_are_declared() -> None:
    """What is declared is not called misspelt."""
    assert [f"[sa_binding] {name}" for name in OPTIONS] == DECLARED[1:]


def test_every_option_is_declared() -> None:
    """Options are declared with all that Airflow shows of one."""
    options = [
        (f"[{section}] {name}", option)
        for section, content in get_provider_info()["config"].items()
        for name, option in content["options"].items()
    ]

    assert [name for name, _ in options] == DECLARED
    for _, option in options:
        assert list(option) == ["description", "version_added", "type", "example", "default", "sensitive"]
        assert option["version_added"] == "0.1.0"
        assert option["sensitive"] is False
        assert option["description"].endswith(".\n")


def test_declared_defaults_are_those_of_the_code() -> None:
    """What `airflow config list` shows as default is what holds without it."""

    class Declared:
        def get(self, section: str, key: str, *, fallback: str | None = None) -> str | None:
            options = get_provider_info()["config"].get(section, {"options": {}})["options"]
            return options[key]["default"] if key in options else fallback

    assert read_options(Declared()) == (Options(), ())
    assert Options().sync_interval_seconds == DEFAULT_SYNC_INTERVAL_SECONDS == 60


def test_it_is_importable_without_airflow() -> None:
    """Airflow imports this with every command, so it costs nothing."""
    code = (
        "import sys, airflow_sa_binding.provider_info;"
        "print([m for m in sys.modules if m.split('.')[0] in ('airflow', 'kubernetes', 'yaml')])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True
    )

    assert run.stdout == "[]\n"


@pytest.fixture
def airflow_environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of an Airflow that finds this provider, whether or not it is installed."""
    metadata = tmp_path / "site" / "airflow_sa_binding-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: airflow-sa-binding\nVersion: 0.1.0\n")
    entry_point = "provider_info = airflow_sa_binding.provider_info:get_provider_info"
    (metadata / "entry_points.txt").write_text(f"[apache_airflow_provider]\n{entry_point}\n")
    return {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{PROJECT}",
        "PYTHONWARNINGS": "ignore",
    }


def airflow(environment: dict[str, str], *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return run.stdout


def test_airflow_config_list(airflow_environment: dict[str, str]) -> None:
    """`airflow config list` shows every option with its description, and nothing else breaks."""
    listed = airflow(airflow_environment, "config", "list", "--include-descriptions")

    ours = listed[listed.index("\n[kubernetes]\n") :].replace("\n# ", "\n")
    positions = [ours.index(f"\n{name.partition('] ')[2]} = ") for name in DECLARED]
    assert positions == sorted(positions)
    assert "\nWhether the managed Secrets of accounts that are no longer listed are deleted.\n" in ours


def test_airflow_config_get_value(airflow_environment: dict[str, str]) -> None:
    """`airflow config get-value` knows the defaults and the environment."""
    get_value = ("config", "get-value", "sa_binding", "sync_interval_seconds")
    default = airflow(airflow_environment, *get_value)
    changed = airflow({**airflow_environment, "AIRFLOW__SA_BINDING__SYNC_INTERVAL_SECONDS": "7"}, *get_value)

    assert (default.splitlines()[-1], changed.splitlines()[-1]) == ("60", "7")
