"""`sync` on a real API server: what it shows, and what it exits with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from airflow_sa_binding.cli.main import main
from tests.cluster.cluster import Cluster
from tests.keys import ADS, ETL, write_key

pytestmark = [
    pytest.mark.cluster,
    # Airflow and its dependencies warn of themselves; this package must not.
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_sa_binding"),
]


class Ran(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str


Sync = Callable[..., Ran]


@pytest.fixture(autouse=True)
def configuration(
    control_plane: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configure two accounts with their keys, for an executor in a namespace of the test's own."""
    write_key(tmp_path / "etl.json", ETL)
    write_key(tmp_path / "ads.json", ADS)
    for name, value in {
        "KUBERNETES__GCP_SERVICE_ACCOUNTS": f"{ETL}={tmp_path}/etl.json,{ADS}={tmp_path}/ads.json",
        "KUBERNETES_EXECUTOR__NAMESPACE": namespace,
        "KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
        "KUBERNETES_EXECUTOR__CONFIG_FILE": str(control_plane.kubeconfig),
    }.items():
        monkeypatch.setenv(f"AIRFLOW__{name}", value)


@pytest.fixture
def sync(capfd: pytest.CaptureFixture[str], namespace: str) -> Sync:
    """Give a function that runs the command; every letter of its namespace reads N."""

    def run_sync(*arguments: str) -> Ran:
        status = main(["sync", *arguments])
        out, err = capfd.readouterr()
        short = "N" * len(namespace)
        return Ran(status, out.replace(namespace, short), err.replace(namespace, short))

    return run_sync


def names_of_secrets(cluster: Cluster, namespace: str) -> list[str]:
    """Return the names of a namespace's Secrets."""
    return sorted(secret.metadata.name for secret in cluster.core().list_namespaced_secret(namespace).items)


def words(table: str) -> list[str]:
    """Return the lines of a table with single spaces."""
    return [" ".join(line.split()) for line in table.splitlines() if not line.startswith("─")]


def test_dry_run_writes_nothing(sync: Sync, control_plane: Cluster, namespace: str) -> None:
    """`--dry-run` shows what would be done."""
    ran = sync("--dry-run")

    at = "N" * len(namespace)
    assert words(ran.out) == [
        "NAMESPACE ACCOUNT SECRET ACTION MESSAGE",
        f"{at} etl@acme.iam.gserviceaccount.com gcp-sa-etl-fd6d6038 created",
        f"{at} ads@acme.iam.gserviceaccount.com gcp-sa-ads-a2a90470 created",
        "",
        "dry run, nothing was written: 2 created",
    ]
    assert (ran.status, ran.err) == (0, "")
    assert names_of_secrets(control_plane, namespace) == []


def test_sync_writes_the_secrets_once(sync: Sync, control_plane: Cluster, namespace: str) -> None:
    """The first round creates, the second finds everything as it should be."""
    first, second = sync(), sync()

    assert words(first.out)[-1] == "2 created"
    assert words(second.out)[-1] == "2 unchanged"
    assert (first.status, first.err, second.status, second.err) == (0, "", 0, "")
    assert names_of_secrets(control_plane, namespace) == ["gcp-sa-ads-a2a90470", "gcp-sa-etl-fd6d6038"]


def test_prune_deletes_what_is_no_longer_listed(
    sync: Sync, control_plane: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `--prune` a Secret of an account that is gone is pointed out; with it, it goes."""
    sync()
    monkeypatch.setenv("AIRFLOW__KUBERNETES__GCP_SERVICE_ACCOUNTS", f"{ETL}={tmp_path}/etl.json")

    left = sync()
    pruned = sync("--prune")

    assert words(left.out)[-1] == "1 unchanged, 1 orphaned"
    assert words(pruned.out)[-1] == "1 unchanged, 1 pruned"
    assert (left.status, pruned.status) == (0, 0)
    assert names_of_secrets(control_plane, namespace) == ["gcp-sa-etl-fd6d6038"]


def test_json(sync: Sync, namespace: str) -> None:
    """`--output json` gives a list with a mapping for each Secret."""
    ran = sync("--dry-run", "--output", "json")

    assert json.loads(ran.out)[0] == {
        "namespace": "N" * len(namespace),
        "account": "etl@acme.iam.gserviceaccount.com",
        "secretName": "gcp-sa-etl-fd6d6038",
        "action": "created",
        "message": "",
    }


def test_a_bad_key_file_fails_that_account_alone(sync: Sync, tmp_path: Path) -> None:
    """The other account's Secret is written; the problem is named, and the exit status tells."""
    (tmp_path / "ads.json").write_text("{")

    ran = sync()

    assert words(ran.out)[-1] == "1 created, 1 failed"
    assert (ran.status, ran.err) == (
        1,
        (
            f"error: key file {tmp_path}/ads.json of ads@acme.iam.gserviceaccount.com: is not JSON, or not all of it "
            "(line 1, column 2); write the whole key file, and replace it in one step when you rotate it\n"
        ),
    )


def test_an_api_server_that_is_away_is_one_line(
    sync: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens: one line, not a traceback."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE", str(tmp_path / "kubeconfig"))

    ran = sync()

    assert ran.status == 1
    assert words(ran.out)[-1] == "2 unknown"
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert "http://127.0.0.1:9" in ran.err


def test_no_way_to_a_cluster_is_one_line(sync: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says where the cluster is."""
    monkeypatch.setenv("AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE", str(tmp_path / "nothing"))

    assert sync() == (
        1,
        "",
        (
            "error: Kubernetes client: cannot be set up: Invalid kube-config file. No configuration found; "
            "set in_cluster or config_file in [kubernetes_executor]\n"
        ),
    )


def test_no_accounts_is_nothing_to_do(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without accounts there is nothing to show, and that is said."""
    monkeypatch.delenv("AIRFLOW__KUBERNETES__GCP_SERVICE_ACCOUNTS")

    assert sync() == (0, "", "nothing to do: no account that needs a Secret is listed\n")
