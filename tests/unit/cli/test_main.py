"""The program around the commands: help, version, usage, and how little it imports for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_sa_binding.cli.main import main

HELP = """\
usage: airflow-sa-binding [-h] [--version] COMMAND ...

Gives every Airflow task pod exactly the cloud identity that its task asks for, and no other.

options:
  -h, --help  show this help message and exit
  --version   show program's version number and exit

commands:
  COMMAND
    render    show the pods that the executor would create
    sync      bring the managed Secrets up to date once

examples:
  airflow-sa-binding render dags/sales.py
  airflow-sa-binding render dags/sales.py --task-id load --output diff
  airflow-sa-binding render dags/sales.py --output table
  airflow-sa-binding render dags/sales.py | kubectl create --dry-run=server -f -
  kubectl get pod my-pod -o yaml | airflow-sa-binding render --pod - --output diff

airflow-sa-binding COMMAND --help tells more.
"""

HEAVY = """
import sys
from airflow_sa_binding.cli.main import main
try:
    main(["render", "--help"])
except SystemExit:
    print(sorted({"airflow", "kubernetes", "rich", "yaml"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep argparse from wrapping."""
    monkeypatch.setenv("COLUMNS", "120")


def test_help_lists_the_commands_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` prints what the program is, its commands and examples."""
    with pytest.raises(SystemExit) as exit_status:
        main(["--help"])

    assert (exit_status.value.code, capsys.readouterr()) == (0, (HELP, ""))


def test_no_command_prints_the_help_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command nothing is done: exit status 2, with the help where words go."""
    status = main([])

    assert (status, capsys.readouterr()) == (2, ("", HELP))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the program's name and version."""
    with pytest.raises(SystemExit) as exit_status:
        main(["--version"])

    assert (exit_status.value.code, capsys.readouterr()) == (0, ("airflow-sa-binding 0.1.0\n", ""))


@pytest.mark.parametrize("command", ["render", "sync"])
def test_every_command_has_examples_in_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of each command ends with examples of it."""
    with pytest.raises(SystemExit) as exit_status:
        main([command, "--help"])

    assert exit_status.value.code == 0
    assert f"\nexamples:\n  airflow-sa-binding {command} " in capsys.readouterr().out


def test_an_unknown_format_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """`--output` takes the formats that there are."""
    with pytest.raises(SystemExit) as exit_status:
        main(["sync", "--output", "xml"])

    assert exit_status.value.code == 2
    assert capsys.readouterr().out == ""


def test_help_imports_nothing_heavy() -> None:
    """Help imports neither Airflow nor the Kubernetes client, rich or yaml."""
    run = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True, check=True)

    assert run.stderr == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: give either a DAG_FILE or --pod POD_FILE\n"),
        (["a.py", "--pod", "b.yaml"], "error: give either a DAG_FILE or --pod POD_FILE\n"),
        (
            ["--pod", "b.yaml", "--task-id", "load"],
            "error: --dag-id and --task-id choose from a DAG_FILE; they do not go with --pod\n",
        ),
        (["a.py", "--map-index", "-2"], "error: --map-index must be 0 or more, got -2\n"),
    ],
)
def test_render_refuses_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arguments that do not go together are refused with exit status 2, before anything is imported."""
    status = main(["render", *arguments])

    assert (status, capsys.readouterr()) == (2, ("", message))
