"""The one form in which this project says that something is wrong.

Every message is one line, `<field>: <problem>, got <value>; <remedy>`, and never shows a key, a token, or more
than a glimpse of a value that somebody else wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_VALUE = 80
_SECRET_LOOKING = re.compile(r"PRIVATE KEY|private_key|eyJ[A-Za-z0-9_-]{10,}|ya29\.")
_NOT_GIVEN = object()


def describe(value: object) -> str:
    """Show a value that somebody else wrote, shortened, and hidden where it could be a key or a token."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)[:_LONGEST_VALUE]
    if not isinstance(value, str):
        return type(value).__name__
    if _SECRET_LOOKING.search(value[:4096]):
        return f"a str of {len(value)} characters that is not shown"
    if len(value) > _LONGEST_VALUE:
        return f"{value[: _LONGEST_VALUE // 2]!r}... ({len(value)} characters)"
    return repr(value)


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known word, or an empty string where none is near."""
    near = get_close_matches(str(given)[:256], list(known), n=1, cutoff=0.75)
    return f"did you mean {near[0]!r}?" if near else ""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what, and what to do about it."""

    field: str
    """The path of the field as its author wrote it, e.g. `executor_config["gcp-service-account"].name`."""
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}; {self.remedy}"


class Refused(Exception):  # noqa: N818 - the word that users read in the audit log
    """A request or a setting cannot be honoured; `str()` is the one line that its author is shown."""

    def __init__(self, field: str, problem: str, *, remedy: str, got: object = _NOT_GIVEN) -> None:
        if got is not _NOT_GIVEN:
            problem = f"{problem}, got {describe(got)}"
        self.problem = Problem(field, problem, remedy)
        super().__init__(str(self.problem))
