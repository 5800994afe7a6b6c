"""Schedulers that are killed, API servers that are away, keys that change: no wrong identity, no lost task."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes.client import V1Pod

from tests.cluster.cluster import Cluster
from tests.cluster.pods import read_log
from tests.e2e.conftest import DAGS, EXAMPLES
from tests.e2e.installation import EXECUTOR, Installation, new_installation
from tests.keys import ADS, ETL, key_json, write_key

pytestmark = [pytest.mark.cluster, pytest.mark.node, pytest.mark.e2e]

OTHER_ACCOUNTS = 400
OUTAGE_SECONDS = 60 if os.environ.get("CI", "").lower() in {"1", "true"} else 25
ETL_SECRET, ADS_SECRET = "gcp-sa-etl-fd6d6038", "gcp-sa-ads-a2a90470"

Pods = Callable[[str, str], list[V1Pod]]


@pytest.fixture(scope="module")
def namespace(new_namespace: Callable[[], str]) -> str:
    """Give the executor's namespace."""
    return new_namespace()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the keys of the two accounts that tasks ask for, and of many others."""
    folder = tmp_path_factory.mktemp("keys")
    write_key(folder / "etl.json", ETL)
    write_key(folder / "ads.json", ADS)
    accounts = {
        f"other{number}@acme.iam.gserviceaccount.com": f"other{number}.json"
        for number in range(OTHER_ACCOUNTS)
    }
    for account, name in accounts.items():
        write_key(folder / name, account)
    listed = {account: {"keyFile": str(folder / name)} for account, name in accounts.items()}
    (folder / "sa_bindings.yaml").write_text(yaml.safe_dump({"gcpServiceAccounts": listed}))
    return folder


@pytest.fixture(scope="module")
def airflow(
    cluster: Cluster, namespace: str, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Give an Airflow with two executors, whose scheduler has not been started yet."""
    sections = {
        "core": {"executor": f"LocalExecutor,sa:{EXECUTOR}", "parallelism": "8"},
        "kubernetes": {"gcp_service_accounts": f"{ETL}={keys}/etl.json,{ADS}={keys}/ads.json"},
        "kubernetes_executor": {
            "namespace": namespace,
            "pod_template_file": str(EXAMPLES / "pod_template.yaml"),
            "task_publish_max_retries": "-1",
        },
        "sa_binding": {"sync_interval_seconds": "2", "bindings_file": f"{keys}/sa_bindings.yaml"},
    }
    folder = tmp_path_factory.mktemp("airflow")
    with new_installation(folder, cluster, dags=[DAGS / "outages.py"], sections=sections) as installation:
        for process in installation.processes:
            if process is not installation.scheduler:
                process.start()
        yield installation


@pytest.fixture
def running(airflow: Installation, cluster: Cluster, namespace: str) -> Installation:
    """Give the Airflow with its scheduler, and all Secrets in place."""
    if not airflow.scheduler.is_running:
        airflow.scheduler.start()
    airflow.wait_for(lambda: count_secrets(cluster, namespace) == OTHER_ACCOUNTS + 2, "all Secrets")
    return airflow


@pytest.fixture
def pods(cluster: Cluster, namespace: str) -> Pods:
    """Give a function that returns the pods of a run's task, the oldest first."""

    def find(run_id: str, task_id: str) -> list[V1Pod]:
        selector = f"run_id={run_id},task_id={task_id},kubernetes_executor=True"
        found = cluster.core().list_namespaced_pod(namespace, label_selector=selector).items
        return sorted(found, key=lambda pod: pod.metadata.creation_timestamp)

    return find


def count_secrets(cluster: Cluster, namespace: str) -> int:
    """Count the managed Secrets."""
    selector = "app.kubernetes.io/managed-by=airflow-sa-binding"
    return len(cluster.core().list_namespaced_secret(namespace, label_selector=selector).items)


def said(cluster: Cluster, pods: list[V1Pod], what: str) -> list[str]:
    """Return what the pods of a task have printed of something, each time once."""
    started = [pod for pod in pods if pod.status.phase != "Pending"]
    logs = [
        read_log(cluster.core(), pod.metadata.namespace, pod.metadata.name, container="base")
        for pod in started
    ]
    return [word for log in logs for word in dict.fromkeys(re.findall(rf"{what}: ([^\s\"\\]+)", log))]


def key_id(account: str, generation: int) -> str:
    """Return what tells one key of an account from another."""
    found: str = json.loads(key_json(account, generation=generation))["private_key_id"]
    return found


def key_id_in(cluster: Cluster, namespace: str, secret: str) -> str:
    """Return the id of the key that a Secret holds."""
    data = cluster.core().read_namespaced_secret(secret, namespace).data
    found: str = json.loads(base64.b64decode(data["key.json"]))["private_key_id"]
    return found


def assert_each_was_itself(cluster: Cluster, pods: Pods, run_id: str) -> None:
    """Check that each task of a run was started once, as the account that it asks for."""
    found = {task_id: said(cluster, pods(run_id, task_id), "account") for task_id in ("etl", "ads", "nobody")}
    assert found == {"etl": [ETL], "ads": [ADS], "nobody": ["none"]}


def test_a_scheduler_that_is_killed_during_a_sync_goes_on_where_it_was(
    airflow: Installation, cluster: Cluster, namespace: str, pods: Pods
) -> None:
    """Killed with some of the Secrets written, started again: all Secrets, and every task is itself."""
    airflow.scheduler.start()
    airflow.wait_for(lambda: count_secrets(cluster, namespace) > 20, "the first Secrets")
    airflow.scheduler.kill()
    after_kill = count_secrets(cluster, namespace)

    airflow.scheduler.start()
    airflow.trigger("three", "beside", run_id="killed")
    state = airflow.wait_for_run("three", run_id="killed")
    assert 20 < after_kill < OTHER_ACCOUNTS
    assert count_secrets(cluster, namespace) == OTHER_ACCOUNTS + 2
    assert state == "success"
    assert_each_was_itself(cluster, pods, "killed")


def test_another_executor_runs_beside_this_one(
    running: Installation, namespace: str, cluster: Cluster
) -> None:
    """A task without `executor` goes to the LocalExecutor, which is the first."""
    if not running.metadata.run_state("beside", "killed"):
        running.trigger("beside", run_id="killed")

    assert running.wait_for_run("beside", run_id="killed") == "success"
    assert cluster.core().list_namespaced_pod(namespace, label_selector="dag_id=beside").items == []


def test_tasks_wait_for_an_api_server_that_is_away(
    running: Installation, cluster: Cluster, pods: Pods
) -> None:
    """Tasks that are queued during the outage run after it, each once and as itself; the scheduler goes on."""
    with cluster.api_server_outage():
        running.trigger("three", run_id="outage")
        running.wait_for(
            lambda: set(running.metadata.states("three", run_id="outage").values()) == {"queued"},
            "the tasks to be queued",
            60,
        )
        time.sleep(OUTAGE_SECONDS)
        during = set(running.metadata.states("three", run_id="outage").values())

    assert during == {"queued"}
    assert running.wait_for_run("three", run_id="outage") == "success"
    assert_each_was_itself(cluster, pods, "outage")


def test_a_rotated_key_arrives_in_a_running_pod_whose_scheduler_was_killed(
    running: Installation, cluster: Cluster, namespace: str, keys: Path, pods: Pods
) -> None:
    """The task goes on in its pod, the next scheduler adopts it and brings the new key."""
    first = key_id_in(cluster, namespace, ETL_SECRET)
    running.trigger("rotation", run_id="rotated")
    running.wait_for(
        lambda: bool(said(cluster, pods("rotated", "waits_for_another_key"), "first key")), "the task to run"
    )
    running.scheduler.kill()
    write_key(keys / "etl.json", ETL, generation=1)
    running.scheduler.start()

    assert running.wait_for_run("rotation", run_id="rotated") == "success"
    (pod,) = pods("rotated", "waits_for_another_key")
    assert said(cluster, [pod], "first key") == [first]
    assert said(cluster, [pod], "second key") == [key_id(ETL, 1)]
    (task,) = running.metadata.tasks("rotation", run_id="rotated")
    assert (task.state, task.try_number) == ("success", 1)


def test_a_half_written_key_file_is_never_applied(
    running: Installation, cluster: Cluster, namespace: str, keys: Path
) -> None:
    """The last good key stays, the problem is logged once, and the whole file arrives when it is there."""
    good, whole = key_id(ADS, 0), key_json(ADS, generation=1)
    problem = f"{keys}/ads.json"
    before = running.scheduler.log.read_text().count(problem)
    (keys / "ads.json").write_text(whole[: len(whole) // 2])
    running.wait_for(
        lambda: running.scheduler.log.read_text().count(problem) > before, "the problem in the log"
    )
    time.sleep(6)  # three intervals

    assert key_id_in(cluster, namespace, ADS_SECRET) == good
    assert running.scheduler.log.read_text().count(problem) == before + 1
    (keys / "ads.json").write_text(whole)
    running.wait_for(lambda: key_id_in(cluster, namespace, ADS_SECRET) == key_id(ADS, 1), "the whole key")


def test_a_scheduler_that_is_asked_to_end_does(running: Installation) -> None:
    """The thread that keeps Secrets does not hold it up."""
    assert running.scheduler.stop(timeout_seconds=60) == 0
