"""From airflow.cfg and the bindings file to the settings of the pure core, with every problem named.

Nothing here raises for a bad configuration: whatever can be used is used, and the rest fails closed with its reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from airflow_sa_binding.binding import names
from airflow_sa_binding.binding.errors import Problem, Refused, describe
from airflow_sa_binding.binding.identity import Identity, KeySecret, Settings
from airflow_sa_binding.config.accounts import Accounts, find_shared, parse_accounts
from airflow_sa_binding.config.bindings_file import (
    BindingsFile,
    FileAccount,
    account_field,
    load_bindings_file,
)
from airflow_sa_binding.config.key_files import Key, load_key_file
from airflow_sa_binding.config.options import (
    DEFAULT_SYNC_INTERVAL_SECONDS,
    LISTING_OPTIONS,
    Conf,
    Options,
    read_options,
)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Everything that the platform engineer configured."""

    settings: Settings
    key_paths: Mapping[str, Path] = field(default_factory=dict)
    """Where the keys of usable accounts with managed Secrets are, by account."""
    sync_interval_seconds: int = DEFAULT_SYNC_INTERVAL_SECONDS
    prune: bool = False
    is_complete: bool = True
    """Whether every account that is listed is in `settings`, usable or not.

    Without it, an account that is missing may be listed in what could not be read: nothing may be pruned.
    """
    problems: tuple[Problem, ...] = ()
    """Everything that is wrong, in the order in which it was found."""

    @property
    def listed_accounts(self) -> frozenset[str]:
        """Every account that is listed, usable or not: its managed Secret stays."""
        return frozenset((*self.settings.identities, *self.settings.unusable))


def load_configuration(conf: Conf) -> Configuration:
    """Read the options and the bindings file, but no key file: task pods, which run the hook, have none.

    Arguments:
        conf: `airflow.configuration.conf`, or the `ExecutorConf` of a team.
    """
    options, option_problems = read_options(conf)
    accounts = parse_accounts(options.gcp_service_accounts, options.gcp_service_accounts_source)
    bindings = load_bindings_file(options.bindings_file) if options.bindings_file else BindingsFile()
    conflicts = _find_conflicts(options, accounts, bindings)
    unusable = {**accounts.unusable, **bindings.unusable, **conflicts}
    listed = {name: FileAccount(key_file=path) for name, path in accounts.key_paths.items()}
    usable = {name: one for name, one in {**listed, **bindings.accounts}.items() if name not in unusable}
    whole = [problem for problem in option_problems if problem.field in LISTING_OPTIONS]
    whole += [*accounts.problems, *bindings.problems]
    # A file that is being rewritten in place is empty for a moment, which is no reason to prune what it lists.
    is_file_empty = options.bindings_file is not None and not bindings.accounts and not bindings.unusable
    namespaces = (options.executor_namespace, *options.multi_namespaces, *options.namespaces)
    settings = Settings(
        identities={name: _build_identity(name, account) for name, account in usable.items()},
        unusable={name: str(problem) for name, problem in unusable.items()},
        problems=tuple(str(problem) for problem in whole),
        namespaces=tuple(dict.fromkeys(namespaces)),
        fenced=bindings.secret_names,
        any_namespace=options.any_namespace,
    )
    return Configuration(
        settings=settings,
        key_paths={name: one.key_file for name, one in usable.items() if one.key_file is not None},
        sync_interval_seconds=options.sync_interval_seconds,
        prune=options.prune,
        is_complete=not whole and not is_file_empty,
        # Each once: a field that is not known is the problem of the file and of all its accounts.
        problems=tuple(dict.fromkeys((*option_problems, *whole, *unusable.values()))),
    )


def load_keys(
    configuration: Configuration, known: Mapping[str, Key] | None = None
) -> tuple[Mapping[str, Key], Mapping[str, str]]:
    """Read and check the key file of every account with a managed Secret.

    Arguments:
        configuration: What to read.
        known: The keys of an earlier call: files that have not changed are read but not checked again.

    Returns:
        The usable keys, and the message for each key that is not, both by account.
    """
    keys: dict[str, Key] = {}
    refusals: dict[str, str] = {}
    for account, path in configuration.key_paths.items():
        before = known.get(account) if known else None
        try:
            keys[account] = load_key_file(account, path, known=before)
        except Refused as refused:
            refusals[account] = str(refused)
    return keys, refusals


def with_projects(configuration: Configuration, keys: Mapping[str, Key]) -> Configuration:
    """Give each identity without a configured project the one that its key names."""
    identities = {
        name: replace(identity, project=keys[name].project_id)
        if identity.project is None and name in keys
        else identity
        for name, identity in configuration.settings.identities.items()
    }
    return replace(configuration, settings=replace(configuration.settings, identities=identities))


def _find_conflicts(options: Options, accounts: Accounts, bindings: BindingsFile) -> dict[str, Problem]:
    """Find accounts that are listed in both places, or that share a key file or a Secret with another."""
    file = str(options.bindings_file)
    in_file = {name: account_field(file, name) for name in (*bindings.accounts, *bindings.unusable)}
    paths = {name: one.key_file for name, one in bindings.accounts.items() if one.key_file is not None}
    # Two spellings of a path are one file; where links lead is not for every reader of this to know.
    key_files = {name: os.path.normpath(path) for name, path in {**paths, **accounts.key_paths}.items()}
    # The name of a managed Secret ends in 32 bits of a hash, which two accounts may have in common.
    secrets = {name: names.secret_name(name) for name in key_files}
    secrets |= {name: one.secret_name for name, one in bindings.accounts.items() if one.secret_name}
    sources = {**in_file, **accounts.sources}
    conflicts = find_shared(key_files, "key file", sources)
    conflicts |= find_shared(secrets, "Secret", sources)
    for name, where in in_file.items():
        if name in accounts.sources:
            problem = f"account {describe(name)} is also listed in {accounts.sources[name]}"
            conflicts[name] = Problem(where, problem, "keep one of the two")
    return conflicts


def _build_identity(name: str, account: FileAccount) -> Identity:
    delivery = KeySecret(
        secret_name=account.secret_name or names.secret_name(name),
        managed=account.secret_name is None,
        default_mode=account.default_mode,
    )
    return Identity(name=name, delivery=delivery, project=account.project)
