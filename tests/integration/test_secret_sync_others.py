"""Other people's Secrets, and other people in our Secrets, on a real API server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sa_binding.cluster.plan import Action
from airflow_sa_binding.cluster.state import Failed, Ready
from tests.cluster.cluster import Cluster
from tests.integration.installation import (
    ETL_SECRET,
    Installation,
    actions,
    key_in,
    make_secret,
    our_calls,
    read,
)
from tests.keys import ADS, ETL, key_json

pytestmark = pytest.mark.cluster


def test_foreign_secret_is_not_touched(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """Somebody else's Secret of our name stays byte for byte what it was, and tasks are told whose fault it is."""
    make_secret(
        control_plane, namespace, {"key.json": "theirs"}, labels={"app.kubernetes.io/managed-by": "Helm"}
    )
    before = read(control_plane, namespace)
    message = (
        f"Secret {namespace}/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: is somebody else's, without the "
        "label app.kubernetes.io/managed-by=airflow-sa-binding, and is left alone; delete it, or list the account "
        "with secretName in the bindings file"
    )
    reports = [installation.sync(), installation.sync(prune=True)]

    assert [actions(report) for report in reports] == [[(ETL, Action.FOREIGN)]] * 2
    assert read(control_plane, namespace) == before
    assert installation.states.state_of(namespace, ETL_SECRET) == Failed(message)


def test_foreign_secret_that_is_deleted_makes_room(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """Once its owner has deleted it, ours is created by itself."""
    make_secret(control_plane, namespace, {"key.json": "theirs"})
    installation.sync()
    control_plane.kubectl("delete", "secret", ETL_SECRET, "-n", namespace)
    report = installation.sync()

    assert actions(report) == [(ETL, Action.CREATED)]
    assert installation.states.state_of(namespace, ETL_SECRET) == Ready()


def test_foreign_secret_that_comes_between_looking_and_writing_is_not_touched(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """The API server itself refuses the write: our key is never in somebody else's Secret, not for a moment."""
    made: list[dict[str, Any]] = []

    def make_theirs_before_the_write() -> bool:
        # Asked before the list call, and again before the write.
        if made or not our_calls(control_plane, mark):
            return False
        make_secret(control_plane, namespace, {"note": "theirs"})
        made.append(read(control_plane, namespace))
        return False

    mark = control_plane.audit_log.mark()
    report = installation.sync(is_stopped=make_theirs_before_the_write)

    assert actions(report) == [(ETL, Action.FOREIGN)]
    assert read(control_plane, namespace) == made[0]


@pytest.mark.parametrize(
    ("how", "arguments"),
    [
        ("replaced", ["patch", "--type=merge", "-p", '{"data": {"key.json": "e30="}}']),
        ("removed", ["patch", "--type=json", "-p", '[{"op": "remove", "path": "/data/key.json"}]']),
        ("emptied", ["patch", "--type=merge", "-p", '{"data": null}']),
        ("hash dropped", ["annotate", "airflow-sa-binding/content-sha256-"]),
        ("account changed", ["annotate", "--overwrite", f"iam.cloud.google.com/service-account={ADS}"]),
        ("owners wiped", ["patch", "--type=merge", "-p", '{"metadata": {"managedFields": [{}]}}']),
        (
            "under our name",
            [
                "patch",
                "--type=merge",
                "--field-manager=airflow-sa-binding",
                "-p",
                '{"data": {"key.json": "e30="}}',
            ],
        ),
    ],
)
def test_tampered_secret_is_repaired_at_once(
    installation: Installation, control_plane: Cluster, namespace: str, how: str, arguments: list[str]
) -> None:
    """Whatever somebody does to a managed Secret, the next round puts it right, and the one after has nothing to do."""
    installation.sync()
    verb, *flags = arguments
    names = ["secret", ETL_SECRET, "-n", namespace]
    control_plane.kubectl(verb, *names, *flags)
    repaired, after = installation.sync(), installation.sync()

    assert (how, actions(repaired)) == (how, [(ETL, Action.UPDATED)])
    assert (how, actions(after)) == (how, [(ETL, Action.UNCHANGED)])
    assert key_in(control_plane, namespace) == key_json(ETL)
    assert (
        read(control_plane, namespace)["metadata"]["annotations"]["iam.cloud.google.com/service-account"]
        == ETL
    )


def test_secret_that_somebody_applied_by_force_is_repaired(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """Another field manager that forces its own key in does not keep it."""
    installation.sync()
    theirs = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": ETL_SECRET},
        "data": {"key.json": "e30="},
    }
    control_plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", "-", input=json.dumps(theirs)
    )

    assert actions(installation.sync()) == [(ETL, Action.UPDATED)]
    assert key_in(control_plane, namespace) == key_json(ETL)
    assert actions(installation.sync()) == [(ETL, Action.UNCHANGED)]


def test_items_and_annotations_of_others_are_left(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """What others add beside our fields, such as a replicator's annotation, starts no endless quarrel."""
    installation.sync()
    patch = {"metadata": {"annotations": {"replicator/seen": "yes"}}, "data": {"extra": "e30="}}
    control_plane.kubectl(
        "patch", "secret", ETL_SECRET, "-n", namespace, "--type=merge", "-p", json.dumps(patch)
    )

    assert actions(installation.sync()) == [(ETL, Action.UNCHANGED)]
