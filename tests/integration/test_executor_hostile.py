"""What a DAG author may put into `executor_config` to harm the scheduler or other tasks, and what comes of it."""

from __future__ import annotations

import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.models.taskinstancekey import TaskInstanceKey
from kubernetes.client import V1Pod
from kubernetes.client import models as k8s

from airflow_sa_binding.binding.errors import describe
from tests.integration.executor_fixtures import (
    IGNORE_AIRFLOWS_WARNINGS,
    TEMPLATE,
    Start,
    configure,
    keys,
    start,
)
from tests.keys import ADS, ETL

__all__ = ["configure", "keys", "start"]

pytestmark = [pytest.mark.cluster, *IGNORE_AIRFLOWS_WARNINGS]

KEY = "gcp-service-account"
NOT_TRANSPORTABLE = (
    "executor_config: holds a value that cannot be sent to another process; "
    "use plain values and Kubernetes models only"
)
TEMPLATE_FIELD = 'executor_config["pod_template_file"]'
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
            "executor_config: holds a value that cannot be sent to another process; "
            "use plain values and Kubernetes models only",
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
            {"KubernetesExecutor": {"image": "x"}},
            'executor_config["KubernetesExecutor"]: is the form of Airflow 1, which the executor no longer takes; '
            'write "pod_override": kubernetes.client.models.V1Pod(...)',
            id="of-airflow-1",
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


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param(
            7,
            f"{TEMPLATE_FIELD}: must be an absolute path, got 7; "
            "write the path of a file that the scheduler can read",
            id="descriptor",
        ),
        pytest.param(
            "template.yaml",
            f"{TEMPLATE_FIELD}: must be an absolute path, got 'template.yaml'; "
            "write the path of a file that the scheduler can read",
            id="relative",
        ),
        pytest.param(
            "/nowhere/template.yaml",
            f"{TEMPLATE_FIELD}, file '/nowhere/template.yaml': does not exist; put it there or correct the path",
            id="missing",
        ),
        pytest.param(
            "/dev/zero",
            f"{TEMPLATE_FIELD}, file '/dev/zero': is not a regular file; "
            "put a regular file there or correct the path",
            id="device",
        ),
    ],
)
def test_a_template_that_is_no_file_is_refused(start: Start, path: Any, reason: str) -> None:
    """The scheduler reads nothing but regular files, and a template that is missing is not taken for empty."""
    executor = start()

    assert executor.run("bad", {"pod_template_file": path}) == reason
    assert (executor.pods("bad"), executor.is_free("bad")) == ([], True)


def test_a_template_cannot_be_a_pipe_of_the_scheduler(start: Start) -> None:
    """Reading it would stop the scheduler until somebody writes."""
    executor = start()
    reading, writing = os.pipe()
    path = f"/proc/self/fd/{reading}"

    try:
        reason = executor.run("bad", {"pod_template_file": path})
    finally:
        os.close(reading)
        os.close(writing)
    assert reason == (
        f"{TEMPLATE_FIELD}, file '{path}': is not a regular file; put a regular file there or correct the path"
    )


def test_a_template_that_grows_when_it_is_read_is_refused(start: Start, tmp_path: Path) -> None:
    """Aliases of aliases would keep the scheduler busy for hours."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    template = tmp_path / "bomb.yaml"
    template.write_text("\n".join(lines))
    executor = start()

    assert executor.run("bad", {"pod_template_file": str(template)}) == (
        f"{TEMPLATE_FIELD}, file {describe(str(template))}: comes to more than 100000 values with its aliases "
        "expanded; write it without aliases"
    )


def test_a_template_that_goes_while_its_task_waits_is_missed(start: Start, tmp_path: Path) -> None:
    """The pod is not built from nothing instead."""
    template = tmp_path / "own.yaml"
    shutil.copy(TEMPLATE, template)
    executor = start()
    executor.submit("bad", {"pod_template_file": str(template)})
    # A heartbeat takes the task and builds its pod in one go.
    executor.executor.trigger_tasks(1)
    template.unlink()
    executor.beat_until(lambda: executor.reason("bad") is not None)

    assert executor.reason("bad") == (
        f"{TEMPLATE_FIELD}, file {describe(str(template))}: does not exist; put it there or correct the path"
    )
    assert executor.pods("bad") == []


def test_a_template_of_the_authors_own_is_used(start: Start, tmp_path: Path) -> None:
    """What an ordinary template holds is accepted."""
    own = tmp_path / "own.yaml"
    content = yaml.safe_load(TEMPLATE.read_text())
    content["metadata"].setdefault("labels", {})["of"] = "my-own"
    own.write_text(yaml.safe_dump(content))
    executor = start()

    pod = executor.run("load", {KEY: ETL, "pod_template_file": str(own)})
    assert isinstance(pod, V1Pod)
    assert pod.metadata.labels["of"] == "my-own"


def nested(depth: int) -> object:
    """Build a list in a list in a list..."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depths", [range(300, 600, 3), range(600, 1000, 5)])
def test_no_depth_of_nesting_ends_the_executor(start: Start, depths: range) -> None:
    """Where pickling begins to fail depends on how deep the stack is already, which differs on a task's way."""
    executor = start()
    for depth in depths:
        executor.executor.execute_async(
            TaskInstanceKey("a_dag", "bad", "a_run", depth, -1),
            ["airflow", "tasks", "run"],
            executor_config={"mine": nested(depth)},
        )

    assert {reason for _, reason in executor.executor._refused} <= {NOT_TRANSPORTABLE}
    executor.executor._flush_task_queue()


class Fickle:
    """An object that can be pickled a limited number of times."""

    def __init__(self, error: Exception) -> None:
        self.left, self.error = 1, error

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Be an empty list, or fail."""
        if not self.left:
            raise self.error
        self.left -= 1
        return list, ()


@pytest.mark.parametrize(
    "error",
    [RecursionError(), TypeError(), AttributeError(), ValueError(), pickle.PicklingError()],
    ids=lambda error: type(error).__name__,
)
def test_an_object_that_fails_on_its_way_into_the_queue_fails_its_task_alone(
    start: Start, error: Exception
) -> None:
    """It passed the first look, and nothing is left of the task."""
    executor = start()

    key = TaskInstanceKey("a_dag", "bad", "a_run", 1, -1)
    executor.executor.running.add(key)
    # Airflow 3 would copy it on the way.
    executor.executor.execute_async(key, ["airflow", "tasks", "run"], executor_config={"mine": Fickle(error)})
    executor.beat()
    assert executor.executor.event_buffer[key] == (
        "failed",
        NOT_TRANSPORTABLE,
    )
    assert (key in executor.executor.running, executor.executor.pod_launch_attempts) == (False, {})


def test_a_queue_whose_process_has_died_is_not_the_tasks_fault(start: Start) -> None:
    """No task is failed for it."""
    executor = start()
    executor.executor._manager.shutdown()

    with pytest.raises((OSError, EOFError)):
        executor.executor.execute_async(
            TaskInstanceKey("a_dag", "load", "a_run", 1, -1),
            ["airflow", "tasks", "run"],
            executor_config=None,
        )
    assert list(executor.executor._refused) == []


def test_a_huge_list_of_accounts_is_refused_for_its_size(start: Start) -> None:
    """Before anything looks at what is in it."""
    executor = start()

    assert executor.run("bad", {KEY: [f"{number}@{ETL}" for number in range(100_000)]}) == (
        "executor_config: is larger than 1048576 bytes; keep data elsewhere"
    )


def test_refused_tasks_are_failed_before_the_executor_ends(start: Start) -> None:
    """The reason is not lost with the executor."""
    executor = start()
    executor.submit("bad", {KEY: 1})
    executor.executor.trigger_tasks(1)
    executor.executor.end()

    assert executor.reason("bad") == (
        f'executor_config["{KEY}"]: must be an account\'s name, a dict with name and containers, or a list of '
        'these, got 1; write "etl@project.iam.gserviceaccount.com"'
    )
