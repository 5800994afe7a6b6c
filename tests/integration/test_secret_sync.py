"""What a round of synchronisation writes on a real API server, and what it leaves."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_sa_binding.cluster.plan import Action
from airflow_sa_binding.cluster.state import Failed, Ready
from airflow_sa_binding.config.load import load_keys
from tests.cluster.cluster import Cluster
from tests.integration.installation import (
    ADS_SECRET,
    ETL_SECRET,
    Installation,
    actions,
    allow,
    key_in,
    names_in,
    our_calls,
    read,
)
from tests.keys import ADS, ETL, key_json, write_key

pytestmark = pytest.mark.cluster


def test_secrets_are_created_in_every_namespace(
    tmp_path: Path, control_plane: Cluster, namespace: str, other_namespace: str
) -> None:
    """Every account's key is in every namespace, and is told to the executor as ready."""
    installation = Installation(tmp_path, control_plane, namespace, other_namespace)
    installation.list_accounts(ETL, ADS)
    report = installation.sync()

    assert actions(report) == [(ETL, Action.CREATED), (ADS, Action.CREATED)] * 2
    assert (report.problems, report.is_complete) == ({}, True)
    for one in (namespace, other_namespace):
        assert key_in(control_plane, one, ETL_SECRET) == key_json(ETL)
        assert key_in(control_plane, one, ADS_SECRET) == key_json(ADS)
        assert installation.states.state_of(one, ETL_SECRET) == Ready()


def test_secret_is_ours_by_server_side_apply(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """The Secret is labelled, says whose key it holds, and all of it belongs to our field manager."""
    installation.sync()
    secret = read(control_plane, namespace)
    (entry,) = secret["metadata"]["managedFields"]

    assert secret["type"] == "Opaque"
    assert secret["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "airflow-sa-binding"}
    assert secret["metadata"]["annotations"] == {
        "iam.cloud.google.com/service-account": ETL,
        "airflow-sa-binding/content-sha256": load_keys(installation.configuration)[0][ETL].sha256,
    }
    assert (entry["manager"], entry["operation"]) == ("airflow-sa-binding", "Apply")


def test_round_without_changes_is_one_list_call_per_namespace(
    tmp_path: Path, control_plane: Cluster, namespace: str, other_namespace: str
) -> None:
    """With nothing to do the API server is asked once per namespace, whatever the number of accounts."""
    installation = Installation(tmp_path, control_plane, namespace, other_namespace)
    installation.list_accounts(ETL, ADS)
    installation.sync()
    mark = control_plane.audit_log.mark()
    report = installation.sync()

    assert actions(report) == [(ETL, Action.UNCHANGED), (ADS, Action.UNCHANGED)] * 2
    assert our_calls(control_plane, mark) == [
        ("list", "secrets", namespace),
        ("list", "secrets", other_namespace),
    ]


def test_first_round_is_one_more_call_per_secret(
    tmp_path: Path, control_plane: Cluster, namespace: str
) -> None:
    """Creating takes the apply calls and the one look, nothing else."""
    installation = Installation(tmp_path, control_plane, namespace)
    installation.list_accounts(ETL, ADS)
    mark = control_plane.audit_log.mark()
    installation.sync()

    assert [verb for verb, _, _ in our_calls(control_plane, mark)] == ["list", "patch", "patch"]


def test_rotated_key_arrives(installation: Installation, control_plane: Cluster, namespace: str) -> None:
    """A key that is replaced on disk replaces the one in the Secret, which stays the same object for its pods."""
    installation.sync()
    before = read(control_plane, namespace)["metadata"]["uid"]
    write_key(installation.path(ETL), ETL, generation=1)
    report = installation.sync()

    assert actions(report) == [(ETL, Action.UPDATED)]
    assert key_in(control_plane, namespace) == key_json(ETL, generation=1)
    assert read(control_plane, namespace)["metadata"]["uid"] == before


def test_bad_key_file_leaves_the_last_good_key(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """A half-written file is not applied: the Secret is not touched, and its account stays usable."""
    installation.sync()
    before = read(control_plane, namespace)
    installation.path(ETL).write_text(key_json(ETL, generation=1)[:900])
    report = installation.sync()

    assert actions(report) == [(ETL, Action.KEPT)]
    assert list(report.problems) == [f"key of {ETL}"]
    assert read(control_plane, namespace) == before
    assert installation.states.state_of(namespace, ETL_SECRET) == Ready()


def test_key_of_another_account_is_not_applied(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """A file that was swapped for another account's does not give its identity to the tasks of this one."""
    installation.sync()
    write_key(installation.path(ETL), ADS)
    report = installation.sync()

    assert actions(report) == [(ETL, Action.KEPT)]
    assert key_in(control_plane, namespace) == key_json(ETL)


def test_bad_key_file_without_a_secret_fails(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """With no earlier key, tasks are told what is wrong with the file."""
    path = installation.path(ETL)
    path.write_text("")
    message = f"key file {path} of {ETL}: is empty; write the whole key file, and replace it in one step when you rotate it"
    report = installation.sync()

    assert actions(report) == [(ETL, Action.FAILED)]
    assert installation.states.state_of(namespace, ETL_SECRET) == Failed(message)
    assert names_in(control_plane, namespace) == set()


def test_deleted_secret_is_made_again(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """A managed Secret that somebody deleted comes back."""
    installation.sync()
    control_plane.kubectl("delete", "secret", ETL_SECRET, "-n", namespace)

    assert actions(installation.sync()) == [(ETL, Action.CREATED)]
    assert key_in(control_plane, namespace) == key_json(ETL)


def test_account_that_is_unlisted_keeps_its_secret_without_prune(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """Without prune nothing is deleted."""
    installation.list_accounts(ETL, ADS)
    installation.sync()
    installation.list_accounts(ADS)
    report = installation.sync()

    assert actions(report) == [(ADS, Action.UNCHANGED), (ETL, Action.ORPHANED)]
    assert report.problems == {}
    assert names_in(control_plane, namespace) == {ETL_SECRET, ADS_SECRET}


def test_prune_deletes_what_is_unlisted_and_nothing_else(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """With prune the unlisted account's Secret goes; other people's Secrets, even with our label, stay."""
    installation.list_accounts(ETL, ADS)
    installation.sync()
    control_plane.kubectl("create", "secret", "generic", "theirs", "-n", namespace)
    control_plane.kubectl(
        "label", "secret", "theirs", "-n", namespace, "app.kubernetes.io/managed-by=airflow-sa-binding"
    )
    installation.list_accounts(ADS)
    installation.configuration = replace(installation.configuration, prune=True)
    report = installation.sync()

    assert actions(report) == [(ADS, Action.UNCHANGED), (ETL, Action.PRUNED)]
    assert names_in(control_plane, namespace) == {ADS_SECRET, "theirs"}


def test_dry_run_changes_nothing(installation: Installation, control_plane: Cluster, namespace: str) -> None:
    """A dry run says what would be done, after asking the API server, and does nothing."""
    installation.list_accounts(ETL)
    installation.sync()
    before = read(control_plane, namespace)
    installation.list_accounts(ADS)
    report = installation.sync(dry_run=True, prune=True)

    assert actions(report) == [(ADS, Action.CREATED), (ETL, Action.PRUNED)]
    assert names_in(control_plane, namespace) == {ETL_SECRET}
    assert read(control_plane, namespace) == before


def test_no_key_reaches_the_log(
    installation: Installation, control_plane: Cluster, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at debug level, a round that creates, repairs, rotates and fails logs no part of a key."""
    admin, reader = control_plane.client(), allow(control_plane, namespace, "list")
    for logger in (None, "urllib3", "client", "kubernetes"):  # new clients set some of them to WARNING
        caplog.set_level(logging.DEBUG, logger)
    installation.sync(client=admin)
    control_plane.kubectl(
        "patch", "secret", ETL_SECRET, "-n", namespace, "--type=merge", "-p", '{"data": {"key.json": "e30="}}'
    )
    installation.sync(client=admin)
    write_key(installation.path(ETL), ETL, generation=1)
    installation.sync(client=reader)
    report = installation.sync(client=admin)
    said = caplog.text + repr(report)
    private_lines = json.loads(key_json(ETL))["private_key"].splitlines()[1:-1]
    private_lines += json.loads(key_json(ETL, generation=1))["private_key"].splitlines()[1:-1]
    encoded = base64.b64encode(key_json(ETL).encode()).decode()

    assert "PATCH" in said
    assert "PRIVATE KEY" not in said
    assert not [line for line in private_lines if line in said]
    assert not [
        encoded[at : at + 40] for at in range(0, len(encoded) - 40, 40) if encoded[at : at + 40] in said
    ]
