"""What the API server refuses, and what is said of it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from airflow_sa_binding.cluster.api import SecretApi
from airflow_sa_binding.cluster.plan import Action
from airflow_sa_binding.cluster.state import Failed
from airflow_sa_binding.cluster.sync import sync_secrets
from airflow_sa_binding.config.key_files import Key
from airflow_sa_binding.config.load import load_keys
from tests.cluster.access import create_namespace
from tests.cluster.cluster import Cluster
from tests.integration.installation import (
    ETL_SECRET,
    Installation,
    actions,
    allow,
    our_calls,
)
from tests.keys import ADS, ETL, write_key

pytestmark = pytest.mark.cluster


def test_dry_run_finds_missing_rights(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """A dry run as somebody who may only look finds what is missing."""
    report = installation.sync(dry_run=True, client=allow(control_plane, namespace, "list"))

    assert actions(report) == [(ETL, Action.FAILED)]
    assert "may not patch Secrets" in report.outcomes[0].message


def test_namespace_that_is_missing(tmp_path: Path, control_plane: Cluster, namespace: str) -> None:
    """A namespace that does not exist fails for itself, in one call, and is served once it exists."""
    missing = f"test-{secrets.token_hex(4)}"
    installation = Installation(tmp_path, control_plane, missing, namespace)
    installation.list_accounts(ETL, ADS)
    mark = control_plane.audit_log.mark()
    report = installation.sync()
    message = f"namespace {missing}: does not exist; create it, or take it out of the namespaces where tasks may run"

    assert actions(report) == [
        (ETL, Action.FAILED),
        (ADS, Action.FAILED),
        (ETL, Action.CREATED),
        (ADS, Action.CREATED),
    ]
    assert report.problems == {f"namespace {missing}, created": message}
    assert installation.states.state_of(missing, ETL_SECRET) == Failed(message)
    assert [verb for verb, _, where in our_calls(control_plane, mark) if where == missing] == [
        "list",
        "patch",
    ]
    create_namespace(control_plane.core(), missing)
    assert actions(installation.sync())[:2] == [(ETL, Action.CREATED), (ADS, Action.CREATED)]
    control_plane.core().delete_namespace(missing)


def test_namespace_that_is_being_deleted(tmp_path: Path, control_plane: Cluster, namespace: str) -> None:
    """A namespace on its way out takes nothing new, and the message says so."""
    installation = Installation(tmp_path, control_plane, namespace)
    installation.list_accounts(ETL)
    holder = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "holder", "finalizers": ["test/hold"]},
    }
    control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(holder))
    control_plane.core().delete_namespace(namespace)
    try:
        report = installation.sync()
    finally:
        control_plane.kubectl(
            *("patch", "configmap", "holder", "-n", namespace, "--type=merge"),
            *("-p", '{"metadata": {"finalizers": null}}'),
        )

    assert report.outcomes[0].message == (
        f"namespace {namespace}: is being deleted; create it anew, or take it out of the namespaces where tasks may run"
    )


@pytest.mark.parametrize(
    ("verbs", "lacking"),
    [
        ((), "list"),
        (("create", "patch"), "list"),
        (("list",), "patch"),
        (("list", "create"), "patch"),
        (("list", "patch"), "create"),
    ],
)
def test_missing_right_is_named_with_the_rule_that_gives_it(
    installation: Installation, control_plane: Cluster, namespace: str, verbs: tuple[str, ...], lacking: str
) -> None:
    """A scheduler without the rights says which one it lacks, where, and what to add to its Role."""
    report = installation.sync(client=allow(control_plane, namespace, *verbs))
    (message,) = report.problems.values()
    before, _, after = message.partition(" may not ")

    assert before.startswith(f"namespace {namespace}: user 'user-")
    assert after == (
        f"{lacking} Secrets; give it a Role there with the rule "
        '{apiGroups: [""], resources: [secrets], verbs: [list, create, patch]}'
    )
    assert installation.states.state_of(namespace, ETL_SECRET) == Failed(message)


def test_the_rule_that_is_named_is_enough(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """With just these rights a scheduler's service account creates, rotates and prunes; it needs no `get`."""
    rule = ["--resource=secrets", *(f"--verb={verb}" for verb in ("list", "create", "patch", "delete"))]
    control_plane.kubectl("create", "role", "scheduler", "-n", namespace, *rule)
    subject = ["--role=scheduler", f"--serviceaccount={namespace}:default"]
    control_plane.kubectl("create", "rolebinding", "scheduler", "-n", namespace, *subject)
    client = control_plane.as_service_account(namespace, "default").client()
    created = installation.sync(client=client)
    write_key(installation.path(ETL), ETL, generation=1)
    updated = installation.sync(client=client)
    installation.list_accounts(ADS)
    pruned = installation.sync(client=client, prune=True)

    assert [actions(report) for report in (created, updated, pruned)] == [
        [(ETL, Action.CREATED)],
        [(ETL, Action.UPDATED)],
        [(ADS, Action.CREATED), (ETL, Action.PRUNED)],
    ]


def test_missing_delete_right_keeps_the_rest_working(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """Pruning without the right to delete is a problem with its remedy, and no reason to stop the rest."""
    installation.list_accounts(ETL, ADS)
    installation.sync()
    installation.list_accounts(ADS)
    write_key(installation.path(ADS), ADS, generation=1)
    report = installation.sync(client=allow(control_plane, namespace, "list", "create", "patch"), prune=True)

    assert actions(report) == [(ADS, Action.UPDATED), (ETL, Action.FAILED)]
    assert report.outcomes[1].message.endswith(
        "may not delete Secrets; give it a Role there with the rule "
        '{apiGroups: [""], resources: [secrets], verbs: [list, create, patch, delete]}'
    )


def test_secret_over_the_size_limit(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """A key that no Secret can hold fails with the limit, and leaves the other accounts alone."""
    installation.list_accounts(ADS)
    keys, _ = load_keys(installation.configuration)
    large = Key(
        account=ETL, path=installation.path(ETL), content=b"x" * 1048577, project_id=None, sha256="0" * 64
    )
    report = sync_secrets(
        SecretApi(control_plane.client()), installation.configuration, {ETL: large, **keys}, {}
    )

    assert actions(report) == [(ETL, Action.FAILED), (ADS, Action.CREATED)]
    assert report.outcomes[0].message == (
        f"Secret {namespace}/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: is too large (422: Secret "
        '"gcp-sa-etl-fd6d6038" is invalid: data: Too long: may not be more than 1048576 bytes); '
        "make the key file shorter"
    )


def test_quota_concerns_one_secret_at_a_time(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """What an admission plug-in refuses is told in its own words, and is no missing right."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"count/secrets": "0"}},
    }
    control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(quota))
    # No quota controller runs in the test cluster to fill it in.
    status = {"status": {"hard": {"count/secrets": "0"}, "used": {"count/secrets": "0"}}}
    control_plane.kubectl(
        *("patch", "resourcequota", "none", "-n", namespace, "--subresource=status", "--type=merge"),
        *("-p", json.dumps(status)),
    )
    report = installation.sync()

    assert actions(report) == [(ETL, Action.FAILED)]
    assert "the API server refuses it (403: " in report.outcomes[0].message
    assert "exceeded quota" in report.outcomes[0].message
