"""The `airflow.policy` plug-in.

Airflow imports this module when it is imported itself, everywhere: a failing or a slow import here would break
or slow every Airflow process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Generator

    from kubernetes.client import models as k8s

hookimpl = pluggy.HookimplMarker("airflow.policy")


@hookimpl(wrapper=True)
def pod_mutation_hook(pod: k8s.V1Pod) -> Generator[None, object, object]:
    """Bind after every other hook: entry points run after `airflow_local_settings`, and a wrapper runs last of all."""
    outcome = yield
    from airflow_sa_binding.hook import pod_mutation_hook as bind

    bind(pod)
    return outcome


@hookimpl
def task_policy(task: Any) -> None:
    """Refuse, as an import error, a task that asks for an identity where no executor would give it.

    Raises:
        AirflowClusterPolicyViolation: With the reason.
    """
    # Every task of every DAG file comes by here.
    if not isinstance(task.executor_config, dict) or "gcp-service-account" not in task.executor_config:
        return
    from airflow.exceptions import AirflowClusterPolicyViolation

    from airflow_sa_binding.binding.errors import Refused
    from airflow_sa_binding.parse_time import refuse_other_executors

    try:
        refuse_other_executors(task)
    except Refused as refused:
        raise AirflowClusterPolicyViolation(str(refused)) from None
