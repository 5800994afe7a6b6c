"""What a round of synchronisation did: for the command line's table, for the log and for metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from airflow_sa_binding.cluster.plan import Action


class Metrics(Protocol):
    """Where counts go; Airflow's `Stats` is one."""

    def incr(self, stat: str, count: int = ..., /) -> object:
        """Add to a counter."""


_COUNTERS = {
    "sa_binding.sync.applied": (Action.CREATED, Action.UPDATED),
    "sa_binding.sync.unchanged": (Action.UNCHANGED,),
    "sa_binding.sync.pruned": (Action.PRUNED,),
    "sa_binding.sync.failed": (Action.FAILED, Action.FOREIGN, Action.UNKNOWN),
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one Secret."""

    namespace: str
    account: str
    secret_name: str
    action: Action
    message: str = ""
    """Why, where the action alone does not tell."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a round did."""

    outcomes: tuple[Outcome, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    """Messages by what they are about; what stops a thousand Secrets is one problem."""
    is_complete: bool = True
    """Whether the API server could be asked about everything."""

    def count(self, *actions: Action) -> int:
        """Count the outcomes with one of these actions."""
        return sum(outcome.action in actions for outcome in self.outcomes)

    def send(self, metrics: Metrics) -> None:
        """Add this round to the counters."""
        for name, actions in _COUNTERS.items():
            if number := self.count(*actions):
                metrics.incr(name, number)
