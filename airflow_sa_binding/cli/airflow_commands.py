"""The same commands as a group of Airflow's own command line: `airflow sa-binding ...`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

from airflow_sa_binding.cli.commands import COMMANDS, DESCRIPTION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from airflow_sa_binding.cli.commands import Command


def get_sa_binding_cli_commands() -> list[GroupCommand]:
    """Return the group for Airflow's parser."""
    return [
        GroupCommand(
            name="sa-binding",
            help="Identities of task pods",
            description=DESCRIPTION,
            subcommands=tuple(_build_action(command) for command in COMMANDS),
        )
    ]


def _build_action(command: Command) -> ActionCommand:
    return ActionCommand(
        name=command.name,
        # Airflow's formatter takes square brackets for markup; none of the texts holds any.
        help=command.help,
        description=command.description,
        epilog=command.epilog,
        func=_exiting(command),
        args=tuple(
            Arg(flags=option.flags, help=option.help, **option.settings)  # type: ignore[no-untyped-call]
            for option in command.options
        ),
    )


def _exiting(command: Command) -> Callable[[argparse.Namespace], None]:
    """Wrap a command for Airflow, which ignores what its function returns."""

    def run(arguments: argparse.Namespace) -> None:
        status = command.run(arguments)
        if status:
            sys.exit(status)

    return run
