"""What the executor does when an account's Secret, its configuration or the API server is not as it should be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from kubernetes.client import V1Pod

from airflow_sa_binding.cluster.state import Ready, Unknown
from tests.cluster.access import Access
from tests.cluster.cluster import Cluster
from tests.integration.executor_fixtures import IGNORE_AIRFLOWS_WARNINGS, Start, configure, keys, start
from tests.keys import ADS, ETL

__all__ = ["configure", "keys", "start"]

pytestmark = [pytest.mark.cluster, *IGNORE_AIRFLOWS_WARNINGS]

Configure = Callable[..., None]

ETL_SECRET, ADS_SECRET = "gcp-sa-etl-fd6d6038", "gcp-sa-ads-a2a90470"
AS_ETL, AS_ADS = {"gcp-service-account": ETL}, {"gcp-service-account": ADS}


def test_a_task_is_refused_while_somebody_elses_secret_has_the_name(
    control_plane: Cluster, namespace: str, start: Start
) -> None:
    """That Secret is left alone, and tasks with other accounts run."""
    foreign = {"metadata": {"name": ETL_SECRET}, "stringData": {"key.json": "somebody else's"}}
    before = control_plane.core().create_namespaced_secret(namespace, foreign)
    executor = start()

    assert executor.run("load", AS_ETL) == (
        f"executor_config[\"gcp-service-account\"]: '{ETL}' cannot be delivered: "
        f"Secret {namespace}/{ETL_SECRET} of {ETL}: is somebody else's, without the label "
        "app.kubernetes.io/managed-by=airflow-sa-binding, and is left alone; "
        "delete it, or list the account with secretName in the bindings file; "
        "the scheduler tries again by itself; ask your platform engineer if it stays so"
    )
    assert isinstance(executor.run("report", AS_ADS), V1Pod)
    after = control_plane.core().read_namespaced_secret(ETL_SECRET, namespace)
    assert after.metadata.resource_version == before.metadata.resource_version


def test_a_task_is_refused_when_secrets_may_not_be_written(
    control_plane: Cluster, namespace: str, start: Start
) -> None:
    """The reason says what the scheduler lacks; tasks without an identity run."""
    executor = start(access=_pods_only(control_plane, namespace))

    reason = executor.run("load", AS_ETL)
    assert reason == (
        f"executor_config[\"gcp-service-account\"]: '{ETL}' cannot be delivered: "
        f"namespace {namespace}: user 'scheduler-of-{namespace}' may not list Secrets; give it a Role there with the "
        'rule {apiGroups: [""], resources: [secrets], verbs: [list, create, patch]}; '
        "the scheduler tries again by itself; ask your platform engineer if it stays so"
    )
    assert isinstance(executor.run("tidy_up"), V1Pod)


def test_a_task_fails_in_one_line_when_pods_may_not_be_created(
    control_plane: Cluster, namespace: str, start: Start
) -> None:
    """What the API server says is the reason, without its HTTP headers."""
    executor = start(access=control_plane.as_user("nobody"))

    assert executor.run("tidy_up") == (
        'pod: the API server refuses it: pods is forbidden: User "nobody" cannot create resource "pods" in API group '
        f'"" in the namespace "{namespace}" (status 403)'
    )
    assert executor.is_free("tidy_up")


@pytest.mark.parametrize("creation", ["sequential", "concurrent"])
def test_tasks_wait_for_an_api_server_that_was_away_at_the_start(
    control_plane: Cluster, start: Start, configure: Configure, creation: str
) -> None:
    """With `task_publish_max_retries = -1` every task gets its pod, once and with its identity."""
    configure(
        kubernetes_executor__task_publish_max_retries=-1,
        kubernetes_executor__async_pod_creation=creation == "concurrent",
    )
    with control_plane.api_server_outage():
        executor = start()
        executor.submit("load", AS_ETL)
        executor.submit("tidy_up")
        for _ in range(5):
            executor.beat()
        reasons = [executor.reason("load"), executor.reason("tidy_up")]

    executor.beat_until(lambda: bool(executor.pods("load") and executor.pods("tidy_up")), timeout_seconds=60)
    assert reasons == [None, None]
    assert _secrets_of(executor.pods("load")) == [[ETL_SECRET]]
    assert _secrets_of(executor.pods("tidy_up")) == [[]]


def test_without_retries_a_task_fails_while_the_api_server_is_away(
    control_plane: Cluster, start: Start
) -> None:
    """Airflow's own default; the reason says what the task waited for, and the executor goes on."""
    with control_plane.api_server_outage():
        executor = start()
        executor.submit("load", AS_ETL)
        executor.beat_until(lambda: executor.reason("load") is not None)
        reason = str(executor.reason("load"))

    assert reason.startswith(f"executor_config[\"gcp-service-account\"]: '{ETL}' waits: ")
    assert isinstance(executor.run("tidy_up"), V1Pod)


def test_an_outage_later_on_does_not_end_the_executor(control_plane: Cluster, start: Start) -> None:
    """Heartbeats go on, also where the stock executor looks for pods to adopt."""
    executor = start()
    executor.beat()
    with control_plane.api_server_outage():
        executor.executor._last_completed_pod_adoption = 0.0  # its next round is due
        executor.beat()

    assert isinstance(executor.run("load", AS_ETL), V1Pod)


def test_a_scheduler_starts_with_a_broken_list_of_accounts(
    start: Start, configure: Configure, keys: Path
) -> None:
    """The account that is listed well is usable; the other's tasks fail with what is wrong with its entry."""
    configure(kubernetes__gcp_service_accounts=f"{ETL}={keys}/etl.json,{ADS}=relative/ads.json")
    executor = start()

    assert executor.run("report", AS_ADS) == (
        f"executor_config[\"gcp-service-account\"]: account '{ADS}' cannot be used: "
        "[kubernetes] gcp_service_accounts, entry 2: path must be absolute, got 'relative/ads.json'; "
        "write the whole path, from / on; ask your platform engineer to mend it"
    )
    assert isinstance(executor.run("load", AS_ETL), V1Pod)
    assert isinstance(executor.run("tidy_up"), V1Pod)


def test_a_scheduler_starts_without_its_bindings_file(
    start: Start, configure: Configure, tmp_path: Path
) -> None:
    """An account that may be listed in it is refused with that as a reason."""
    configure(sa_binding__bindings_file=tmp_path / "missing.yaml")
    executor = start()

    reason = executor.run("load", {"gcp-service-account": "reports@acme.iam.gserviceaccount.com"})
    assert isinstance(reason, str)
    assert "account is not listed" in reason
    assert f"part of the configuration could not be read: {tmp_path}/missing.yaml: " in reason
    assert isinstance(executor.run("tidy_up"), V1Pod)


def test_a_key_that_cannot_be_read_fails_the_tasks_that_need_it(start: Start, keys: Path) -> None:
    """The reason names the file and says nothing of what is in it."""
    whole = (keys / "ads.json").read_text()
    (keys / "ads.json").write_text(whole[:300])
    executor = start()

    reason = executor.run("report", AS_ADS)
    assert reason == (
        f"executor_config[\"gcp-service-account\"]: '{ADS}' cannot be delivered: key file {keys}/ads.json of {ADS}: "
        "is not JSON, or not all of it (line 5, column 18); write the whole key file, and replace it in one step when "
        "you rotate it; "
        "the scheduler tries again by itself; ask your platform engineer if it stays so"
    )
    assert isinstance(executor.run("load", AS_ETL), V1Pod)


def _secrets_of(pods: list[V1Pod]) -> list[list[str]]:
    return [[volume.secret.secret_name for volume in pod.spec.volumes or () if volume.secret] for pod in pods]


def _pods_only(cluster: Cluster, namespace: str) -> Access:
    """Return the access of a user who may do with pods what a scheduler does, and nothing with Secrets."""
    name = f"scheduler-of-{namespace}"
    rules = [
        {
            "apiGroups": [""],
            "resources": ["pods"],
            "verbs": ["create", "get", "list", "watch", "patch", "delete"],
        }
    ]
    common = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace},
    }
    manifests = [
        {**common, "kind": "Role", "rules": rules},
        {
            **common,
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "User", "name": name}],
        },
    ]
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(manifests))
    return cluster.as_user(name)


@pytest.mark.parametrize("creation", ["sequential", "concurrent"])
def test_tasks_that_wait_for_a_secret_hold_up_no_others(
    namespace: str, start: Start, configure: Configure, creation: str
) -> None:
    """More tasks wait than fit into a batch; those behind them start in the rounds that they would start in anyway."""
    configure(
        kubernetes_executor__task_publish_max_retries=-1,
        kubernetes_executor__async_pod_creation=creation == "concurrent",
    )
    executor = start()
    executor.executor._secrets.record(namespace, ETL_SECRET, Unknown("the API server failed"))
    for number in range(12):
        executor.submit(f"load{number}", AS_ETL)
    for number in range(12):
        executor.submit(f"tidy_up{number}")
    for _ in range(4):
        executor.beat()
    behind = [len(executor.pods(f"tidy_up{number}")) for number in range(12)]
    before = [len(executor.pods(f"load{number}")) for number in range(12)]

    executor.executor._secrets.record(namespace, ETL_SECRET, Ready())
    executor.beat_until(lambda: all(executor.pods(f"load{number}") for number in range(12)))
    assert (behind, before) == ([1] * 12, [0] * 12)
    assert [_secrets_of(executor.pods(f"load{number}")) for number in range(12)] == [[[ETL_SECRET]]] * 12


def test_a_task_waits_for_a_secret_as_often_as_pods_are_tried(
    namespace: str, start: Start, configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    """Two retries are a second apart each, then the task fails with what it waited for; it is told of once."""
    configure(kubernetes_executor__task_publish_max_retries=2)
    executor = start()
    executor.executor._secrets.record(namespace, ETL_SECRET, Unknown("the API server failed"))
    begin = time.monotonic()
    executor.submit("load", AS_ETL)
    executor.beat_until(lambda: executor.reason("load") is not None)
    seconds = time.monotonic() - begin

    assert executor.reason("load") == (
        f"executor_config[\"gcp-service-account\"]: '{ETL}' waits: the API server failed"
    )
    assert executor.is_free("load")
    assert 2 <= seconds < 6
    assert len([line for line in caplog.messages if line.startswith("sa_binding.waiting ")]) == 1


def test_a_task_does_not_wait_for_a_secret_without_retries(namespace: str, start: Start) -> None:
    """Airflow's own default: the first try is the last."""
    executor = start()
    executor.executor._secrets.record(namespace, ETL_SECRET, Unknown("the API server failed"))
    executor.submit("load", AS_ETL)
    executor.beat()

    assert executor.reason("load") == (
        f"executor_config[\"gcp-service-account\"]: '{ETL}' waits: the API server failed"
    )
