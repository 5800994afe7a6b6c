"""The executor without a cluster: builds pods exactly as in the scheduler, and keeps them instead of creating them.

Nothing is decided here. Tasks go in as the scheduler hands them over, through the executor's own `execute_async`,
the stock builder, and the binding.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.exceptions import PodMutationHookException, PodReconciliationError

from airflow_sa_binding.cli.rendered import RenderedPod, as_manifest, with_steady_name
from airflow_sa_binding.cluster.state import Ready, SecretStates
from airflow_sa_binding.executor import ServiceAccountKubernetesExecutor
from airflow_sa_binding.pod_requests import BindingKubernetesScheduler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_types import KubernetesJob
    from kubernetes.client import models as k8s

    from airflow_sa_binding.config.load import Configuration

RUN_ID = "render"
"""Stands for the run that there is not."""


class OfflineExecutor(ServiceAccountKubernetesExecutor):
    """An executor that is never started: no watchers, no API server, no metadata database."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self._configure(configuration)
        self._secrets = _AllReady()
        # Part of the label `airflow-worker`, by which a scheduler knows its own pods.
        self.scheduler_job_id = RUN_ID
        self._jobs = _Jobs()
        self.task_queue: Any = self._jobs
        self._builder = _OfflineScheduler(self.kube_config, self._bind)
        self._refusal: str | None = None

    def render(
        self, subject: Mapping[str, str], key: Any, command: Any, *, queue: str, executor_config: Any
    ) -> RenderedPod:
        """Take a task as from the scheduler, and return what became of its pod."""
        builder = self._builder
        self._refusal = builder.stock = builder.bound = None
        self._jobs.clear()
        self.execute_async(key=key, command=command, queue=queue, executor_config=executor_config)
        for job in self._jobs:
            try:
                builder.run_next(job)
            except (PodMutationHookException, PodReconciliationError) as error:
                self._refusal = _explain(error)
        return RenderedPod(
            subject=subject,
            stock=builder.stock,
            bound=builder.bound if self._refusal is None else None,
            refusal=self._refusal,
        )

    def fail(self, key: Any, info: Any = None) -> None:  # noqa: ARG002 - the base class's parameters
        """Note why a task would fail."""
        self._refusal = str(info)

    def template_file_of(self, executor_config: Any) -> str:
        """Return the path of the template that a task's pod starts from, or an empty string."""
        own = executor_config.get("pod_template_file") if isinstance(executor_config, dict) else None
        return str(own or self.kube_config.pod_template_file or "")

    def _refuse(self, key: Any, message: str) -> None:
        self.fail(key, message)


class _OfflineScheduler(BindingKubernetesScheduler):
    """Builds pods; creates none."""

    def __init__(self, kube_config: Any, bind: Any) -> None:
        # The base class's constructor starts watchers.
        self.kube_config = kube_config
        self.namespace = kube_config.kube_namespace
        self.scheduler_job_id = RUN_ID
        self.team_name = None
        self.supports_task_instance_uuid = False
        self.stock: dict[str, Any] | None = None
        self.bound: dict[str, Any] | None = None
        self.bind = lambda pod, job: bind(self._keep_stock(pod, job), job)

    def run_pod_async(self, pod: k8s.V1Pod, **kwargs: Any) -> None:  # noqa: ARG002 - the base class's parameters
        """Keep the pod, serialized as it would be sent."""
        self.bound = as_manifest(pod)

    def _keep_stock(self, pod: k8s.V1Pod, job: KubernetesJob) -> k8s.V1Pod:
        pod.metadata.name = with_steady_name(pod.metadata.name, *job.key)
        self.stock = as_manifest(pod)
        return pod


class _Jobs(list[Any]):
    """A queue that treats jobs as the scheduler's does: they are pickled on the way."""

    def put(self, job: KubernetesJob) -> None:
        self.append(pickle.loads(pickle.dumps(job)))  # noqa: S301 - our own bytes


class _AllReady(SecretStates):
    """There is no cluster to ask."""

    def state_of(self, namespace: str, secret_name: str) -> Ready:  # noqa: ARG002 - the base class's parameters
        return Ready()


def _explain(error: Exception) -> str:
    """Return the message, or where a hook of somebody else failed, which gives none, what it raised."""
    if str(error):
        return str(error)
    cause = error.__cause__
    what = "pod_mutation_hook" if isinstance(error, PodMutationHookException) else "pod_override"
    return f"{what}: {type(cause).__name__}: {cause}" if cause else f"{what}: {type(error).__name__}"
