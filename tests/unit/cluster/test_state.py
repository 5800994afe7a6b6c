"""What the executor is told about a Secret."""

from __future__ import annotations

from airflow_sa_binding.cluster.state import Failed, Ready, SecretStates, Unknown


def test_secret_that_was_never_looked_at_is_unknown() -> None:
    """Before the first round nothing is known, and trying again helps."""
    assert SecretStates().state_of("team-a", "x") == Unknown(
        "its Secret has not been looked at yet; it will be within seconds"
    )


def test_states_are_per_namespace() -> None:
    """A Secret in one namespace says nothing about another."""
    states = SecretStates()
    states.record("team-a", "x", Ready())
    states.record("team-b", "x", Failed("no"))

    assert states.state_of("team-a", "x") == Ready()
    assert states.state_of("team-b", "x") == Failed("no")


def test_secrets_that_are_no_longer_wanted_are_forgotten() -> None:
    """An account that is unlisted and listed again starts anew."""
    states = SecretStates()
    states.record("team-a", "x", Ready())
    states.record("team-a", "y", Ready())
    states.retain({("team-a", "y")})

    assert isinstance(states.state_of("team-a", "x"), Unknown)
    assert states.state_of("team-a", "y") == Ready()
