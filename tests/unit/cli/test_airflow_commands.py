"""The group in Airflow's own command line is the same program."""

from __future__ import annotations

import argparse

import pytest

from airflow_sa_binding.cli.main import build_parser

# Airflow and its dependencies warn of themselves; this package must not.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_sa_binding"),
]


def build_airflows_parser() -> argparse.ArgumentParser:
    """Build a parser of the group as Airflow does."""
    from airflow.cli import cli_parser

    from airflow_sa_binding.cli.airflow_commands import get_sa_binding_cli_commands

    parser = argparse.ArgumentParser(prog="airflow")
    subparsers = parser.add_subparsers(dest="subcommand", metavar="GROUP_OR_COMMAND")
    for group in get_sa_binding_cli_commands():
        cli_parser._add_command(subparsers, group)
    return parser


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "a.py", "-d", "sales", "--task-id", "load", "--map-index", "3", "-o", "diff"],
        ["render", "--pod", "-", "-v"],
        ["sync", "--dry-run", "--prune", "--output", "json"],
        ["sync"],
    ],
)
def test_both_programs_read_arguments_alike(arguments: list[str]) -> None:
    """Every argument means the same to `airflow sa-binding` and to `airflow-sa-binding`."""
    ours = vars(build_parser().parse_args(arguments))
    airflows = vars(build_airflows_parser().parse_args(["sa-binding", *arguments]))

    assert {name: value for name, value in ours.items() if name != "command"} == {
        name: value for name, value in airflows.items() if name not in ("func", "subcommand")
    }


def test_a_failure_reaches_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """Airflow ignores what a command returns, so a status other than 0 ends the program."""
    arguments = build_airflows_parser().parse_args(["sa-binding", "render"])

    with pytest.raises(SystemExit) as exit_status:
        arguments.func(arguments)

    assert exit_status.value.code == 2
    assert capsys.readouterr().err == "error: give either a DAG_FILE or --pod POD_FILE\n"
