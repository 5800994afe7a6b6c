"""The executor's builder of pods, with the binding as its last step.

Stock Airflow gives no way to put another builder in place, so `ServiceAccountKubernetesExecutor.start()` makes an
instance of this class out of the stock one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airflow.providers.cncf.kubernetes.exceptions import PodMutationHookException, PodReconciliationError
from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_utils import AirflowKubernetesScheduler
from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import TRANSIENT_CONNECTION_ERRORS
from kubernetes.client import ApiException
from kubernetes.client import models as k8s

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.failures import UNREADABLE, UnreadablePods, describe_failure
from airflow_sa_binding.hook import left_to_executor

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_types import (
        KubernetesJob,
        KubernetesWatch,
    )

# What the stock executor handles by failing or requeueing the one task. Anything else ends the scheduler.
_HANDLED = (PodReconciliationError, PodMutationHookException, ApiException, *TRANSIENT_CONNECTION_ERRORS)


class BindingKubernetesScheduler(AirflowKubernetesScheduler):
    """Builds pods as the stock class does, and binds each before it is created."""

    bind: Callable[[k8s.V1Pod, KubernetesJob], k8s.V1Pod]
    unreadable_pods: UnreadablePods

    @classmethod
    def take_over(
        cls, stock: AirflowKubernetesScheduler, bind: Callable[[k8s.V1Pod, KubernetesJob], k8s.V1Pod]
    ) -> None:
        """Turn a stock instance, whose watcher processes run already, into one that binds."""
        stock.__class__ = cls
        ours = cast("BindingKubernetesScheduler", stock)
        ours.bind, ours.unreadable_pods = bind, UnreadablePods()

    def process_watcher_task(self, task: KubernetesWatch) -> None:
        """Note what has become of a pod; one that cannot be read is nobody's task, and is skipped."""
        try:
            super().process_watcher_task(task)
        except UNREADABLE as error:
            self.unreadable_pods.tell(task.namespace, task.pod_name, error)

    def run_next(self, next_job: KubernetesJob) -> None:
        """Build, bind and create a pod; whatever goes wrong costs this one task, not the scheduler."""
        try:
            super().run_next(next_job)
        except _HANDLED:
            raise
        except Exception as error:
            # E.g. a Python set among a pod_override's annotations, found out when the pod is serialised.
            raise PodReconciliationError(describe_failure(error)) from error

    def _build_pod_request(self, next_job: KubernetesJob) -> Any:
        with left_to_executor():
            pod = super()._build_pod_request(next_job)
        try:
            return self.bind(pod, next_job)
        except Refused as refused:
            # The exception that makes the stock executor fail this one task; its text reaches the audit log.
            raise PodMutationHookException(str(refused)) from refused
