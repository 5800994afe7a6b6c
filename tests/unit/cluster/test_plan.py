"""What a round decides to do, for every state that a Secret can be in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_sa_binding.binding.errors import Problem
from airflow_sa_binding.binding.identity import Identity, KeySecret, Settings
from airflow_sa_binding.cluster.manifests import ObservedSecret
from airflow_sa_binding.cluster.plan import Action, Apply, Delete, Goal, Leave, Wanted, build_goal, plan
from airflow_sa_binding.config.load import Configuration
from tests.unit.cluster.samples import (
    ADS,
    ADS_KEY,
    ETL,
    ETL_KEY,
    ETL_SECRET,
    FOREIGN,
    OURS,
    TAMPERED,
    configuration,
    key,
)

ONE = Goal(wanted=(Wanted(account=ETL, key=ETL_KEY),), spared=frozenset({ETL_SECRET}))
BAD = Goal(
    wanted=(Wanted(account=ETL, refusal="key file: is empty; write it"),), spared=frozenset({ETL_SECRET})
)
NONE = Goal()

FOREIGN_MESSAGE = (
    "Secret team-a/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: is somebody else's, without the label "
    "app.kubernetes.io/managed-by=airflow-sa-binding, and is left alone; delete it, or list the account with "
    "secretName in the bindings file"
)


def steps(goal: Goal, *observed: ObservedSecret) -> list[object]:
    """Plan for one namespace."""
    return list(plan(goal, {secret.name: secret for secret in observed}, namespace="team-a"))


def test_missing_secret_is_created() -> None:
    """A Secret that is not there is applied."""
    assert steps(ONE) == [Apply(key=ETL_KEY, observed=None)]
    assert Apply(key=ETL_KEY, observed=None).action is Action.CREATED


def test_secret_with_the_key_is_left() -> None:
    """A Secret of ours with the same content is not written again."""
    assert steps(ONE, OURS) == [Leave(account=ETL, action=Action.UNCHANGED)]


def test_rotated_key_is_applied() -> None:
    """Another content of the file is an update, during which pods may go on with the old key."""
    rotated = key(ETL, b'{"a": 2}')
    step = Apply(key=rotated, observed=OURS)

    assert steps(replace(ONE, wanted=(Wanted(account=ETL, key=rotated),)), OURS) == [step]
    assert (step.action, step.is_in_place) == (Action.UPDATED, True)


REPAIRED = "Secret team-a/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: was changed by somebody else and is put right"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(TAMPERED, id="key"),
        pytest.param(replace(OURS, account=ADS), id="account"),
        pytest.param(replace(OURS, account=None), id="no account"),
    ],
)
def test_tampered_secret_is_repaired_although_its_hash_is_right(changed: ObservedSecret) -> None:
    """The hash that we wrote proves nothing once somebody else has changed the Secret; meanwhile no pod may use it."""
    step = Apply(key=ETL_KEY, observed=changed, message=REPAIRED)

    assert steps(ONE, changed) == [step]
    assert (step.action, step.is_in_place) == (Action.UPDATED, False)


def test_wrong_hash_alone_is_an_update() -> None:
    """A hash that somebody changed or dropped makes us apply again."""
    changed = replace(OURS, content_sha256=None)

    assert steps(ONE, changed) == [Apply(key=ETL_KEY, observed=changed)]


def test_foreign_secret_is_left_with_a_remedy() -> None:
    """Somebody else's Secret of our name is never written, and the message says what to do."""
    assert steps(ONE, FOREIGN) == [Leave(account=ETL, action=Action.FOREIGN, message=FOREIGN_MESSAGE)]


def test_foreign_secret_is_named_even_when_the_key_is_bad() -> None:
    """That somebody else has the name matters more than a bad key file."""
    assert steps(BAD, FOREIGN) == [Leave(account=ETL, action=Action.FOREIGN, message=FOREIGN_MESSAGE)]


def test_bad_key_keeps_the_last_good_one() -> None:
    """While a key file is bad, the Secret stays as it is."""
    assert steps(BAD, OURS) == [
        Leave(account=ETL, action=Action.KEPT, message="key file: is empty; write it", is_known=True)
    ]


def test_bad_key_without_a_secret_fails() -> None:
    """Without a last good key there is nothing to keep."""
    assert steps(BAD) == [
        Leave(account=ETL, action=Action.FAILED, message="key file: is empty; write it", is_known=True)
    ]


def test_bad_key_does_not_keep_what_somebody_else_wrote() -> None:
    """A Secret that somebody changed is not the last good one."""
    message = (
        "Secret team-a/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: was changed by somebody else and "
        "cannot be repaired: key file: is empty; write it"
    )

    assert steps(BAD, TAMPERED) == [Leave(account=ETL, action=Action.FAILED, message=message)]


def test_orphan_is_reported_and_left_without_prune() -> None:
    """A managed Secret whose account is no longer listed stays, with how to delete it."""
    message = (
        "Secret team-a/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: its account is no longer listed; "
        "delete it with prune = True in [sa_binding], or with `airflow-sa-binding sync --prune`"
    )

    assert steps(NONE, OURS) == [Leave(account=ETL, action=Action.ORPHANED, message=message)]


def test_orphan_is_deleted_with_prune() -> None:
    """With prune it goes."""
    assert steps(replace(NONE, prune=True), OURS) == [Delete(account=ETL, observed=OURS)]


def test_prune_takes_a_tampered_secret_too() -> None:
    """A managed Secret that somebody changed is ours to delete."""
    assert steps(replace(NONE, prune=True), TAMPERED) == [Delete(account=ETL, observed=TAMPERED)]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(FOREIGN, id="no label"),
        pytest.param(replace(FOREIGN, account=ETL), id="annotation only"),
        pytest.param(replace(OURS, name="somebodys"), id="label copied to another name"),
        pytest.param(replace(OURS, account=None), id="label alone"),
        pytest.param(replace(OURS, account=ADS), id="another account's name"),
    ],
)
def test_prune_leaves_secrets_that_are_not_ours(other: ObservedSecret) -> None:
    """Only a Secret with our label, and the name that belongs to the account that it names, is deleted."""
    assert steps(replace(NONE, prune=True), other) == []


def test_goal_of_usable_and_bad_keys() -> None:
    """Each listed account is wanted, with its key or with the reason why there is none."""
    goal = build_goal(configuration(ETL, ADS), {ADS: ADS_KEY}, {ETL: "bad"}, prune=True)

    assert goal == Goal(
        wanted=(Wanted(account=ADS, key=ADS_KEY), Wanted(account=ETL, refusal="bad")),
        spared=frozenset({"gcp-sa-etl-fd6d6038", "gcp-sa-ads-a2a90470"}),
        prune=True,
    )


def test_goal_spares_accounts_that_are_listed_but_unusable() -> None:
    """An account that is listed twice, say, is not one that is no longer listed."""
    settings = Settings(unusable={ETL: "is listed twice; keep one"})
    goal = build_goal(Configuration(settings=settings), {}, {}, prune=True)

    assert steps(goal, OURS) == [
        Leave(account=ETL, action=Action.KEPT, message="is listed twice; keep one", is_known=True)
    ]


def test_goal_applies_no_key_of_an_unusable_account() -> None:
    """What is unusable is not written, even if its key can be read."""
    goal = build_goal(Configuration(settings=Settings(unusable={ETL: "no"})), {ETL: ETL_KEY}, {}, prune=False)

    assert goal.wanted == (Wanted(account=ETL, refusal="no"),)


def test_goal_spares_a_secret_that_is_listed_by_its_name() -> None:
    """An account whose managed Secret was handed over with `secretName` keeps it."""
    handed_over = Identity(name=ETL, delivery=KeySecret(secret_name=ETL_SECRET, managed=False))
    settings = Settings(identities={ETL: handed_over})
    goal = build_goal(Configuration(settings=settings), {}, {}, prune=True)

    assert steps(goal, OURS) == []


ORPHAN_IN_DOUBT = (
    "Secret team-a/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: "
    "its account is not among those that were read; "
)


def test_incomplete_configuration_prunes_nothing() -> None:
    """While the bindings file cannot be read, nobody knows which accounts it lists."""
    broken = Problem("/opt/b.yaml", "is empty", "write it")
    half = replace(configuration(ADS), is_complete=False, problems=(broken,))

    goal = build_goal(half, {}, {}, prune=True)

    assert not goal.prune
    assert str(goal.doubt) == (
        "configuration: it could not be read whole, so no Secret is taken for one that is no longer wanted; "
        "mend its other problems first"
    )
    assert steps(goal, OURS) == [
        Leave(account=ETL, action=Action.ORPHANED, message=f"{ORPHAN_IN_DOUBT}mend its other problems first")
    ]


def test_bindings_file_without_accounts_prunes_nothing() -> None:
    """A bindings file that is being written may be empty for a moment."""
    goal = build_goal(replace(configuration(ADS), is_complete=False), {}, {}, prune=True)

    assert str(goal.doubt) == (
        "configuration: it could not be read whole, so no Secret is taken for one that is no longer wanted; "
        "list an account in the bindings file, or take bindings_file out of [sa_binding]"
    )


def test_configuration_without_any_account_prunes_nothing() -> None:
    """A lost environment variable must not cost all keys."""
    goal = build_goal(configuration(), {}, {}, prune=True)

    assert not goal.prune
    assert str(goal.doubt) == (
        "configuration: no account is listed, so no Secret is taken for one that is no longer wanted; "
        "list the accounts, or delete the Secrets with kubectl"
    )
    assert steps(goal, OURS) == [
        Leave(
            account=ETL,
            action=Action.ORPHANED,
            message=f"{ORPHAN_IN_DOUBT}list the accounts, or delete the Secrets with kubectl",
        )
    ]


def test_plan_shows_no_key() -> None:
    """What a step prints as holds no key content."""
    assert '"a"' not in repr(steps(replace(ONE, prune=True)))
