"""What every measurement is given: a folder, how thorough to be, a cluster on demand, and somebody to tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.control_plane import ControlPlane

QUICK_DIVISOR = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """The surroundings of a measurement."""

    folder: Path
    """For files; empty at first."""
    is_quick: bool
    cluster: Callable[[], ControlPlane]
    """Started at the first call."""

    def count(self, repetitions: int) -> int:
        """Return how often to repeat: as often as is asked for, or a tenth of that."""
        return max(2, repetitions // QUICK_DIVISOR) if self.is_quick else repetitions

    def say(self, text: str) -> None:
        """Tell whoever waits what goes on."""
        print(text, file=sys.stderr, flush=True)

    def progress(self, what: str, total: int) -> Callable[[int], None]:
        """Return what tells, a few times in all, how many of `total` are done."""

        def done(number: int) -> None:
            if number == total or number % max(1, total // 4) == 0:
                self.say(f"  {what}: {number:,} of {total:,}")

        return done


@contextmanager
def options(**values: object) -> Iterator[None]:
    """Set options of Airflow for a while, as `section__name="value"`."""
    variables = {f"AIRFLOW__{name.upper()}": str(value) for name, value in values.items()}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
