"""The executor against a real API server: the pods that it creates, and what a refusal leaves behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kubernetes.client import V1Pod

from tests.cluster.cluster import Cluster
from tests.integration.executor_fixtures import (
    IGNORE_AIRFLOWS_WARNINGS,
    OURS,
    STOCK,
    Start,
    configure,
    keys,
    start,
)
from tests.integration.executor_harness import requests_per_pod
from tests.keys import ADS, ETL

__all__ = ["configure", "keys", "start"]

pytestmark = [pytest.mark.cluster, *IGNORE_AIRFLOWS_WARNINGS]

Configure = Callable[..., None]

ETL_VOLUME, ETL_PATH = "gcp-sa-etl-fd6d6038", "/var/run/secrets/gcp/etl-fd6d6038"


def identity_of(pod: V1Pod, container: int = 0) -> dict[str, object]:
    """Return what concerns identities of a pod's container."""
    one = pod.spec.containers[container]
    return {
        "volumes": [each.secret.secret_name for each in pod.spec.volumes or () if each.secret],
        "mounts": {
            each.mount_path: each.name for each in one.volume_mounts or () if each.name.startswith("gcp-sa-")
        },
        "variables": {
            each.name: each.value for each in one.env or () if each.name.startswith(("GOOGLE_", "CLOUDSDK_"))
        },
    }


AS_ETL = {
    "volumes": [ETL_VOLUME],
    "mounts": {ETL_PATH: ETL_VOLUME},
    "variables": {
        "GOOGLE_APPLICATION_CREDENTIALS": f"{ETL_PATH}/key.json",
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": f"{ETL_PATH}/key.json",
        "GOOGLE_CLOUD_PROJECT": "acme",
    },
}
AS_NOBODY: dict[str, object] = {"volumes": [], "mounts": {}, "variables": {}}


@pytest.fixture(params=["sequential", "concurrent"])
def creation(request: pytest.FixtureRequest, configure: Configure) -> str:
    """Have pods created one after another, or many at once."""
    configure(kubernetes_executor__async_pod_creation=request.param == "concurrent")
    return str(request.param)


@pytest.mark.usefixtures("creation")
def test_a_task_gets_a_pod_with_the_identity_that_it_asks_for(start: Start) -> None:
    """The API server has accepted the pod with variables, mount and volume."""
    executor = start()

    pod = executor.run("load", {"gcp-service-account": ETL})
    assert isinstance(pod, V1Pod)
    assert identity_of(pod) == AS_ETL


@pytest.mark.usefixtures("creation")
def test_a_task_that_asks_for_nothing_gets_nothing(start: Start) -> None:
    """Its pod is what the stock executor would create."""
    executor = start()

    pod = executor.run("tidy_up")
    assert isinstance(pod, V1Pod)
    assert identity_of(pod) == AS_NOBODY
    assert [name for name in pod.metadata.annotations if "sa-binding" in name or "google" in name] == []


@pytest.mark.usefixtures("creation")
def test_tasks_of_one_batch_do_not_mix_their_identities(start: Start) -> None:
    """Each of many tasks that are started in one heartbeat has its own."""
    executor = start()
    for number in range(9):
        wanted = [{"gcp-service-account": ETL}, {"gcp-service-account": ADS}, {}][number % 3]
        executor.submit(f"task{number}", wanted)
    executor.beat_until(lambda: all(executor.pods(f"task{number}") for number in range(9)))

    found = [identity_of(executor.pods(f"task{number}")[0])["volumes"] for number in range(9)]
    assert found == [[ETL_VOLUME], ["gcp-sa-ads-a2a90470"], []] * 3


@pytest.mark.usefixtures("creation")
def test_a_refused_task_fails_with_the_reason_and_frees_its_slot(start: Start) -> None:
    """No pod is left, and the next task is started."""
    executor = start()

    assert executor.run("pay", {"gcp-service-account": "payroll@other.iam.gserviceaccount.com"}) == (
        'executor_config["gcp-service-account"]: account is not listed in [kubernetes] gcp_service_accounts, '
        "got 'payroll@other.iam.gserviceaccount.com'; ask your platform engineer to list it"
    )
    assert executor.pods("pay") == []
    assert executor.is_free("pay")
    assert isinstance(executor.run("load", {"gcp-service-account": ETL}), V1Pod)


@pytest.mark.usefixtures("creation")
def test_a_task_that_is_refused_when_its_pod_is_built_frees_its_slot(start: Start) -> None:
    """A container that does not exist is found out only then."""
    executor = start()

    assert executor.run("load", {"gcp-service-account": {"name": ETL, "containers": ["bass"]}}) == (
        "executor_config[\"gcp-service-account\"].containers: the pod has no such container, got 'bass'; "
        "did you mean 'base'?"
    )
    assert executor.pods("load") == []
    assert executor.is_free("load")


def test_binding_makes_no_call_per_pod(control_plane: Cluster, namespace: str, start: Start) -> None:
    """Five pods cost the calls that the stock executor makes for five pods."""

    def calls_for(path: str, prefix: str) -> object:
        executor = start(path, job_id=prefix)
        executor.beat()
        mark = control_plane.audit_log.mark()
        for number in range(5):
            executor.submit(f"{prefix}{number}", {"gcp-service-account": ETL})
        executor.beat_until(lambda: all(executor.pods(f"{prefix}{number}") for number in range(5)))
        counts = dict(requests_per_pod(control_plane, namespace, mark))
        # This test's own question whether the pods are there.
        counts.pop("list pods", None)
        return counts

    assert calls_for(OURS, "ours") == calls_for(STOCK, "stock") == {"create pods": 5}
