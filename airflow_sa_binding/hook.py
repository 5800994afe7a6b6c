"""The `pod_mutation_hook`: binds pods that ask with annotations.

For KubernetesPodOperator and its relatives this runs in the task's own process, and for a stock
KubernetesExecutor in the scheduler. Where our executor builds the pod, the hook stands aside: the executor binds
later, when nothing can change the pod any more.

This module is imported with Airflow itself, so it imports nothing at the top that Airflow has not yet imported.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from airflow_sa_binding.binding.names import ANNOTATION_PREFIX, APPLIED_ANNOTATION, SERVICE_ACCOUNT_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubernetes.client import models as k8s

    from airflow_sa_binding.binding.identity import Settings

log = logging.getLogger(__name__)

_left_to_executor: ContextVar[bool] = ContextVar("left_to_executor", default=False)
_OURS = (ANNOTATION_PREFIX, SERVICE_ACCOUNT_ANNOTATION.partition("/")[0])


@contextmanager
def left_to_executor() -> Iterator[None]:
    """Make the hook stand aside while an executor builds a pod that it will bind itself."""
    token = _left_to_executor.set(True)
    try:
        yield
    finally:
        _left_to_executor.reset(token)


def pod_mutation_hook(pod: k8s.V1Pod) -> None:
    """Give a pod the identity that its annotations ask for, in place.

    Called twice (as a plug-in and from `airflow_local_settings`), the second call changes nothing.

    Raises:
        Refused: The pod asks for what it cannot have; it must not be created.
    """
    if _left_to_executor.get():
        return
    from airflow_sa_binding.binding.decide import bind_operator_pod
    from airflow_sa_binding.binding.identity import Settings

    annotations = (pod.metadata.annotations if pod.metadata else None) or {}
    asks = any(str(name).startswith(_OURS) for name in annotations)
    # A pod that asks for nothing must not wait for a file to be read, but is fenced all the same.
    bound = bind_operator_pod(pod, _load_settings() if asks else Settings())
    before = annotations.get(APPLIED_ANNOTATION)
    pod.metadata, pod.spec = bound.pod.metadata, bound.pod.spec
    if bound.bindings and pod.metadata.annotations[APPLIED_ANNOTATION] != before:
        log.info(
            "sa_binding.bound by=hook pod=%s namespace=%s applied=%s",
            pod.metadata.name or pod.metadata.generate_name,
            pod.metadata.namespace,
            pod.metadata.annotations[APPLIED_ANNOTATION],
        )


def _load_settings() -> Settings:
    from airflow.configuration import conf

    from airflow_sa_binding.config.load import load_configuration

    return load_configuration(conf).settings
