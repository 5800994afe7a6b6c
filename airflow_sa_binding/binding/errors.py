"""The one form in which this project says that something is wrong.

Every message is one line, `<field>: <problem>, got <value>; <remedy>`, and never shows a key, a token, or more
than a glimpse of a value that somebody else wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from airflow_sa_binding.binding.plain import plain_text, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LONGEST_VALUE = 80
_MOST_BITS = 256
_SECRET_LOOKING = re.compile(
    r"PRIVATE KEY|private_key|client_secret|refresh_token|eyJ[A-Za-z0-9_-]{10,}|ya29\."
)
# Tokens and keys in the part that would be shown: of well-known kinds, or long, without a separator, and mixed.
_TOKEN_LOOKING = re.compile(
    r"AIza|GOCSPX-|1//0|hvs\.|gh[oprsu]_|"
    r"(?=[A-Za-z+=]*[0-9])(?=[A-Z0-9+=]*[a-z])(?=[a-z0-9+=]*[A-Z])[A-Za-z0-9+=]{32}|(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{40}"
)
_MOST_NAMED = 8
_NOT_GIVEN = object()


def describe(value: object) -> str:
    """Show a value that somebody else wrote, shortened, and hidden where it could be a key or a token."""
    if value is None or type(value) in (bool, float):
        return repr(value)
    if type(value) is int:
        return repr(value) if value.bit_length() <= _MOST_BITS else f"an int of {value.bit_length()} bits"
    text = plain_text(value)
    if text is None:
        name = type_name(value)
        return name if name.isidentifier() and len(name) <= _LONGEST_VALUE else "an object"
    if _SECRET_LOOKING.search(text[:4096]) or _TOKEN_LOOKING.search(text[:_LONGEST_VALUE]):
        return f"a str of {len(text)} characters that is not shown"
    if len(text) > _LONGEST_VALUE:
        return f"{text[: _LONGEST_VALUE // 2]!r}... ({len(text)} characters)"
    return repr(text)


def some_of(names: Iterable[object]) -> str:
    """List the first few of many names that somebody else wrote."""
    every = list(names)
    shown = ", ".join(describe(name) for name in every[:_MOST_NAMED])
    return shown if len(every) <= _MOST_NAMED else f"{shown} and {len(every) - _MOST_NAMED} more"


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known word, or an empty string where none is near."""
    near = nearest(given, known)
    return "" if near is None else f"did you mean {near!r}?"


def nearest(given: object, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest to what was given, if one is near."""
    text = plain_text(given)
    near = get_close_matches(text[:256], list(known), n=1, cutoff=0.75) if text is not None else []
    return near[0] if near else None


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

    def __reduce__(self) -> tuple[Callable[[Problem], Refused], tuple[Problem]]:
        # An exception is rebuilt from its one line otherwise, which fails where it is sent to another process.
        return _refused, (self.problem,)


def _refused(problem: Problem) -> Refused:
    return Refused(problem.field, problem.problem, remedy=problem.remedy)
