"""What is read of airflow.cfg, and what a bad value becomes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_sa_binding.config.options import Options, read_options
from tests.unit.config.ini_conf import IniConf


def messages(text: str) -> list[str]:
    return [str(problem) for problem in read_options(IniConf(text))[1]]


def test_nothing_configured() -> None:
    """Without any option, no account is listed and every option has its default."""
    options, problems = read_options(IniConf())

    assert problems == ()
    assert options == Options(
        gcp_service_accounts="",
        gcp_service_accounts_source="[kubernetes] gcp_service_accounts",
        bindings_file=None,
        sync_interval_seconds=60,
        prune=False,
        namespaces=(),
        executor_namespace="default",
        multi_namespaces=(),
        any_namespace=False,
    )


def test_everything_configured() -> None:
    """Every option arrives as a plain value."""
    options, problems = read_options(
        IniConf("""
[kubernetes]
gcp_service_accounts = etl@acme.iam.gserviceaccount.com=/opt/etl.json
[kubernetes_executor]
namespace = airflow
multi_namespace_mode = True
multi_namespace_mode_namespace_list = airflow, team-a,team-b
[sa_binding]
bindings_file = /opt/sa_bindings.yaml
sync_interval_seconds = 5
prune = true
namespaces = spark, reports
""")
    )

    assert problems == ()
    assert options == Options(
        gcp_service_accounts="etl@acme.iam.gserviceaccount.com=/opt/etl.json",
        gcp_service_accounts_source="[kubernetes] gcp_service_accounts",
        bindings_file=Path("/opt/sa_bindings.yaml"),
        sync_interval_seconds=5,
        prune=True,
        namespaces=("spark", "reports"),
        executor_namespace="airflow",
        multi_namespaces=("airflow", "team-a", "team-b"),
        any_namespace=False,
    )


def test_accounts_of_the_executor_section() -> None:
    """The accounts may be listed in the executor's own section, which messages then name."""
    options, problems = read_options(IniConf("[kubernetes_executor]\ngcp_service_accounts = a@b.c=/x"))

    assert problems == ()
    assert options.gcp_service_accounts == "a@b.c=/x"
    assert options.gcp_service_accounts_source == "[kubernetes_executor] gcp_service_accounts"


def test_accounts_in_both_sections_that_agree() -> None:
    """One value in both sections is no problem."""
    text = "[kubernetes]\ngcp_service_accounts = a@b.c=/x\n[kubernetes_executor]\ngcp_service_accounts = a@b.c=/x"
    options, problems = read_options(IniConf(text))

    assert problems == ()
    assert options.gcp_service_accounts == "a@b.c=/x"


def test_accounts_in_both_sections_that_differ() -> None:
    """The executor's own section wins, as Airflow 2.11 has it, and the engineer is told."""
    text = "[kubernetes]\ngcp_service_accounts = a@b.c=/x\n[kubernetes_executor]\ngcp_service_accounts = d@e.f=/y"
    options, problems = read_options(IniConf(text))

    assert options.gcp_service_accounts == "d@e.f=/y"
    assert [str(problem) for problem in problems] == [
        (
            "[kubernetes_executor] gcp_service_accounts: differs from [kubernetes] gcp_service_accounts, "
            "which is ignored; keep [kubernetes] gcp_service_accounts only"
        )
    ]


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "86401", "a minute", "", "1_0", "٣", "9" * 5000])
def test_sync_interval_that_is_no_sane_number(value: str) -> None:
    """An interval that is no whole number of a sane size is a problem, and the default stands in."""
    options, problems = read_options(IniConf(f"[sa_binding]\nsync_interval_seconds = {value}"))

    assert options.sync_interval_seconds == 60
    assert [(problem.field, problem.remedy) for problem in problems] == [
        ("[sa_binding] sync_interval_seconds", "correct it or drop it; until then it is 60")
    ]


def test_message_of_a_bad_sync_interval() -> None:
    """The message names the option, the range, the value and the way out."""
    assert messages("[sa_binding]\nsync_interval_seconds = 1m") == [
        (
            "[sa_binding] sync_interval_seconds: must be a whole number from 1 to 86400, got '1m'; "
            "correct it or drop it; until then it is 60"
        )
    ]


@pytest.mark.parametrize(("value", "meaning"), [("T", True), ("1", True), ("True # yes", True), ("F", False)])
def test_booleans_are_airflows(value: str, meaning: bool) -> None:
    """Booleans are written as everywhere in airflow.cfg."""
    options, problems = read_options(IniConf(f"[sa_binding]\nprune = {value}"))

    assert problems == ()
    assert options.prune is meaning


def test_prune_that_is_no_boolean() -> None:
    """Nothing is pruned because of a word that nobody understands."""
    options, problems = read_options(IniConf("[sa_binding]\nprune = yes"))

    assert options.prune is False
    assert [str(problem) for problem in problems] == [
        "[sa_binding] prune: must be True or False, got 'yes'; correct it or drop it; until then it is False"
    ]


def test_multi_namespace_mode_without_a_list() -> None:
    """Multi-namespace mode without a list is every namespace."""
    options, problems = read_options(IniConf("[kubernetes_executor]\nmulti_namespace_mode = True"))

    assert problems == ()
    assert (options.multi_namespaces, options.any_namespace) == ((), True)


def test_namespace_list_without_the_mode() -> None:
    """Without multi-namespace mode the executor ignores the list, and so do we."""
    options, _ = read_options(IniConf("[kubernetes_executor]\nmulti_namespace_mode_namespace_list = a,b"))

    assert (options.multi_namespaces, options.any_namespace) == ((), False)


def test_namespace_list_of_bad_names_is_not_every_namespace() -> None:
    """A list in which no name is right does not open every namespace."""
    text = "[kubernetes_executor]\nmulti_namespace_mode = True\nmulti_namespace_mode_namespace_list = Team_A"
    options, problems = read_options(IniConf(text))

    assert (options.multi_namespaces, options.any_namespace) == ((), False)
    assert [str(problem) for problem in problems] == [
        (
            "[kubernetes_executor] multi_namespace_mode_namespace_list: 'Team_A' is not a namespace's name; "
            "correct it; until then it is left out"
        )
    ]


def test_namespace_list_that_cannot_be_read_is_not_every_namespace() -> None:
    """A list that cannot be read does not open every namespace."""
    text = "[kubernetes_executor]\nmulti_namespace_mode = True\nmulti_namespace_mode_namespace_list = a%"
    options, _ = read_options(IniConf(text))

    assert (options.multi_namespaces, options.any_namespace) == ((), False)


def test_bad_names_in_namespaces() -> None:
    """A name that is none is left out, the others stay, and each bad one is named once."""
    options, problems = read_options(IniConf("[sa_binding]\nnamespaces = spark,*,reports,*,spark"))

    assert options.namespaces == ("spark", "reports")
    assert [str(problem) for problem in problems] == [
        "[sa_binding] namespaces: '*' is not a namespace's name; correct it; until then it is left out"
    ]


def test_bad_name_of_the_executors_namespace() -> None:
    """The executor's namespace has a safe stand-in."""
    options, problems = read_options(IniConf("[kubernetes_executor]\nnamespace = Air Flow"))

    assert options.executor_namespace == "default"
    assert [str(problem) for problem in problems] == [
        (
            "[kubernetes_executor] namespace: 'Air Flow' is not a namespace's name; "
            "correct it; until then it is 'default'"
        )
    ]


def test_relative_bindings_file() -> None:
    """A relative path means another file in every process, so it is refused."""
    options, problems = read_options(IniConf("[sa_binding]\nbindings_file = sa_bindings.yaml"))

    assert options.bindings_file is None
    assert [str(problem) for problem in problems] == [
        (
            "[sa_binding] bindings_file: must be an absolute path, got 'sa_bindings.yaml'; "
            "write the whole path, from / on"
        )
    ]


def test_lone_percent_sign() -> None:
    """A '%' that configparser takes for an interpolation is explained, and nothing of the value is shown."""
    assert messages("[kubernetes]\ngcp_service_accounts = a@b.c=/opt/100%/x.json") == [
        "[kubernetes] gcp_service_accounts: cannot be read because of a lone '%'; write '%%' for '%'"
    ]


AIRFLOW_CFG = """
[kubernetes]
gcp_service_accounts =
  etl@acme.iam.gserviceaccount.com=/opt/etl.json,
  ads@acme.iam.gserviceaccount.com=/opt/ads.json
[kubernetes_executor]
namespace = airflow
[sa_binding]
bindings_file = /opt/sa_bindings.yaml
[team_a=kubernetes]
gcp_service_accounts = a@acme.iam.gserviceaccount.com=/opt/a.json
"""

READ_OPTIONS = """
import warnings
from airflow.configuration import conf
{before}
warnings.simplefilter("error")
from airflow_sa_binding.config.options import read_options
options, problems = read_options(conf)
print("RESULT", repr(options.gcp_service_accounts), options.gcp_service_accounts_source, options.bindings_file,
      options.sync_interval_seconds, options.executor_namespace, [str(problem) for problem in problems])
"""


def read_in_airflow(home: Path, before: str = "", **environment: str) -> str:
    """Read the options in a real Airflow of its own, with warnings as errors."""
    (home / "airflow.cfg").write_text(AIRFLOW_CFG)
    run = subprocess.run(
        [sys.executable, "-c", READ_OPTIONS.format(before=before)],
        env={**os.environ, "AIRFLOW_HOME": str(home), **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return run.stdout.partition("RESULT ")[2].strip()


def test_options_that_are_misspelt() -> None:
    """An option that nobody reads would leave its default in force, silently."""
    conf = IniConf("[sa_binding]\nbinding_file = /x\nprune_all = True\nbindings_file_cmd = cat\n")

    _, problems = read_options(conf)

    assert [str(problem) for problem in problems] == [
        "[sa_binding]: unknown option 'binding_file'; did you mean 'bindings_file'?",
        (
            "[sa_binding]: unknown option 'prune_all'; "
            "the options are bindings_file, sync_interval_seconds, prune, namespaces"
        ),
    ]


def test_options_that_cannot_be_listed() -> None:
    """A lone percent sign is told once, by the option that holds it."""
    _, problems = read_options(IniConf("[sa_binding]\nbindings_file = /a%b\n"))

    assert [problem.field for problem in problems] == ["[sa_binding] bindings_file"]


def test_airflows_own_configuration(tmp_path: Path) -> None:
    """Airflow's configuration object answers from the file, without a warning about sections' names."""
    assert read_in_airflow(tmp_path) == (
        "'etl@acme.iam.gserviceaccount.com=/opt/etl.json,\\nads@acme.iam.gserviceaccount.com=/opt/ads.json' "
        "[kubernetes] gcp_service_accounts /opt/sa_bindings.yaml 60 airflow []"
    )


def test_airflows_environment_variables(tmp_path: Path) -> None:
    """Environment variables win over the file, as for every option."""
    assert (
        read_in_airflow(
            tmp_path,
            AIRFLOW__KUBERNETES__GCP_SERVICE_ACCOUNTS="b@acme.iam.gserviceaccount.com=/opt/b.json",
            AIRFLOW__SA_BINDING__BINDINGS_FILE="/etc/b.yaml",
            AIRFLOW__SA_BINDING__SYNC_INTERVAL_SECONDS="7",
        )
        == "'b@acme.iam.gserviceaccount.com=/opt/b.json' [kubernetes] gcp_service_accounts /etc/b.yaml 7 airflow []"
    )


def test_airflows_two_sections_that_differ(tmp_path: Path) -> None:
    """Even where Airflow takes one section for an alias of the other, the difference is seen."""
    assert read_in_airflow(
        tmp_path,
        AIRFLOW__KUBERNETES_EXECUTOR__GCP_SERVICE_ACCOUNTS="b@acme.iam.gserviceaccount.com=/opt/b.json",
    ) == (
        "'b@acme.iam.gserviceaccount.com=/opt/b.json' [kubernetes_executor] gcp_service_accounts "
        "/opt/sa_bindings.yaml 60 airflow ['[kubernetes_executor] gcp_service_accounts: differs from "
        "[kubernetes] gcp_service_accounts, which is ignored; keep [kubernetes] gcp_service_accounts only']"
    )


@pytest.mark.airflow(">=3.2")
def test_options_of_a_team(tmp_path: Path) -> None:
    """A team has its own accounts, and nothing of the others'."""
    before = "from airflow.executors.base_executor import ExecutorConf; conf = ExecutorConf('team_a')"

    assert read_in_airflow(tmp_path, before, AIRFLOW__TEAM_A___SA_BINDING__SYNC_INTERVAL_SECONDS="5") == (
        "'a@acme.iam.gserviceaccount.com=/opt/a.json' [kubernetes] gcp_service_accounts None 5 default []"
    )
