"""What the commands are called and take: the one definition behind `airflow-sa-binding` and `airflow sa-binding`.

Imports nothing but the standard library, so that help is there at once.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

PROGRAM = "airflow-sa-binding"
DESCRIPTION = "Gives every Airflow task pod exactly the cloud identity that its task asks for, and no other."


class WrongUsage(Exception):  # noqa: N818 - what the user did
    """The command line asks for what there is not; `str()` is the one line that the user is shown."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One argument of a command."""

    flags: tuple[str, ...]
    help: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `ArgumentParser.add_argument`."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command, with the function that runs it."""

    name: str
    help: str
    description: str
    examples: str
    options: tuple[Option, ...]
    module: str
    """Has `run(arguments) -> exit status`; imported when the command is run."""

    @property
    def epilog(self) -> str:
        """Return what stands below the options in the help."""
        return f"examples:\n{self.examples}"

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the command and return its exit status."""
        status: int = importlib.import_module(self.module).run(arguments)
        return status


_VERBOSE = Option(
    flags=("-v", "--verbose"),
    help="show what Airflow logs, warns of and prints meanwhile, on stderr",
    settings={"action": "store_true"},
)


def _output(*choices: str) -> Option:
    return Option(
        flags=("-o", "--output"),
        help=f"one of {', '.join(choices)} (default: {choices[0]})",
        settings={"choices": choices, "default": choices[0], "metavar": "FORMAT"},
    )


RENDER = Command(
    name="render",
    help="show the pods that the executor would create",
    description=(
        "Show the pods that the executor would create for the tasks of a DAG file, or what the hook makes of a pod.\n"
        "Needs no cluster and no metadata database. Exit status: 0 done, 1 something was refused, 2 wrong usage."
    ),
    examples=(
        f"  {PROGRAM} render dags/sales.py\n"
        f"  {PROGRAM} render dags/sales.py --task-id load --output diff\n"
        f"  {PROGRAM} render dags/sales.py --output table\n"
        f"  {PROGRAM} render dags/sales.py | kubectl create --dry-run=server -f -\n"
        f"  kubectl get pod my-pod -o yaml | {PROGRAM} render --pod - --output diff"
    ),
    options=(
        Option(
            flags=("dag_file",),
            help="the Python file with the DAGs",
            settings={"metavar": "DAG_FILE", "nargs": "?"},
        ),
        Option(
            flags=("--pod",),
            help="a file with manifests of pods instead of a DAG file, or - for stdin",
            settings={"metavar": "POD_FILE"},
        ),
        Option(flags=("-d", "--dag-id"), help="only the tasks of this DAG", settings={"metavar": "DAG_ID"}),
        Option(flags=("-t", "--task-id"), help="only this task", settings={"metavar": "TASK_ID"}),
        Option(
            flags=("--map-index",),
            help="which instance of mapped tasks to show (default: 0)",
            settings={"metavar": "N", "type": int, "default": 0},
        ),
        _output("yaml", "json", "diff", "table"),
        _VERBOSE,
    ),
    module="airflow_sa_binding.cli.render",
)

SYNC = Command(
    name="sync",
    help="bring the managed Secrets up to date once",
    description=(
        "Bring the managed Secrets up to date once, as every scheduler does by itself, and show what was done.\n"
        "Exit status: 0 done, 1 something failed, 2 wrong usage."
    ),
    examples=(
        f"  {PROGRAM} sync --dry-run\n  {PROGRAM} sync\n  {PROGRAM} sync --prune --dry-run --output json"
    ),
    options=(
        Option(
            flags=("--dry-run",),
            help="show what would be done, and do nothing",
            settings={"action": "store_true"},
        ),
        Option(
            flags=("--prune",),
            help="also delete managed Secrets of accounts that are no longer listed",
            settings={"action": "store_true"},
        ),
        _output("table", "yaml", "json"),
        _VERBOSE,
    ),
    module="airflow_sa_binding.cli.sync",
)

COMMANDS = (RENDER, SYNC)
