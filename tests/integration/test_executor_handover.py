"""Pods that go from one executor to another, and tasks that are tried again by the same: the identity stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client import V1Pod

from tests.cluster.cluster import Cluster
from tests.integration.executor_fixtures import IGNORE_AIRFLOWS_WARNINGS, Start, configure, keys, start
from tests.integration.executor_harness import adoptable
from tests.keys import ETL

__all__ = ["configure", "keys", "start"]

pytestmark = [pytest.mark.cluster, *IGNORE_AIRFLOWS_WARNINGS]

Configure = Callable[..., None]

AS_ETL = {"gcp-service-account": ETL}


def test_a_second_executor_adopts_running_pods_as_they_are(start: Start) -> None:
    """The pod changes its owner, and nothing else: it is neither bound again nor started again."""
    first, second = start(job_id="first"), start(job_id="second")
    before = first.run("load", AS_ETL)
    assert isinstance(before, V1Pod)

    left = second.executor.try_adopt_task_instances([adoptable(first.keys["load"], job_id="first")])
    (after,) = second.pods("load")
    assert left == []
    assert first.keys["load"] in second.executor.running
    assert after.metadata.labels["airflow-worker"] == "second"
    assert (after.metadata.uid, after.metadata.annotations, after.spec) == (
        before.metadata.uid,
        before.metadata.annotations,
        before.spec,
    )


def test_adoption_waits_for_an_api_server_that_is_away(control_plane: Cluster, start: Start) -> None:
    """Nothing is given back meanwhile, which would start it twice; the stock executor ends the scheduler."""
    first, second = start(job_id="first"), start(job_id="second")
    first.run("load", AS_ETL)
    with control_plane.api_server_outage():
        left = second.executor.try_adopt_task_instances([adoptable(first.keys["load"], job_id="first")])
        second.beat()

    second.beat_until(lambda: first.keys["load"] in second.executor.running)
    (pod,) = second.pods("load")
    assert (left, pod.metadata.labels["airflow-worker"]) == ([], "second")


def test_a_task_without_a_pod_is_given_back_to_the_scheduler(start: Start) -> None:
    """Nothing is adopted that is not there."""
    executor = start(job_id="second")

    lost = adoptable(executor.submit("load", AS_ETL), job_id="first")
    assert executor.executor.try_adopt_task_instances([lost]) == [lost]


@pytest.mark.parametrize("creation", ["sequential", "concurrent"])
def test_a_task_that_is_put_back_keeps_its_identity(
    control_plane: Cluster, namespace: str, start: Start, configure: Configure, creation: str
) -> None:
    """A quota refuses the pod until it is lifted; the pod that comes then is bound."""
    configure(
        kubernetes_executor__task_publish_max_retries=-1,
        kubernetes_executor__async_pod_creation=creation == "concurrent",
    )
    quota: dict[str, Any] = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    quota["status"] = {"hard": {"pods": "0"}, "used": {"pods": "0"}}
    control_plane.core().create_namespaced_resource_quota(namespace, quota)
    control_plane.core().patch_namespaced_resource_quota_status(
        "none", namespace, {"status": quota["status"]}
    )
    executor = start()
    executor.submit("load", AS_ETL)
    for _ in range(3):
        executor.beat()
    during = (executor.pods("load"), executor.reason("load"))

    control_plane.core().delete_namespaced_resource_quota("none", namespace)
    executor.beat_until(lambda: bool(executor.pods("load")))
    (pod,) = executor.pods("load")
    assert during == ([], None)
    assert [volume.secret.secret_name for volume in pod.spec.volumes if volume.secret] == [
        "gcp-sa-etl-fd6d6038"
    ]


def test_two_executors_at_once_agree_on_the_secrets(
    control_plane: Cluster, namespace: str, start: Start
) -> None:
    """Two schedulers with the same configuration leave one Secret per account, and both start tasks."""
    first, second = start(job_id="first"), start(job_id="second")

    assert isinstance(first.run("a", AS_ETL), V1Pod)
    assert isinstance(second.run("b", AS_ETL), V1Pod)
    selector = "app.kubernetes.io/managed-by=airflow-sa-binding"
    secrets = control_plane.core().list_namespaced_secret(namespace, label_selector=selector).items
    assert sorted(secret.metadata.name for secret in secrets) == [
        "gcp-sa-ads-a2a90470",
        "gcp-sa-etl-fd6d6038",
    ]


@pytest.mark.parametrize(
    "annotations",
    [
        pytest.param({"map_index": "abc"}, id="not-a-number"),
        pytest.param({"try_number": None}, id="missing"),
        pytest.param(None, id="none"),
        pytest.param({"get": "x"}, id="name-of-a-method"),
    ],
)
def test_a_pod_that_cannot_be_read_costs_no_other_its_adoption(
    control_plane: Cluster,
    namespace: str,
    start: Start,
    caplog: pytest.LogCaptureFixture,
    annotations: dict[str, str | None] | None,
) -> None:
    """Neither a running nor a finished one, which anybody may leave; each is told of once."""
    first, second = start(job_id="first"), start(job_id="second")
    first.run("load", AS_ETL)
    for name, phase in (("a-running", "Running"), ("a-finished", "Succeeded")):
        leave_pod(control_plane, namespace, name, phase, annotations)

    for _ in range(2):
        left = second.executor.try_adopt_task_instances([adoptable(first.keys["load"], job_id="first")])
    second.executor._last_completed_pod_adoption = 0.0  # its next round is due
    second.beat()
    assert left == []
    assert first.keys["load"] in second.executor.running
    told = [line.partition(" namespace=")[0] for line in caplog.messages if "sa_binding.pod_skipped" in line]
    assert sorted(told) == ["sa_binding.pod_skipped pod=a-finished", "sa_binding.pod_skipped pod=a-running"]


def test_a_pod_that_cannot_be_read_does_not_end_the_executor_that_watches_it(
    control_plane: Cluster, namespace: str, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """What becomes of the pod is told in one line, and of other pods as ever."""
    executor = start(job_id="first")
    leave_pod(control_plane, namespace, "a-pod", "Succeeded", {"map_index": "abc"})
    executor.beat_until(lambda: any("sa_binding.pod_skipped" in line for line in caplog.messages))

    (line,) = [line for line in caplog.messages if "sa_binding.pod_skipped" in line]
    assert line == (
        f"sa_binding.pod_skipped pod=a-pod namespace={namespace} its annotations are not those of a task: "
        "\"ValueError: invalid literal for int() with base 10: 'abc'\""
    )
    assert isinstance(executor.run("load", AS_ETL), V1Pod)


def leave_pod(
    cluster: Cluster, namespace: str, name: str, phase: str, annotations: dict[str, str | None] | None
) -> None:
    """Leave a pod that looks like one of the scheduler `first`, but for its annotations."""
    ours: dict[str, str | None] = {"dag_id": "a_dag", "task_id": "x", "run_id": "a_run", "try_number": "1"}
    merged = {} if annotations is None else {**ours, **annotations}
    metadata = {
        "name": name,
        "labels": {"kubernetes_executor": "True", "airflow-worker": "first"},
        "annotations": {key: value for key, value in merged.items() if value is not None},
    }
    spec = {"containers": [{"name": "base", "image": "none"}]}
    core = cluster.core()
    core.create_namespaced_pod(namespace, {"metadata": metadata, "spec": spec})
    core.patch_namespaced_pod_status(name, namespace, {"status": {"phase": phase}})
