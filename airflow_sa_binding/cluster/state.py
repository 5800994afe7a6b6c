"""What the executor asks before it starts a pod: whether the Secret of an identity is there.

Holds values only. One thread writes, others read, and a process that is forked meanwhile may go on reading: each
state is replaced as a whole by one assignment to a dict, so there is no lock that a fork could leave locked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Ready:
    """The Secret was seen in the cluster and holds a key of the account.

    It stays so while the API server is away or forbids to look: the Secret does not leave with them, and a pod
    that finds none does not start. It ends when the Secret is seen to be gone, changed or somebody else's.
    """


@dataclass(frozen=True)
class Failed:
    """The Secret cannot be had; somebody has to do something."""

    message: str


@dataclass(frozen=True)
class Unknown:
    """The API server could not be asked yet; trying again helps."""

    message: str


State: TypeAlias = Ready | Failed | Unknown

NOT_LOOKED_YET = Unknown("its Secret has not been looked at yet; it will be within seconds")


class SecretStates:
    """The state of each managed Secret, by namespace and name."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], State] = {}

    def state_of(self, namespace: str, secret_name: str) -> State:
        """Return the last known state of a Secret."""
        return self._states.get((namespace, secret_name), NOT_LOOKED_YET)

    def record(self, namespace: str, secret_name: str, state: State) -> None:
        """Replace a Secret's state."""
        self._states[namespace, secret_name] = state

    def retain(self, secrets: Collection[tuple[str, str]]) -> None:
        """Forget all Secrets but these (namespace, name): the others are no longer wanted."""
        for secret in self._states.keys() - set(secrets):
            self._states.pop(secret, None)
