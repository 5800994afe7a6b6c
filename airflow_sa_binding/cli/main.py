"""The console script `airflow-sa-binding`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

import airflow_sa_binding
from airflow_sa_binding.cli.commands import COMMANDS, DESCRIPTION, PROGRAM

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130
"""What a shell reports of a program that Ctrl-C ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 refused or problems found, 2 wrong usage."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return 2
    command = next(each for each in COMMANDS if each.name == arguments.command)
    try:
        status = command.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    return status


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=f"examples:\n{COMMANDS[0].examples}\n\n{PROGRAM} COMMAND --help tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"{PROGRAM} {airflow_sa_binding.__version__}"
    parser.add_argument("--version", action="version", version=version)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.name,
            help=command.help,
            description=command.description,
            epilog=command.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for option in command.options:
            subparser.add_argument(*option.flags, help=option.help, **option.settings)
    return parser


if __name__ == "__main__":
    sys.exit(main())
