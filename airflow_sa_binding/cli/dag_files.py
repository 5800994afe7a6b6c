"""Reads a DAG file as the DAG processor does, and its tasks as the scheduler does: without a metadata database."""

from __future__ import annotations

import inspect
import json
import re
import sys
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import airflow
from airflow import settings
from airflow.providers.common.compat.sdk import AirflowException

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.cli.offline import RUN_ID
from airflow_sa_binding.parse_time import unchecked

AIRFLOW_2 = airflow.__version__.startswith("2.")

TOKEN_PLACEHOLDER = "<token>"  # noqa: S105
"""Stands for the token with which a worker of Airflow 3 calls the API server."""
_BUNDLE = "dags-folder"
"""What Airflow calls the bundle of the DAGs folder, unless others are configured."""


@dataclass(frozen=True, kw_only=True)
class DagTask:
    """A task, as its author wrote it and as the scheduler sees it."""

    dag: Any
    operator: Any
    """As it is in the DAG file."""
    scheduled: Any
    """As it comes back from serialization."""
    dag_path: Path

    @property
    def name(self) -> str:
        """Return what the task is called in messages."""
        return f"{self.dag.dag_id}.{self.scheduled.task_id}"

    @property
    def is_mapped(self) -> bool:
        """Tell whether the task, or a group that it is in, is mapped."""
        return bool(self.scheduled.get_needs_expansion())


def load_dag_file(path: Path, *, trace: Any = None) -> list[DagTask]:
    """Import a DAG file and return all of its tasks.

    Arguments:
        path: The file.
        trace: Called with the whole text of an error in the file, if given.

    Raises:
        Refused: It cannot be imported, or a DAG in it cannot be serialized.
    """
    path = path.resolve()
    root = _root_of(path)
    if str(root) not in sys.path:
        # Where the DAG processor would find what the file imports.
        sys.path.append(str(root))
    with unchecked():
        bag = _build_dag_bag(path)
    for error in bag.import_errors.values():
        if trace is not None:
            trace(error)
        raise Refused(
            str(path), f"cannot be imported: {summarize_error(error, path)}", remedy="mend the file"
        )
    # Airflow finds them in an order that differs from run to run.
    return [task for _, dag in sorted(bag.dags.items()) for task in _tasks_of(dag, path)]


def build_work(task: DagTask, map_index: int) -> tuple[Any, Any]:
    """Return a task's key and command as the scheduler hands them to an executor."""
    build: Any = import_module("airflow.models.taskinstance").TaskInstance
    index = map_index if task.is_mapped else -1
    if AIRFLOW_2:
        instance = build(task.scheduled, run_id=RUN_ID, map_index=index)
        instance.try_number = 1
        return instance.key, instance.command_as_list(local=True)
    from airflow.executors.workloads import BundleInfo, ExecuteTask
    from airflow.models.dagrun import DagRun

    nothing = uuid.UUID(int=0)
    instance = build(task.scheduled, run_id=RUN_ID, map_index=index, dag_version_id=nothing)
    instance.id = nothing
    instance.try_number = 1
    some_time = datetime(1970, 1, 1, tzinfo=timezone.utc)
    instance.dag_run = DagRun(dag_id=task.dag.dag_id, run_id=RUN_ID, logical_date=some_time)
    workload = ExecuteTask.make(
        instance,
        dag_rel_path=task.dag_path.relative_to(_root_of(task.dag_path)),
        bundle_info=BundleInfo(name=_BUNDLE),
    )
    workload.token = TOKEN_PLACEHOLDER
    return workload.ti.key, [workload]


def summarize_error(error: str, path: Path) -> str:
    """Return the last exception of a traceback in one line, with the line of the file where it came from."""
    lines = error.rstrip().splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith((" ", "Traceback"))]
    words = " ".join(line.strip() for line in lines[frames[-1] + 1 if frames else 0 :])
    at = re.findall(rf'File "{re.escape(str(path))}", line (\d+)', error)
    return f"{words} (line {at[-1]})" if at else words


def _root_of(path: Path) -> Path:
    dags_folder = Path(settings.DAGS_FOLDER).resolve()
    return dags_folder if path.is_relative_to(dags_folder) else path.parent


def _build_dag_bag(path: Path) -> Any:
    # Airflow 3.2 moved it.
    module = "airflow.dag_processing.dagbag"
    build: Any = import_module(module if find_spec(module) else "airflow.models.dagbag").DagBag
    takes = inspect.signature(build).parameters
    return build(str(path), **({"include_examples": False} if "include_examples" in takes else {}))


def _tasks_of(dag: Any, path: Path) -> list[DagTask]:
    # What the scheduler knows of a task has been through JSON: a value that does not survive is lost for it.
    objects: Any = import_module("airflow.serialization.serialized_objects")
    # Airflow 3.2 renamed it.
    serialization = getattr(objects, "DagSerialization", None) or objects.SerializedDAG
    try:
        scheduled = serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag))))
    except (ValueError, TypeError, AttributeError, KeyError, AirflowException) as error:
        raise Refused(
            str(path), f"DAG {dag.dag_id!r} cannot be serialized: {error}", remedy="use plain values"
        ) from error
    return [
        DagTask(dag=dag, operator=dag.get_task(task.task_id), scheduled=task, dag_path=path)
        for task in scheduled.tasks
    ]
