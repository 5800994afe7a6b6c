"""What is said while a DAG file is parsed: a task that no executor of ours will run cannot have an identity.

Another executor ignores our key, and the task would run under that executor's own identity. The DAG processor makes
an import error of the refusal. A DAG author's code runs in the same process, so this is for people who err.
"""

from __future__ import annotations

import inspect
import os
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.request import SERVICE_ACCOUNT_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

OUR_EXECUTOR = "airflow_sa_binding.executor.ServiceAccountKubernetesExecutor"

_unchecked: ContextVar[bool] = ContextVar("unchecked", default=False)


@contextmanager
def unchecked() -> Iterator[None]:
    """Let DAG files be read on a machine that runs no executor, such as a DAG author's own."""
    token = _unchecked.set(True)
    try:
        yield
    finally:
        _unchecked.reset(token)


def refuse_other_executors(task: Any) -> None:
    """Check that an executor of ours runs a task that asks for an identity.

    Raises:
        Refused: Another one does.
    """
    # A task pod parses its DAG again, often under [core] executor = LocalExecutor, after it was given its identity.
    if _unchecked.get() or "AIRFLOW_IS_K8S_EXECUTOR_POD" in os.environ:
        return
    candidates = _executors_of(task.executor)
    if candidates and not any(_is_ours(name.module_path) for name in candidates):
        raise build_refusal(f"{task.dag_id}.{task.task_id}", task.executor or candidates[0].module_path)


def build_refusal(task: str, executor: str) -> Refused:
    """Build what is said of a task that runs on another executor."""
    return Refused(
        f'{task}: executor_config["{SERVICE_ACCOUNT_KEY}"]',
        "asks for an identity, but the task runs on an executor that gives none",
        got=executor,
        remedy=f"run the task on {OUR_EXECUTOR}: name it in executor=, or first in [core] executor",
    )


def _executors_of(wanted: str | None) -> list[Any]:
    """Return the executors, one per team, that a task with this `executor` may run on."""
    from airflow.executors.executor_loader import ExecutorLoader

    # Asking the metadata database whether the teams exist is not for a DAG file to wait for.
    takes = inspect.signature(ExecutorLoader.get_executor_names).parameters
    configured = ExecutorLoader.get_executor_names(
        **({"validate_teams": False} if "validate_teams" in takes else {})
    )
    if wanted is None:
        # The first of each team is its default.
        return list({getattr(name, "team_name", None): name for name in reversed(configured)}.values())
    return [
        name
        for name in configured
        if wanted in (name.alias, name.module_path, name.module_path.rpartition(".")[2])
    ]


def _is_ours(module_path: str) -> bool:
    if module_path == OUR_EXECUTOR:
        return True
    if module_path.startswith("airflow."):
        return False
    from airflow_sa_binding.executor import ServiceAccountKubernetesExecutor

    module, _, name = module_path.rpartition(".")
    try:
        executor = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        # What the scheduler cannot load either.
        return False
    return isinstance(executor, type) and issubclass(executor, ServiceAccountKubernetesExecutor)
