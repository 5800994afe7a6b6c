"""When a problem is said, and when not."""

from __future__ import annotations

import logging

import pytest

from airflow_sa_binding.cluster.problem_log import ProblemLog


def test_problem_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The same problem every minute is one line."""
    problems = ProblemLog(logging.getLogger("test"))
    for _ in range(3):
        problems.update({"key of etl": "is empty"}, is_complete=True)

    assert caplog.messages == ["sa_binding.problem is empty"]


def test_problem_that_changes_is_said_again(caplog: pytest.LogCaptureFixture) -> None:
    """Another message about the same thing is news."""
    problems = ProblemLog(logging.getLogger("test"))
    problems.update({"key of etl": "is empty"}, is_complete=True)
    problems.update({"key of etl": "is not JSON"}, is_complete=True)

    assert caplog.messages == ["sa_binding.problem is empty", "sa_binding.problem is not JSON"]


def test_recovery_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """What is over is said, and may be said again when it comes back."""
    caplog.set_level(logging.INFO)
    problems = ProblemLog(logging.getLogger("test"))
    problems.update({"key of etl": "is empty"}, is_complete=True)
    problems.update({}, is_complete=True)
    problems.update({}, is_complete=True)
    problems.update({"key of etl": "is empty"}, is_complete=True)

    assert caplog.messages == [
        "sa_binding.problem is empty",
        "sa_binding.recovered key of etl",
        "sa_binding.problem is empty",
    ]


def test_round_that_could_not_look_ends_no_problem(caplog: pytest.LogCaptureFixture) -> None:
    """While the API server is away, nobody knows whether a Secret's problem is over."""
    caplog.set_level(logging.INFO)
    problems = ProblemLog(logging.getLogger("test"))
    problems.update({"Secret a": "is foreign"}, is_complete=True)
    problems.update({"API server": "is away"}, is_complete=False)
    problems.update({"Secret a": "is foreign"}, is_complete=True)

    assert caplog.messages == [
        "sa_binding.problem is foreign",
        "sa_binding.problem is away",
        "sa_binding.recovered API server",
    ]
