"""What a round's report counts."""

from __future__ import annotations

from airflow_sa_binding.cluster.plan import Action
from airflow_sa_binding.cluster.report import Outcome, Report


class Counters:
    """Counts like Airflow's `Stats`."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def incr(self, stat: str, count: int = 1, /) -> None:
        """Count."""
        self.counts[stat] = self.counts.get(stat, 0) + count


def report(*actions: Action) -> Report:
    """Make a report with one outcome per action."""
    outcomes = [Outcome(namespace="a", account="b", secret_name="c", action=action) for action in actions]
    return Report(outcomes=tuple(outcomes))


def test_every_action_is_counted_where_it_belongs() -> None:
    """Created and updated are applied; foreign and unknown are failed; what is merely left is not counted."""
    counters = Counters()
    report(*Action).send(counters)

    assert counters.counts == {
        "sa_binding.sync.applied": 2,
        "sa_binding.sync.unchanged": 1,
        "sa_binding.sync.pruned": 1,
        "sa_binding.sync.failed": 3,
    }


def test_nothing_is_counted_for_nothing() -> None:
    """A counter that does not move is not sent."""
    counters = Counters()
    report(Action.UNCHANGED).send(counters)

    assert counters.counts == {"sa_binding.sync.unchanged": 1}
