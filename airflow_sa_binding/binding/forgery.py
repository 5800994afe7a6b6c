"""What a pod may not say: that it is another task's, or nobody's.

Airflow merges a DAG author's `pod_override` last, and an author may choose the template, so both could claim another
task's id, or hide the pod from its executor. Only the task that the scheduler handed over is believed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from airflow_sa_binding.binding.errors import Refused, some_of
from airflow_sa_binding.binding.names import APPLIED_ANNOTATION
from airflow_sa_binding.binding.plain import plain_dict, plain_text

if TYPE_CHECKING:
    from kubernetes.client import models as k8s

    from airflow_sa_binding.binding.identity import Settings

_DROP = "drop it: the executor sets it"
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Task(NamedTuple):
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
_HIDING_LABELS = frozenset({"airflow_executor_done", "airflow_pod_revoked", "kubernetes_executor"})


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
    for field, name in (("name", metadata.name), ("generateName", metadata.generate_name)):
        # The API server would refuse it, but only after it has been in a log line.
        text = None if name is None else plain_text(name)
        if name is not None and (text is None or not _DNS_SUBDOMAIN.fullmatch(text.rstrip("-"))):
            raise Refused(
                f"{where}.{field}", "is not a pod's name", got=name, remedy="use a-z, 0-9, '-' and '.'"
            )
    namespace = metadata.namespace
    if namespace is not None and not settings.any_namespace and namespace not in settings.namespaces:
        raise Refused(
            f"{where}.namespace",
            "task pods do not run there",
            got=namespace,
            remedy=f"use one of {some_of(settings.namespaces)}, or have it added to [sa_binding] namespaces",
        )


def refuse_forged_pod(pod: k8s.V1Pod, task: Task) -> None:
    """Check that nothing in a finished pod, wherever it came from, makes it pass for another's, or for none.

    The executor's watcher reads annotations, and looks past pods with some labels.

    Raises:
        Refused: Something does.
    """
    metadata, where = pod.metadata, "metadata"
    _refuse_others(
        metadata.annotations,
        _RESERVED_ANNOTATIONS - {"task_instance_id"},
        task.labels(),
        f"{where}.annotations",
    )
    _refuse_others(metadata.labels, _HIDING_LABELS, {"kubernetes_executor": "True"}, f"{where}.labels")


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
