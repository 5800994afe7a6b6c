"""Decides what one round of synchronisation does in one namespace. Pure: no calls, no clock, no files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from airflow_sa_binding.binding import names
from airflow_sa_binding.binding.errors import Problem
from airflow_sa_binding.cluster.manifests import ObservedSecret
from airflow_sa_binding.config.key_files import Key
from airflow_sa_binding.config.load import Configuration


class Action(Enum):
    """What becomes of one Secret."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """The key file is bad; the Secret keeps the last good key."""
    PRUNED = "pruned"
    ORPHANED = "orphaned"
    """Its account is no longer listed, and pruning is off."""
    FOREIGN = "foreign"
    """Somebody else's Secret has the name; it is left alone."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The API server could not be asked."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A Secret that should be in a namespace: its key, or why there is none."""

    account: str
    key: Key | None = None
    refusal: str = ""

    @property
    def secret_name(self) -> str:
        """The Secret's name."""
        return names.secret_name(self.account)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the Secrets of every namespace should be."""

    wanted: tuple[Wanted, ...] = ()
    spared: frozenset[str] = frozenset()
    """Names of Secrets that are in use, whoever makes them: they are never pruned."""
    prune: bool = False
    doubt: Problem | None = None
    """Why a Secret whose account does not seem to be listed is not taken for an orphan; with it, nothing is pruned."""


@dataclass(frozen=True, kw_only=True)
class Apply:
    """Write a Secret."""

    key: Key
    observed: ObservedSecret | None
    """What is there now; nothing, or a Secret of ours."""
    message: str = ""
    """Why, where it is neither new nor a new key."""

    @property
    def account(self) -> str:
        """Whose key it is."""
        return self.key.account

    @property
    def action(self) -> Action:
        """What becomes of the Secret."""
        return Action.UPDATED if self.observed else Action.CREATED

    @property
    def is_in_place(self) -> bool:
        """Whether the Secret holds a key of the account already, so that pods may go on with it."""
        return self.observed is not None and self.observed.holds_key_of(self.account)


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Delete a Secret of ours."""

    account: str
    observed: ObservedSecret

    @property
    def action(self) -> Action:
        """What becomes of the Secret."""
        return Action.PRUNED


@dataclass(frozen=True, kw_only=True)
class Leave:
    """Do nothing but report."""

    account: str
    action: Action
    message: str = ""
    is_known: bool = False
    """Whether the message is about the configuration, which names its problems itself."""


Step: TypeAlias = Apply | Delete | Leave


def build_goal(
    configuration: Configuration, keys: Mapping[str, Key], refusals: Mapping[str, str], *, prune: bool
) -> Goal:
    """Build what every namespace should hold.

    Arguments:
        configuration: Which accounts are listed.
        keys: The usable keys, by account.
        refusals: Why each of the other keys is not, by account.
        prune: Whether to delete managed Secrets of accounts that are no longer listed. An account that may be
            listed in what could not be read is never taken for one that is not, and neither is any where none is
            listed: a lost environment variable looks just like that.
    """
    unusable = {**configuration.settings.unusable, **refusals}
    wanted = [Wanted(account=account, key=key) for account, key in keys.items() if account not in unusable]
    wanted += [Wanted(account=account, refusal=refusal) for account, refusal in unusable.items()]
    identities = configuration.settings.identities.values()
    doubt = _doubt(configuration)
    return Goal(
        wanted=tuple(wanted),
        # A Secret that is listed with `secretName` may have been one of ours before.
        spared=frozenset(
            {one.secret_name for one in wanted} | {one.delivery.secret_name for one in identities}
        ),
        prune=prune and doubt is None,
        doubt=doubt,
    )


def _doubt(configuration: Configuration) -> Problem | None:
    if not configuration.is_complete:
        problem = "it could not be read whole, so no Secret is taken for one that is no longer wanted"
        # A bindings file without accounts is no problem by itself, but may be one that is being written.
        empty = "list an account in the bindings file, or take bindings_file out of [sa_binding]"
        return Problem(
            "configuration", problem, "mend its other problems first" if configuration.problems else empty
        )
    if not configuration.listed_accounts:
        problem = "no account is listed, so no Secret is taken for one that is no longer wanted"
        return Problem("configuration", problem, "list the accounts, or delete the Secrets with kubectl")
    return None


def plan(goal: Goal, observed: Mapping[str, ObservedSecret], *, namespace: str) -> tuple[Step, ...]:
    """Return the steps from what is in a namespace to what should be.

    Arguments:
        goal: What should be.
        observed: Every Secret of the namespace, whoever made it, by name.
        namespace: For messages.
    """
    steps = [
        plan_one(wanted, observed.get(wanted.secret_name), namespace=namespace) for wanted in goal.wanted
    ]
    return (*steps, *_plan_orphans(goal, observed.values(), namespace=namespace))


def plan_one(wanted: Wanted, observed: ObservedSecret | None, *, namespace: str) -> Apply | Leave:
    """Return the step for one Secret that should be there."""
    account, key = wanted.account, wanted.key
    where = describe_secret(namespace, account)
    if observed is not None and not observed.is_managed:
        foreign = Problem(
            where,
            f"is somebody else's, without the label {names.MANAGED_BY_LABEL}={names.MANAGER}, and is left alone",
            "delete it, or list the account with secretName in the bindings file",
        )
        return Leave(account=account, action=Action.FOREIGN, message=str(foreign))
    holds_key = observed is not None and observed.holds_key_of(account)
    if key is not None:
        if observed is not None and holds_key and observed.content_sha256 == key.sha256:
            return Leave(account=account, action=Action.UNCHANGED)
        is_repair = observed is not None and not holds_key
        message = f"{where}: was changed by somebody else and is put right" if is_repair else ""
        return Apply(key=key, observed=observed, message=message)
    if holds_key:
        return Leave(account=account, action=Action.KEPT, message=wanted.refusal, is_known=True)
    if observed is None:
        return Leave(account=account, action=Action.FAILED, message=wanted.refusal, is_known=True)
    message = f"{where}: was changed by somebody else and cannot be repaired: {wanted.refusal}"
    return Leave(account=account, action=Action.FAILED, message=message)


def describe_secret(namespace: str, account: str) -> str:
    """Name a managed Secret for a message."""
    return f"Secret {namespace}/{names.secret_name(account)} of {account}"


def _plan_orphans(goal: Goal, observed: Iterable[ObservedSecret], *, namespace: str) -> Iterator[Step]:
    for secret in observed:
        account = secret.account
        # The label alone is easily copied to a Secret that this project never made.
        if not secret.is_managed or account is None or secret.name != names.secret_name(account):
            continue
        if secret.name in goal.spared:
            continue
        if goal.prune:
            yield Delete(account=account, observed=secret)
            continue
        remedy = "delete it with prune = True in [sa_binding], or with `airflow-sa-binding sync --prune`"
        orphaned = Problem(
            describe_secret(namespace, account),
            "its account is not among those that were read"
            if goal.doubt
            else "its account is no longer listed",
            goal.doubt.remedy if goal.doubt else remedy,
        )
        yield Leave(account=account, action=Action.ORPHANED, message=str(orphaned))
