"""The bindings file: YAML in camelCase, which holds what does not fit a line of airflow.cfg, and no secret.

    gcpServiceAccounts:
      etl@acme.iam.gserviceaccount.com:
        keyFile: /opt/airflow/sa/etl.json    # or secretName: a Secret that somebody else makes
        project: acme-prod
        defaultMode: 0440

One function per level of the file, each of which names the field that it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_sa_binding.binding import names
from airflow_sa_binding.binding.errors import Problem, Refused, describe, did_you_mean
from airflow_sa_binding.binding.identity import DEFAULT_MODE
from airflow_sa_binding.config.accounts import check_account_name, check_path, is_account_name, is_project_id
from airflow_sa_binding.config.files import read_file
from airflow_sa_binding.config.strict_yaml import LONGEST_FILE_BYTES, parse_yaml

_TOP_LEVEL = "gcpServiceAccounts"
_ACCOUNT_FIELDS = ("keyFile", "secretName", "project", "defaultMode")
_LARGEST_MODE = 0o777
# Read as decimal these mean 0620, 0670 and 0674, which nobody wants of a key.
_MODES_WITHOUT_ZERO = {400, 440, 444}

_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_DNS_SUBDOMAIN = 253
_MANAGED_SECRET = re.compile(r"gcp-sa-(?:[a-z0-9-]+-)?[0-9a-f]{8}")


@dataclass(frozen=True, kw_only=True)
class FileAccount:
    """One account of the bindings file, delivered by `key_file` or else by `secret_name`."""

    key_file: Path | None = None
    secret_name: str | None = None
    """A Secret in each namespace, made by somebody else, that holds the key as `key.json`."""
    project: str | None = None
    default_mode: int = DEFAULT_MODE


@dataclass(frozen=True, kw_only=True)
class BindingsFile:
    """The bindings file, as far as it can be used."""

    accounts: Mapping[str, FileAccount] = field(default_factory=dict)
    unusable: Mapping[str, Problem] = field(default_factory=dict)
    """Accounts that are listed but cannot be used, by name."""
    problems: tuple[Problem, ...] = ()
    """Those of the file as a whole; with one of them, no account of the file is usable."""
    secret_names: frozenset[str] = frozenset()
    """Every Secret that the file names, those of unusable accounts too."""


def load_bindings_file(path: Path) -> BindingsFile:
    """Read and parse a bindings file; what is wrong with it becomes a problem, never an exception."""
    try:
        content = read_file(path, field=str(path), limit_bytes=LONGEST_FILE_BYTES)
        return parse_bindings_file(content, str(path))
    except Refused as refused:
        return BindingsFile(problems=(refused.problem,))


def parse_bindings_file(content: bytes, source: str) -> BindingsFile:
    """Parse the content of a bindings file; an empty one lists no accounts.

    Arguments:
        content: The file.
        source: Its path, for messages.

    Raises:
        Refused: The content as a whole cannot be used.
    """
    document = parse_yaml(content, source)
    if document is None:
        return BindingsFile()
    top = _mapping(source, document)
    secret_names = _find_secret_names(top)
    entries = top.get(_TOP_LEVEL)
    where = f"{source}: {_TOP_LEVEL}"
    listed = _mapping(where, entries) if entries is not None else {}
    try:
        # A field that this version does not know may be there to restrict what the accounts may be used for.
        _check_fields(source, top, (_TOP_LEVEL,))
    except Refused as refused:
        return BindingsFile(
            unusable=dict.fromkeys(listed, refused.problem),
            problems=(refused.problem,),
            secret_names=secret_names,
        )
    accounts: dict[str, FileAccount] = {}
    unusable: dict[str, Problem] = {}
    for name, entry in listed.items():
        field_path = account_field(source, name)
        try:
            check_account_name(field_path, name)
            accounts[name] = _account_from_dict(field_path, name, entry)
        except Refused as refused:
            unusable[name] = refused.problem
    return BindingsFile(accounts=accounts, unusable=unusable, secret_names=secret_names)


def account_field(source: str, name: str) -> str:
    """Return the path of an account's entry in a bindings file, for messages."""
    # Anything but an account name could break the line that a message has to be.
    return f'{source}: {_TOP_LEVEL}["{name}"]' if is_account_name(name) else f"{source}: {_TOP_LEVEL}"


def _find_secret_names(top: Mapping[str, object]) -> frozenset[str]:
    """Find every `secretName`, whatever is wrong around it: with the entry, or with the name of the list."""
    lists = [value for value in top.values() if isinstance(value, dict)]
    entries = [entry for each in lists for entry in each.values() if isinstance(entry, dict)]
    named = (entry.get("secretName") for entry in entries)
    return frozenset(name for name in named if isinstance(name, str) and _is_secret_name(name))


def _account_from_dict(where: str, name: str, entry: object) -> FileAccount:
    fields = _mapping(where, entry)
    _check_fields(where, fields, _ACCOUNT_FIELDS)
    if "keyFile" in fields and "secretName" in fields:
        raise Refused(where, "has both keyFile and secretName", remedy="write exactly one of them")
    if "keyFile" not in fields and "secretName" not in fields:
        raise Refused(where, "has neither keyFile nor secretName", remedy="write exactly one of them")
    key_file = secret_name = project = None
    if "keyFile" in fields:
        key_file = check_path(f"{where}.keyFile", _text(f"{where}.keyFile", fields["keyFile"]))
    else:
        secret_name = _secret_name(f"{where}.secretName", name, fields["secretName"])
    if "project" in fields:
        project = _project(f"{where}.project", fields["project"])
    default_mode = DEFAULT_MODE
    if "defaultMode" in fields:
        default_mode = _mode(f"{where}.defaultMode", fields["defaultMode"])
    return FileAccount(key_file=key_file, secret_name=secret_name, project=project, default_mode=default_mode)


def _mapping(where: str, value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise Refused(where, "must be a mapping", got=value, remedy="write 'field: value' lines")


def _check_fields(where: str, fields: Mapping[str, object], known: tuple[str, ...]) -> None:
    for name in fields:
        if name not in known:
            words = "the only field is" if len(known) == 1 else "the fields are"
            remedy = did_you_mean(name, known) or f"{words} {', '.join(known)}"
            raise Refused(where, f"unknown field {describe(name)}", remedy=remedy)


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise Refused(where, "must be text", got=value, remedy="put it in quotes if it is what you mean")
    if not value:
        raise Refused(where, "is empty", remedy="write a value")
    return value


def _is_secret_name(text: str) -> bool:
    return len(text) <= _LONGEST_DNS_SUBDOMAIN and _DNS_SUBDOMAIN.fullmatch(text) is not None


def _secret_name(where: str, account: str, value: object) -> str:
    name = _text(where, value)
    if not _is_secret_name(name):
        remedy = "use up to 253 of a-z, 0-9, '-' and '.', with a letter or digit at both ends"
        raise Refused(where, "must be the name of a Secret", got=name, remedy=remedy)
    if _MANAGED_SECRET.fullmatch(name) and name != names.secret_name(account):
        problem = "has the form of another account's managed Secret"
        raise Refused(where, problem, got=name, remedy="give the Secret another name")
    return name


def _project(where: str, value: object) -> str:
    if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
        raise Refused(where, "must be a project id", got=value, remedy="write the id, not the project number")
    project = _text(where, value)
    if not is_project_id(project):
        remedy = "write the id, such as 'acme-prod', and not the project's display name"
        raise Refused(where, "must be a project id", got=project, remedy=remedy)
    return project


def _mode(where: str, value: object) -> int:
    """Return file mode bits: an integer, as in Kubernetes, for which YAML 1.1 writes octal with a leading 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_MODE:
        remedy = "write it in octal with a leading 0 and no quotes, e.g. 0440"
        raise Refused(where, "must be an integer from 0 to 0777", got=value, remedy=remedy)
    if value in _MODES_WITHOUT_ZERO:
        raise Refused(where, f"is decimal and means 0{value:o}", got=value, remedy=f"write 0{value}")
    return value
