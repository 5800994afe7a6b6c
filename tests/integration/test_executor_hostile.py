"""What a DAG author may put into `executor_config` to harm the scheduler or other tasks, and what comes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client import V1Pod
from kubernetes.client import models as k8s

from tests.integration.executor_fixtures import IGNORE_AIRFLOWS_WARNINGS, Start, configure, keys, start
from tests.keys import ADS, ETL

__all__ = ["configure", "keys", "start"]

pytestmark = [pytest.mark.cluster, *IGNORE_AIRFLOWS_WARNINGS]

KEY = "gcp-service-account"
TEN_MEGABYTES = 10 * 1024 * 1024


def annotated(annotations: Any) -> k8s.V1Pod:
    """Build a `pod_override` with annotations."""
    return k8s.V1Pod(metadata=k8s.V1ObjectMeta(annotations=annotations))


@pytest.fixture(params=["sequential", "concurrent"], autouse=True)
def creation(request: pytest.FixtureRequest, configure: Callable[..., None]) -> None:
    """Have pods created one after another, or many at once."""
    configure(kubernetes_executor__async_pod_creation=request.param == "concurrent")


@pytest.mark.parametrize(
    ("executor_config", "reason"),
    [
        pytest.param(
            {KEY: {ETL}},
            f'executor_config["{KEY}"]: must be an account\'s name, a dict with name and containers, or a list of '
            'these, got set; write "etl@project.iam.gserviceaccount.com"',
            id="set",
        ),
        pytest.param(
            {KEY: "x" * TEN_MEGABYTES},
            f'executor_config["{KEY}"]: is not a service account\'s email address, '
            "got 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'... (10485760 characters); "
            "write it like etl@project.iam.gserviceaccount.com",
            id="ten-megabytes",
        ),
        pytest.param(
            {KEY: lambda: ETL},
            f'executor_config["{KEY}"]: must be an account\'s name, a dict with name and containers, or a list of '
            'these, got function; write "etl@project.iam.gserviceaccount.com"',
            id="lambda",
        ),
        pytest.param(
            {"pod_override": annotated({"note": lambda: ETL})},
            "executor_config: holds a value that cannot be sent to another process; "
            "use plain values and Kubernetes models only",
            id="lambda-in-an-annotation",
        ),
        pytest.param(
            {"pod_override": annotated({"note": {"a", "b"}})},
            "pod: cannot be built: AttributeError: 'set' object has no attribute 'openapi_types'; look at "
            "pod_override and pod_template_file, and use plain values and Kubernetes models only",
            id="set-in-an-annotation",
        ),
        pytest.param(
            {"pod_override": annotated({"note": "x" * TEN_MEGABYTES})},
            "executor_config: is larger than 1048576 bytes; keep data elsewhere",
            id="ten-megabytes-in-an-annotation",
        ),
        pytest.param(
            {"pod_override": annotated({"note": "x" * 300_000})},
            'pod: the API server refuses it: Pod "NAME" is invalid: metadata.annotations: Too long: may not be more '
            "than 262144 bytes (status 422)",
            id="too-long-for-kubernetes",
        ),
        pytest.param(
            {"pod_override": "a pod"},
            "executor_config[\"pod_override\"]: must be a pod, got 'a pod'; "
            "write kubernetes.client.models.V1Pod(...)",
            id="pod-override-of-text",
        ),
        pytest.param(
            {"KubernetesExecutor": {"image": "x"}}, "Invalid executor_config passed", id="of-airflow-1"
        ),
    ],
)
def test_a_value_that_cannot_be_used_fails_its_task_alone(
    start: Start, executor_config: Any, reason: str
) -> None:
    """The reason is one line, the slot is free, and the next task starts."""
    executor = start()

    assert re.sub(r"a-dag-bad-\w+", "NAME", str(executor.run("bad", executor_config))) == reason
    assert (executor.pods("bad"), executor.is_free("bad")) == ([], True)
    assert isinstance(executor.run("good", {KEY: ETL}), V1Pod)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        pytest.param(
            {"annotations": {"task_id": "other"}},
            "pod_override.metadata.annotations[\"task_id\"]: says whose pod this is, got 'other'; "
            "drop it: the executor sets it",
            id="annotation",
        ),
        pytest.param(
            {"labels": {"airflow-worker": "another-scheduler"}},
            "pod_override.metadata.labels[\"airflow-worker\"]: says whose pod this is, got 'another-scheduler'; "
            "drop it: the executor sets it",
            id="label",
        ),
        pytest.param(
            {"annotations": {"airflow-sa-binding/applied": "{}"}},
            "pod_override.metadata.annotations[\"airflow-sa-binding/applied\"]: says whose pod this is, got '{}'; "
            "drop it: the executor sets it",
            id="applied",
        ),
        pytest.param(
            {"annotations": {"iam.cloud.google.com/service-account": ADS}},
            'pod_override.metadata.annotations["iam.cloud.google.com/service-account"]: asks for something else '
            f"than executor_config[\"{KEY}\"], got '{ADS}'; keep one of the two",
            id="other-account",
        ),
    ],
)
def test_a_forged_pod_override_is_refused(start: Start, metadata: dict[str, Any], reason: str) -> None:
    """A task cannot pass for another one, nor hide from its executor."""
    executor = start()

    override = k8s.V1Pod(metadata=k8s.V1ObjectMeta(**metadata))
    assert executor.run("bad", {KEY: ETL, "pod_override": override}) == reason
    assert (executor.pods("bad"), executor.is_free("bad")) == ([], True)


def test_a_pod_override_cannot_move_a_pod_to_another_namespace(start: Start) -> None:
    """The service account and the Secrets of another namespace are somebody else's."""
    executor = start()

    override = k8s.V1Pod(metadata=k8s.V1ObjectMeta(namespace="kube-system"))
    assert executor.run("bad", {"pod_override": override}) == (
        "pod_override.metadata.namespace: task pods do not run there, got 'kube-system'; "
        f"use one of {executor.namespace!r}, or have it added to [sa_binding] namespaces"
    )
    assert executor.pods("bad", namespace="kube-system") == []


def test_a_task_cannot_mount_the_secret_of_an_account_that_it_does_not_ask_for(start: Start) -> None:
    """The account that it asks for does not open the way to others."""
    executor = start()
    volume = k8s.V1Volume(name="mine", secret=k8s.V1SecretVolumeSource(secret_name="gcp-sa-ads-a2a90470"))
    override = k8s.V1Pod(spec=k8s.V1PodSpec(containers=[], volumes=[volume]))

    reason = executor.run("bad", {KEY: ETL, "pod_override": override})
    assert reason == (
        "spec.volumes[0].secret.secretName: names a Secret that holds an identity, got 'gcp-sa-ads-a2a90470'; "
        f'ask for the identity with executor_config={{"{KEY}": ...}} instead'
    )
    assert executor.pods("bad") == []


def test_tasks_go_on_while_many_are_refused(start: Start) -> None:
    """Refusals use up no slots: more than there are, and a good task behind them."""
    executor = start()
    for number in range(40):
        executor.submit(f"bad{number}", {KEY: 1})

    assert isinstance(executor.run("good", {KEY: ETL}), V1Pod)
    executor.beat_until(lambda: all(executor.reason(f"bad{number}") for number in range(40)))
    assert all(executor.is_free(f"bad{number}") for number in range(40))
