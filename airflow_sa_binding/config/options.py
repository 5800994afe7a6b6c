"""The options of airflow.cfg that this project reads, as plain values.

The only module that knows Airflow's configuration object, and it knows no more of it than `get`. It must not open
a file or import Airflow.
"""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from airflow_sa_binding.binding.errors import Problem, describe, did_you_mean

SECTION = "sa_binding"
ACCOUNTS_OPTION = "[kubernetes] gcp_service_accounts"
EXECUTOR_ACCOUNTS_OPTION = "[kubernetes_executor] gcp_service_accounts"
BINDINGS_FILE_OPTION = f"[{SECTION}] bindings_file"

OPTIONS = ("bindings_file", "sync_interval_seconds", "prune", "namespaces")
"""Every option of our own section."""

LISTING_OPTIONS = (ACCOUNTS_OPTION, EXECUTOR_ACCOUNTS_OPTION, BINDINGS_FILE_OPTION)
"""Where accounts are listed: what is wrong with one of these may hide an account."""

DEFAULT_SYNC_INTERVAL_SECONDS = 60
LONGEST_SYNC_INTERVAL_SECONDS = 86400
"""A day: a rotated key must arrive, and what waits in between must not overflow."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_BOOLEANS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}
"""The words of Airflow's own `getboolean`."""


class Conf(Protocol):
    """What is needed of `airflow.configuration.conf`, or of the `ExecutorConf` of one team."""

    def get(self, section: str, key: str, *, fallback: str | None = None) -> str | None:
        """Return the text of an option."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options, of which `gcp_service_accounts` is still to be parsed."""

    gcp_service_accounts: str = ""
    gcp_service_accounts_source: str = ACCOUNTS_OPTION
    """The option that `gcp_service_accounts` comes from, for messages."""
    bindings_file: Path | None = None
    sync_interval_seconds: int = DEFAULT_SYNC_INTERVAL_SECONDS
    prune: bool = False
    namespaces: tuple[str, ...] = ()
    """Further namespaces in which pods with an identity run, such as those of KubernetesPodOperator."""
    executor_namespace: str = "default"
    multi_namespaces: tuple[str, ...] = ()
    """The namespaces that multi-namespace mode lists."""
    any_namespace: bool = False
    """Whether multi-namespace mode is on without a list."""


def read_options(conf: Conf) -> tuple[Options, tuple[Problem, ...]]:
    """Read every option; a bad value becomes a problem and its safe default, never an exception."""
    reader = _Reader(conf)
    reader.check_names()
    accounts, source = reader.accounts()
    multi_namespaces, any_namespace = reader.multi_namespaces()
    options = Options(
        gcp_service_accounts=accounts,
        gcp_service_accounts_source=source,
        bindings_file=reader.bindings_file(),
        sync_interval_seconds=reader.sync_interval_seconds(),
        prune=reader.boolean(SECTION, "prune"),
        namespaces=reader.namespaces(),
        executor_namespace=reader.executor_namespace(),
        multi_namespaces=multi_namespaces,
        any_namespace=any_namespace,
    )
    return options, tuple(reader.problems)


class _Reader:
    """Collects the problems of the options that it reads."""

    def __init__(self, conf: Conf) -> None:
        self._conf = conf
        self.problems: list[Problem] = []

    def check_names(self) -> None:
        """Look for misspelt options in our own section, where Airflow's configuration object can list it."""
        list_section: Any = getattr(self._conf, "getsection", None)
        if list_section is None:
            return
        try:
            given = list_section(SECTION) or {}
        except configparser.Error:
            # A lone '%': the option that holds it says so itself.
            return
        for name in given:
            if name not in OPTIONS and re.sub("_(cmd|secret)$", "", name) not in OPTIONS:
                remedy = did_you_mean(name, OPTIONS) or f"the options are {', '.join(OPTIONS)}"
                self._add(f"[{SECTION}]", f"unknown option {describe(name)}", remedy)

    def accounts(self) -> tuple[str, str]:
        """Return `gcp_service_accounts` and the option that it comes from."""
        executor = self._own_text("kubernetes_executor", "gcp_service_accounts")
        shared = self._own_text("kubernetes", "gcp_service_accounts")
        if executor and shared and executor != shared:
            self._add(
                EXECUTOR_ACCOUNTS_OPTION,
                f"differs from {ACCOUNTS_OPTION}, which is ignored",
                f"keep {ACCOUNTS_OPTION} only",
            )
        return (executor, EXECUTOR_ACCOUNTS_OPTION) if executor else (shared, ACCOUNTS_OPTION)

    def bindings_file(self) -> Path | None:
        text = self._text(SECTION, "bindings_file")
        if not text:
            return None
        if not text.startswith("/") or not text.isprintable():
            problem = f"must be an absolute path, got {describe(text)}"
            self._add(BINDINGS_FILE_OPTION, problem, "write the whole path, from / on")
            return None
        return Path(text)

    def sync_interval_seconds(self) -> int:
        text = self._text(SECTION, "sync_interval_seconds", default=str(DEFAULT_SYNC_INTERVAL_SECONDS))
        # Nine digits keep int() far from its own limits.
        value = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
        if 1 <= value <= LONGEST_SYNC_INTERVAL_SECONDS:
            return value
        self._add(
            f"[{SECTION}] sync_interval_seconds",
            f"must be a whole number from 1 to {LONGEST_SYNC_INTERVAL_SECONDS}, got {describe(text)}",
            f"correct it or drop it; until then it is {DEFAULT_SYNC_INTERVAL_SECONDS}",
        )
        return DEFAULT_SYNC_INTERVAL_SECONDS

    def boolean(self, section: str, key: str) -> bool:
        text = self._text(section, key, default="False")
        # Airflow takes a comment behind a boolean.
        value = _BOOLEANS.get(text.partition("#")[0].strip().lower())
        if value is None:
            problem = f"must be True or False, got {describe(text)}"
            self._add(f"[{section}] {key}", problem, "correct it or drop it; until then it is False")
        return value is True

    def multi_namespaces(self) -> tuple[tuple[str, ...], bool]:
        """Return the namespaces of multi-namespace mode, and whether it is on without a list."""
        # Without the mode, the executor does not look at the list.
        if not self.boolean("kubernetes_executor", "multi_namespace_mode"):
            return (), False
        key = "multi_namespace_mode_namespace_list"
        # A list that cannot be read is one without names, not the absence of a list.
        text = self._text("kubernetes_executor", key, unreadable=",")
        return self._names(f"[kubernetes_executor] {key}", text), not text

    def executor_namespace(self) -> str:
        text = self._text("kubernetes_executor", "namespace")
        if not text:
            return "default"
        if _DNS_LABEL.fullmatch(text):
            return text
        self._bad_namespace("[kubernetes_executor] namespace", text, "correct it; until then it is 'default'")
        return "default"

    def namespaces(self) -> tuple[str, ...]:
        return self._names(f"[{SECTION}] namespaces", self._text(SECTION, "namespaces"))

    def _names(self, field: str, text: str) -> tuple[str, ...]:
        names = dict.fromkeys(name.strip() for name in re.split(r"[,\n]", text) if name.strip())
        for name in names:
            if not _DNS_LABEL.fullmatch(name):
                self._bad_namespace(field, name, "correct it; until then it is left out")
        return tuple(name for name in names if _DNS_LABEL.fullmatch(name))

    def _bad_namespace(self, field: str, name: str, remedy: str) -> None:
        self._add(field, f"{describe(name)} is not a namespace's name", remedy)

    def _own_text(self, section: str, key: str) -> str:
        """Return an option of this very section.

        Airflow 2.11 takes `[kubernetes]` for an old name of `[kubernetes_executor]`: it answers for one what the
        other says, and warns. Later versions hold them for two sections.
        """
        if "kubernetes_executor" in getattr(self._conf, "deprecated_sections", ()):
            return self._text(section, key, lookup_from_deprecated=False)
        return self._text(section, key)

    def _text(
        self, section: str, key: str, *, default: str = "", unreadable: str | None = None, **lookup: bool
    ) -> str:
        conf: Any = self._conf
        try:
            value = conf.get(section, key, fallback=None, **lookup)
        except configparser.Error:
            # configparser takes a lone '%' for an interpolation. Its message would quote the whole value.
            self._add(f"[{section}] {key}", "cannot be read because of a lone '%'", "write '%%' for '%'")
            return default if unreadable is None else unreadable
        return default if value is None else str(value).strip()

    def _add(self, field: str, problem: str, remedy: str) -> None:
        self.problems.append(Problem(field, problem, remedy))
