"""What a `pod_override` may not say: whose pod it is.

Airflow merges a DAG author's `pod_override` last, so it could claim another task's id, or hide the pod from its
executor. Only the task that the scheduler handed over is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sa_binding.binding.errors import Refused, some_of
from airflow_sa_binding.binding.names import APPLIED_ANNOTATION
from airflow_sa_binding.binding.plain import plain_dict, plain_text

if TYPE_CHECKING:
    from kubernetes.client import models as k8s

    from airflow_sa_binding.binding.identity import Settings

_DROP = "drop it: the executor sets it"


@dataclass(frozen=True, kw_only=True)
class Task:
    """The task instance that the scheduler handed over."""

    dag_id: str
    task_id: str
    run_id: str
    try_number: int
    map_index: int
    """-1 for a task that is not mapped."""

    def labels(self) -> dict[str, str]:
        """Return what annotations and labels of the pod say of it. Labels that Airflow rewrites differ from this."""
        facts = {
            "dag_id": self.dag_id,
            "task_id": self.task_id,
            "run_id": self.run_id,
            "try_number": str(self.try_number),
        }
        return facts if self.map_index < 0 else {**facts, "map_index": str(self.map_index)}


# Written by the executor and read by its watcher and by adoption; an author has no reason to write them.
_RESERVED_ANNOTATIONS = frozenset(
    {
        "dag_id",
        "task_id",
        "run_id",
        "try_number",
        "map_index",
        "task_instance_id",
        "logical_date",
        "execution_date",
    }
)
_RESERVED_LABELS = _RESERVED_ANNOTATIONS - {"task_instance_id"} | {
    "airflow-worker",
    "airflow_executor_done",
    "airflow_pod_revoked",
    "kubernetes_executor",
    "ti_id",
}


def refuse_forgeries(override: k8s.V1Pod | None, task: Task, settings: Settings) -> None:
    """Check that an author's `pod_override` does not change whose pod it is.

    Raises:
        Refused: It sets a reserved annotation or label to something else, or runs where no task pod may.
    """
    if override is None or override.metadata is None:
        return
    metadata, where = override.metadata, "pod_override.metadata"
    truth = task.labels()
    _refuse_others(
        metadata.annotations, _RESERVED_ANNOTATIONS | {APPLIED_ANNOTATION}, truth, f"{where}.annotations"
    )
    _refuse_others(
        metadata.labels, _RESERVED_LABELS, {**truth, "kubernetes_executor": "True"}, f"{where}.labels"
    )
    namespace = metadata.namespace
    if namespace is not None and not settings.any_namespace and namespace not in settings.namespaces:
        raise Refused(
            f"{where}.namespace",
            "task pods do not run there",
            got=namespace,
            remedy=f"use one of {some_of(settings.namespaces)}, or have it added to [sa_binding] namespaces",
        )


def _refuse_others(given: object, reserved: frozenset[str], truth: dict[str, str], where: str) -> None:
    if given is None:
        return
    written = plain_dict(given)
    if written is None:
        raise Refused(where, "must be a dict", got=given, remedy="write a dict of strings")
    # In the order of the author's own dict, so that the same mistake always gives the same message.
    for name, value in written[0].items():
        # Not `truth.get(name)`: a value of None is written too, and empties what the executor set.
        if name in reserved and (name not in truth or plain_text(value) != truth[name]):
            raise Refused(f'{where}["{name}"]', "says whose pod this is", got=value, remedy=_DROP)
