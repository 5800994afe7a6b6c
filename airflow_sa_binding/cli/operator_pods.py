"""The pods that KubernetesPodOperator and its relatives start, as far as they are known before the task runs."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_sa_binding.binding.errors import Refused, describe
from airflow_sa_binding.binding.names import SERVICE_ACCOUNT_ANNOTATION
from airflow_sa_binding.cli.offline import RUN_ID
from airflow_sa_binding.cli.rendered import RenderedPod, as_manifest, with_steady_name
from airflow_sa_binding.hook import left_to_executor

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_HOOK = (
    f'metadata.annotations["{SERVICE_ACCOUNT_ANNOTATION}"]: asks for an identity, but no pod_mutation_hook binds it '
    "here; install airflow-sa-binding, or import its hook in airflow_local_settings.py"
)


class _NoConnection:
    """Stands in for the operator's hook, which would look up a connection in the metadata database.

    Answers as it does in a worker pod without one.
    """

    is_in_cluster = True

    def get_namespace(self) -> None:
        return None

    def get_xcom_sidecar_container_image(self) -> None:
        return None

    def get_xcom_sidecar_container_resources(self) -> None:
        return None

    def get_xcom_sidecar_container_security_context(self) -> None:
        return None


def render_operator_pod(
    operator: Any, subject: Mapping[str, str], *, map_index: int, namespace: str
) -> RenderedPod:
    """Render the pod that an operator starts, with its templates as they are written.

    Arguments:
        operator: As its author wrote it.
        subject: Whose pod it is.
        map_index: -1 for a task that is not mapped.
        namespace: Where the task's own pod runs, which is where this one runs unless it says otherwise.
    """
    try:
        with left_to_executor():
            stock = _build(operator, map_index, namespace)
        bound = _build(operator, map_index, namespace)
    except Refused as refused:
        return RenderedPod(subject=subject, refusal=str(refused))
    except Exception as error:  # noqa: BLE001 - the operator's code is anybody's; what it raised is shown
        reason = f"{type(error).__name__}: {describe(str(error))}"
        return RenderedPod(subject=subject, refusal=f"cannot be built before the task runs: {reason}")
    rendered = RenderedPod(subject=subject, stock=stock, bound=bound)
    if SERVICE_ACCOUNT_ANNOTATION in (bound["metadata"].get("annotations") or {}) and not rendered.bindings:
        return RenderedPod(subject=subject, stock=stock, refusal=_NO_HOOK)
    return rendered


def _build(operator: Any, map_index: int, namespace: str) -> dict[str, Any]:
    # The operator changes itself while it builds.
    own = copy.deepcopy(operator)
    own.__dict__["hook"] = _NoConnection()
    own.__dict__["_incluster_namespace"] = namespace
    task = SimpleNamespace(
        dag_id=operator.dag.dag_id,
        task_id=operator.task_id,
        run_id=RUN_ID,
        map_index=map_index,
        try_number=1,
    )
    pod = own.build_pod_request_obj({"ti": task, "run_id": RUN_ID, "dag": operator.dag})
    if own.random_name_suffix:
        pod.metadata.name = with_steady_name(
            pod.metadata.name, task.dag_id, task.task_id, map_index, "operator"
        )
    return as_manifest(pod)
