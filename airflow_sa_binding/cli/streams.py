"""Keeps stdout for data and stderr for words, whatever DAG files and Airflow print meanwhile."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STDOUT, _STDERR = 1, 2


def say(words: str) -> None:
    """Tell the user something that is not data."""
    print(words, file=sys.stderr)


@contextmanager
def only_our_words(*, verbose: bool) -> Iterator[None]:
    """Drop what others print, log and warn of, or with `verbose` show it on stderr.

    Some of Airflow's loggers hold on to stdout from when they were made, so the file descriptor itself is turned
    aside. Nothing may be written to stdout inside.
    """
    data = sys.stdout
    data.flush()
    # Not closed: loggers that are made inside keep it, and after this it leads to stdout as before.
    aside = open(_STDOUT, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    kept = os.dup(_STDOUT)
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stdout(aside):
        try:
            _turn(_STDOUT, aside_to_stderr=verbose)
            if not verbose:
                _silence()
            yield
        finally:
            logging.disable(disabled)
            for stream in (data, aside):
                stream.flush()
            os.dup2(kept, _STDOUT)
            os.close(kept)


def _turn(descriptor: int, *, aside_to_stderr: bool) -> None:
    if aside_to_stderr:
        os.dup2(_STDERR, descriptor)
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _silence() -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    # Importing Airflow puts filters of its own in front.
    import airflow.settings  # noqa: F401

    warnings.simplefilter("ignore")
