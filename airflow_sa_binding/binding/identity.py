"""What a task can act as, and how that reaches a container."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MODE = 0o440
"""Airflow's image runs as group 0, which the kubelet makes the group of a Secret's files."""


@dataclass(frozen=True, kw_only=True)
class KeySecret:
    """Delivery of a service-account key by a Secret that holds it as `key.json`."""

    secret_name: str
    managed: bool
    """Whether this project writes the Secret, or somebody else does."""
    default_mode: int = DEFAULT_MODE


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A Google service account that the platform engineer listed."""

    name: str
    """The account's email address."""
    delivery: KeySecret
    project: str | None = None
    """The Google Cloud project id that `GOOGLE_CLOUD_PROJECT` gets, when known."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that deciding about a pod needs to know of the configuration."""

    identities: Mapping[str, Identity] = field(default_factory=dict)
    """By account name."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """Accounts that are listed but cannot be used, with the whole message that says why."""
    problems: tuple[str, ...] = ()
    """What is wrong with the configuration as a whole, one message each (a bindings file that cannot be read)."""
    namespaces: tuple[str, ...] = ("default",)
    """Where task pods may run. The first is the executor's own."""
    fenced: frozenset[str] = frozenset()
    """Secrets that no pod may name by itself, besides those of `identities`: those of unusable accounts too."""
    any_namespace: bool = False
    """Whether the executor watches every namespace (multi-namespace mode without a list)."""

    @cached_property
    def secret_names(self) -> frozenset[str]:
        """The Secrets that hold an identity; looked up for every pod, and there may be thousands."""
        return self.fenced.union(identity.delivery.secret_name for identity in self.identities.values())


def still_fenced(before: Settings, after: Settings, *, is_complete: bool) -> Settings:
    """Return new settings, in which the Secrets of the old ones stay fenced unless the new ones are whole.

    A configuration that is being edited may name fewer Secrets than it did and will again.

    Arguments:
        before: What was in force until now.
        after: What has been read.
        is_complete: Whether what has been read lists every account, usable or not.
    """
    if is_complete and not after.problems and not after.unusable:
        return after
    return replace(after, fenced=after.fenced | before.secret_names)
