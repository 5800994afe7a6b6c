"""Drives an executor as the scheduler does, against a real API server: tasks in, heartbeats, events out.

Needs no metadata database: the executor is handed what the scheduler would have read from it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import import_module
from importlib.metadata import version
from typing import Any

from kubernetes.client import V1Pod
from packaging.version import Version

from tests.cluster.cluster import Cluster

AIRFLOW = Version(version("apache-airflow"))
DAG_ID, RUN_ID = "a_dag", "a_run"


@dataclass
class Driver:
    """An executor that was started, and the tasks that it was given."""

    executor: Any
    cluster: Cluster
    namespace: str
    keys: dict[str, Any] = field(default_factory=dict)
    """By task id."""

    def submit(self, task_id: str, executor_config: Any = None) -> Any:
        """Hand a task to the executor and return its key."""
        workload_key = queue_task(self.executor, task_id, executor_config)
        self.keys[task_id] = workload_key
        return workload_key

    def beat(self) -> None:
        """Do one heartbeat, as each loop of the scheduler does."""
        self.executor.heartbeat()

    def beat_until(self, condition: Callable[[], bool], *, timeout_seconds: float = 30) -> None:
        """Go on with heartbeats until something has happened.

        Raises:
            TimeoutError: It has not.
        """
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not after {timeout_seconds} s; events: {self.executor.event_buffer}")
            self.beat()
            time.sleep(0.1)

    def run(self, task_id: str, executor_config: Any = None) -> V1Pod | str:
        """Submit a task and return its pod, or the reason why it failed."""
        self.submit(task_id, executor_config)
        self.beat_until(lambda: self.reason(task_id) is not None or bool(self.pods(task_id)))
        reason = self.reason(task_id)
        return self.pods(task_id)[0] if reason is None else reason

    def reason(self, task_id: str) -> str | None:
        """Return why a task has failed: the text that the audit log gets."""
        state, info = self.executor.event_buffer.get(self.keys[task_id], ("", None))
        return str(info) if state == "failed" else None

    def is_free(self, task_id: str) -> bool:
        """Tell whether a task occupies no slot, and waits for none."""
        key = self.keys[task_id]
        return key not in self.executor.running and key not in self.executor.queued_tasks

    def pods(self, task_id: str, *, namespace: str | None = None) -> list[V1Pod]:
        """Return the pods that were created for a task."""
        pods = self.cluster.core().list_namespaced_pod(namespace or self.namespace).items
        return [pod for pod in pods if (pod.metadata.annotations or {}).get("task_id") == task_id]


@contextmanager
def started(executor: Any, *, job_id: str = "scheduler-1") -> Iterator[None]:
    """Start an executor and end it afterwards."""
    # Not a number: there is no row of this job, nor of its tasks, that could be compared with.
    executor.job_id = job_id
    executor.start()
    try:
        yield
    finally:
        executor.end()


def queue_task(executor: Any, task_id: str, executor_config: Any) -> Any:
    """Queue a task as the scheduler of this Airflow does, and return its key."""
    return (_queue_workload if AIRFLOW.major >= 3 else _queue_command)(executor, task_id, executor_config)


def _queue_workload(executor: Any, task_id: str, executor_config: Any) -> Any:
    # Each version checks other models than the one that mypy sees.
    workloads: Any = import_module("airflow.executors.workloads")
    task = getattr(workloads, "TaskInstanceDTO", None) or workloads.TaskInstance
    instance = task(
        id=uuid.uuid4(),
        dag_version_id=uuid.uuid4(),
        task_id=task_id,
        dag_id=DAG_ID,
        run_id=RUN_ID,
        try_number=1,
        map_index=-1,
        pool_slots=1,
        queue="default",
        priority_weight=1,
        executor_config=executor_config,
    )
    workload = workloads.ExecuteTask(
        token="",
        ti=instance,
        dag_rel_path="a_dag.py",
        bundle_info={"name": "dags-folder"},
        log_path="log",
    )
    executor.queue_workload(workload, session=None)
    return instance.key


def _queue_command(executor: Any, task_id: str, executor_config: Any) -> Any:
    models: Any = import_module("airflow.models")
    empty: Any = import_module("airflow.operators.empty")
    now = datetime(2025, 1, 1, tzinfo=timezone.utc)
    dag = models.DAG(DAG_ID, schedule=None, start_date=now)
    operator = empty.EmptyOperator(task_id=task_id, dag=dag, executor_config=executor_config)
    instance = models.TaskInstance(operator, run_id=RUN_ID, state="queued")
    instance.try_number = 1
    instance.dag_run = models.DagRun(dag_id=DAG_ID, run_id=RUN_ID, execution_date=now, start_date=now)
    command = ["airflow", "tasks", "run", DAG_ID, task_id, RUN_ID, "--local", "--subdir", "a_dag.py"]
    executor.queue_command(instance, command)
    return instance.key


@dataclass
class Adoptable:
    """As much of a task instance as an executor looks at when it adopts."""

    key: Any
    queued_by_job_id: str


def adoptable(key: Any, *, job_id: str) -> Adoptable:
    """Return the task instance of a key, as a scheduler that has died left it."""
    return Adoptable(key=key, queued_by_job_id=job_id)


def requests_per_pod(cluster: Cluster, namespace: str, mark: int) -> Mapping[str, int]:
    """Count what the API server was asked about a namespace since a mark, watches aside."""
    counts: dict[str, int] = {}
    for request in cluster.audit_log.requests_since(mark):
        if request.namespace == namespace and request.verb != "watch":
            what = f"{request.verb} {request.resource}"
            counts[what] = counts.get(what, 0) + 1
    return counts
