"""What `gcp_service_accounts` says: `name=path` pairs, and the rules for names and paths that others share.

Looks at text only: whether a path leads to the account's key is for `key_files` to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airflow_sa_binding.binding.errors import Problem, Refused, describe

_ACCOUNT_NAME = re.compile(
    r"[a-z0-9][a-z0-9._+-]*@[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+"
)
_LONGEST_ACCOUNT_NAME = 254
# Some old projects are scoped by a domain: example.com:acme.
_PROJECT_ID = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{0,28}[a-z0-9]")
_BINDINGS_FILE_REMEDY = "rename the file or list the account in the bindings file with keyFile"


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """The accounts of `gcp_service_accounts`."""

    key_paths: Mapping[str, Path] = field(default_factory=dict)
    """By account, in the order in which they are listed."""
    unusable: Mapping[str, Problem] = field(default_factory=dict)
    """Accounts that are listed but cannot be used, by name."""
    problems: tuple[Problem, ...] = ()
    """Those that belong to no account."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """The entry of each account, usable or not, for messages."""


def is_account_name(name: str) -> bool:
    """Tell whether a name is an email address as Google gives to service accounts: lower case, with a domain."""
    return len(name) <= _LONGEST_ACCOUNT_NAME and _ACCOUNT_NAME.fullmatch(name) is not None


def check_account_name(source: str, name: str) -> None:
    """Check that a name is a service account's.

    Raises:
        Refused: It is not.
    """
    if not is_account_name(name):
        raise Refused(
            source,
            "account name must be an email address in lower case",
            got=name,
            remedy="write the account's email address, e.g. 'etl@acme.iam.gserviceaccount.com'",
        )


def is_project_id(text: str) -> bool:
    """Tell whether a text can be the id of a Google Cloud project (which a project number cannot)."""
    return _PROJECT_ID.fullmatch(text) is not None


def check_path(source: str, text: str) -> Path:
    """Return the path that a text spells.

    Raises:
        Refused: It is not absolute, or holds characters that no message can show.
    """
    if not text.isprintable():
        raise Refused(source, "path must not hold control characters", got=text, remedy="rename the file")
    if not text.startswith("/"):
        raise Refused(source, "path must be absolute", got=text, remedy="write the whole path, from / on")
    return Path(text)


def parse_accounts(text: str, source: str) -> Accounts:
    """Parse `name=path` pairs, separated by commas or line breaks.

    Arguments:
        text: The value of the option; a comma behind the last pair is fine.
        source: The option, for messages, e.g. `[kubernetes] gcp_service_accounts`.
    """
    key_paths: dict[str, Path] = {}
    unusable: dict[str, Problem] = {}
    problems: list[Problem] = []
    sources: dict[str, str] = {}
    # A line break separates, whether a comma stands before it, after it, or not at all.
    entries = [entry.strip() for entry in re.split(r"[ \t\r]*,?\s*\n\s*,?|,", text.strip())]
    while entries and not entries[-1]:
        entries.pop()
    for number, entry in enumerate(entries, start=1):
        where = f"{source}, entry {number}"
        try:
            name, path_text = _split_entry(where, entry)
        except Refused as refused:
            problems.append(refused.problem)
            continue
        if name in sources:
            problem = f"account {describe(name)} is listed twice"
            unusable[name] = Problem(where, problem, f"keep this entry or that of {sources[name]}")
            continue
        sources[name] = where
        try:
            check_account_name(where, name)
            key_paths[name] = _check_key_path(where, path_text)
        except Refused as refused:
            unusable[name] = refused.problem
    usable = {name: path for name, path in key_paths.items() if name not in unusable}
    return Accounts(key_paths=usable, unusable=unusable, problems=tuple(problems), sources=sources)


def find_shared(uses: Mapping[str, object], what: str, sources: Mapping[str, str]) -> dict[str, Problem]:
    """Find accounts that use one and the same thing, and say so for each of them.

    Arguments:
        uses: What each account uses.
        what: What kind of thing that is, for messages, e.g. `key file`.
        sources: Where each account is listed, for messages.
    """
    users: dict[object, list[str]] = {}
    for name, used in uses.items():
        users.setdefault(used, []).append(name)
    problems = {}
    for used, names in users.items():
        for name in names if len(names) > 1 else ():
            other = next(each for each in names if each != name)
            problems[name] = Problem(
                sources[name],
                f"{what} {describe(str(used))} of {name} is also that of {other}",
                f"give each account its own {what}",
            )
    return problems


def _split_entry(where: str, entry: str) -> tuple[str, str]:
    """Return the name and the path of an entry."""
    if not entry:
        raise Refused(where, "is empty", remedy="drop the extra comma")
    name, equals, path_text = (part.strip() for part in entry.partition("="))
    if not equals:
        remedy = f"write name=path; if a path holds a comma, {_BINDINGS_FILE_REMEDY}"
        raise Refused(where, "has no '='", got=entry, remedy=remedy)
    if not name:
        raise Refused(where, "account name is empty", remedy="write name=path")
    return name, path_text


def _check_key_path(where: str, text: str) -> Path:
    if not text:
        raise Refused(where, "path is empty", remedy="write name=path")
    if "=" in text:
        raise Refused(where, "path must not hold '='", got=text, remedy=_BINDINGS_FILE_REMEDY)
    if re.search(r"\s", text):
        raise Refused(where, "path must not hold spaces", got=text, remedy=_BINDINGS_FILE_REMEDY)
    return check_path(where, text)
