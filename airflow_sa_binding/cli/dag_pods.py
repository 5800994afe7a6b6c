"""From a DAG file to the pods of its tasks."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowConfigException
from airflow.executors.executor_loader import ExecutorLoader

from airflow_sa_binding.binding.errors import Refused, did_you_mean
from airflow_sa_binding.cli.commands import WrongUsage
from airflow_sa_binding.cli.dag_files import DagTask, build_work, load_dag_file
from airflow_sa_binding.cli.offline import OfflineExecutor
from airflow_sa_binding.cli.operator_pods import render_operator_pod
from airflow_sa_binding.cli.streams import say
from airflow_sa_binding.config.load import load_keys, with_projects
from airflow_sa_binding.executor import ServiceAccountKubernetesExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_sa_binding.cli.rendered import RenderedPod
    from airflow_sa_binding.config.load import Configuration

_OURS = f"{ServiceAccountKubernetesExecutor.__module__}.{ServiceAccountKubernetesExecutor.__name__}"


def render_dag_file(
    path: Path,
    configuration: Configuration,
    *,
    dag_id: str | None,
    task_id: str | None,
    map_index: int,
    trace: Callable[[str], None] | None = None,
) -> list[RenderedPod]:
    """Render the pods of a DAG file's tasks, or of those that are chosen.

    Raises:
        Refused: The file cannot be used.
        WrongUsage: There is no such DAG or task in it.
    """
    tasks = _choose(load_dag_file(path, trace=trace), path, dag_id=dag_id, task_id=task_id)
    keys, refusals = load_keys(configuration)
    executor = OfflineExecutor(with_projects(configuration, keys))
    pods: list[RenderedPod] = []
    for task in _ours(tasks):
        key, command = build_work(task, map_index)
        config = task.scheduled.executor_config
        subject = {"DAG": task.dag.dag_id, "TASK": task.scheduled.task_id}
        pods.append(
            executor.render(subject, key, command, queue=task.scheduled.queue, executor_config=config)
        )
        pods.extend(_operator_pods(task, subject, map_index, configuration))
    for warning in (*_template_warnings(executor, tasks), *_key_warnings(pods, refusals)):
        say(f"warning: {warning}")
    return pods


def _choose(tasks: list[DagTask], path: Path, *, dag_id: str | None, task_id: str | None) -> list[DagTask]:
    if not tasks:
        raise Refused(str(path), "holds no DAG with tasks", remedy="name the file that defines the DAG")
    if dag_id is not None:
        _require(dag_id, "DAG", (task.dag.dag_id for task in tasks), "--dag-id", path)
        tasks = [task for task in tasks if task.dag.dag_id == dag_id]
    if task_id is not None:
        _require(task_id, "task", (task.scheduled.task_id for task in tasks), "--task-id", path)
        tasks = [task for task in tasks if task.scheduled.task_id == task_id]
    return tasks


def _require(wanted: str, what: str, known: Iterable[str], flag: str, path: Path) -> None:
    names = sorted(set(known))
    if wanted not in names:
        remedy = (
            did_you_mean(wanted, names) or f"it has {', '.join(names[:10])}{', ...' if names[10:] else ''}"
        )
        raise WrongUsage(f"{flag}: {path} has no {what} {wanted!r}; {remedy}")


def _ours(tasks: list[DagTask]) -> list[DagTask]:
    """Leave out the tasks of other executors, and say so."""
    takes = inspect.signature(ExecutorLoader.get_executor_names).parameters
    try:
        # Of teams, only the metadata database knows whether they exist.
        configured = ExecutorLoader.get_executor_names(
            **({"validate_teams": False} if "validate_teams" in takes else {})
        )
    except AirflowConfigException as error:
        say(f"warning: [core] executor: {error}")
        configured = []
    default = configured[0].module_path if configured else None
    ours = []
    for task in tasks:
        named = task.scheduled.executor
        module_path = next(
            (one.module_path for one in configured if named in (one.alias, one.module_path, _class_of(one))),
            named,
        )
        if named is None or _is_ours(module_path):
            ours.append(task)
        else:
            say(f"{task.name}: left out: it runs on the executor {named}")
    if (
        default is not None
        and not _is_ours(default)
        and any(task.scheduled.executor is None for task in ours)
    ):
        say(f"note: [core] executor is {default}; shown is what {_OURS} would create")
    return ours


def _class_of(name: Any) -> str:
    return str(name.module_path).rpartition(".")[2]


def _is_ours(module_path: str) -> bool:
    try:
        return issubclass(resolve_name(module_path), ServiceAccountKubernetesExecutor)
    except (ImportError, AttributeError, ValueError, TypeError):
        return False


def _operator_pods(
    task: DagTask, subject: Mapping[str, str], map_index: int, configuration: Configuration
) -> list[RenderedPod]:
    # A file that has one has imported it; importing it here would take a second.
    module = sys.modules.get("airflow.providers.cncf.kubernetes.operators.pod")
    if module is None:
        return []
    operator = task.operator
    theirs = {**subject, "TASK": f"{task.scheduled.task_id} (operator's pod)"}
    if isinstance(operator, module.KubernetesPodOperator):
        index = map_index if task.is_mapped else -1
        namespace = configuration.settings.namespaces[0]
        return [render_operator_pod(operator, theirs, map_index=index, namespace=namespace)]
    operator_class = getattr(operator, "operator_class", None)
    if isinstance(operator_class, type) and issubclass(operator_class, module.KubernetesPodOperator):
        say(f"{task.name}: the pod that the operator starts depends on what it is mapped over: not shown")
    return []


def _template_warnings(executor: OfflineExecutor, tasks: list[DagTask]) -> list[str]:
    # Airflow goes on from an empty pod and only logs this.
    paths = dict.fromkeys(executor.template_file_of(task.scheduled.executor_config) for task in tasks)
    return [
        f"pod_template_file: does not exist, got {path!r}; these pods start from an empty one"
        if path
        else "[kubernetes_executor] pod_template_file: is not set; these pods start from an empty one"
        for path in paths
        if not Path(path).is_file()
    ]


def _key_warnings(pods: list[RenderedPod], refusals: Mapping[str, str]) -> list[str]:
    """Return why keys of accounts that the pods use cannot be delivered, for where the scheduler reads the same."""
    used = {binding["gcpServiceAccount"] for pod in pods for binding in pod.bindings}
    return [refusal for account, refusal in refusals.items() if account in used]
