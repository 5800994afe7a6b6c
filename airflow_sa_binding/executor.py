"""The executor: starts every task in a pod with exactly the identity that the task asks for.

It validates when a task arrives, so that a mistake fails the one task with its reason, and binds when the pod is
complete, from the task that the scheduler handed over: the author's `pod_override` has been merged by then, and
can no longer change anything.
"""

from __future__ import annotations

import logging
import pickle
from collections import deque
from functools import partial
from multiprocessing.managers import RemoteError
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.cncf.kubernetes.executors.kubernetes_executor import KubernetesExecutor
from airflow.providers.common.compat.sdk import Stats
from kubernetes.client import models as k8s

from airflow_sa_binding.arrival import (
    entries_of,
    not_transportable,
    require_transportable,
    require_usable_template,
)
from airflow_sa_binding.binding.decide import BoundPod, bind_task_pod
from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.forgery import Task
from airflow_sa_binding.binding.identity import Settings, still_fenced
from airflow_sa_binding.binding.names import APPLIED_ANNOTATION
from airflow_sa_binding.binding.request import parse_executor_config
from airflow_sa_binding.binding.resolve import resolve
from airflow_sa_binding.cluster.background import BackgroundSync
from airflow_sa_binding.cluster.state import Failed, SecretStates, Unknown
from airflow_sa_binding.config.load import Configuration, load_configuration
from airflow_sa_binding.failures import SecretNotConfirmed
from airflow_sa_binding.outages import OutageProofKubernetesExecutor
from airflow_sa_binding.pod_requests import BindingKubernetesScheduler

if TYPE_CHECKING:
    from airflow.cli.cli_config import GroupCommand
    from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_types import KubernetesJob
    from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_utils import (
        AirflowKubernetesScheduler,
    )
    from kubernetes.client import CoreV1Api

log = logging.getLogger(__name__)

_FIRST_SYNC_SECONDS = 30
_UNPICKLABLE = (RemoteError, pickle.PicklingError, TypeError, AttributeError, RecursionError, ValueError)
"""What a queue raises for an object that does not get through. That its manager has died is an OSError."""


class TaskCommand(list[str]):
    """Airflow 2's command for a worker, with the task's `executor_config` beside it.

    Of an `executor_config` the stock executor keeps the `pod_override` alone. Airflow 3's command carries the
    task instance, and with it the whole of it; Airflow 2's is a plain list.
    """

    executor_config: Any = None


class ServiceAccountKubernetesExecutor(OutageProofKubernetesExecutor):
    """A KubernetesExecutor whose task pods get the identities that their tasks ask for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The API server makes executors only to read logs, so nothing is read or started here.
        super().__init__(*args, **kwargs)
        self._settings = Settings()
        self._secrets = SecretStates()
        self._background: BackgroundSync | None = None
        self._refused: deque[tuple[Any, str]] = deque()
        self._is_taking_task = False

    def start(self) -> None:
        """Start as the stock executor does, then bring the Secrets up to date and keep them so."""
        super().start()
        client = cast("CoreV1Api", self.kube_client)
        BindingKubernetesScheduler.take_over(
            cast("AirflowKubernetesScheduler", self.kube_scheduler), self._bind
        )
        self._background = BackgroundSync(
            reload=lambda: load_configuration(self.conf),
            api_client=client.api_client,
            states=self._secrets,
            on_configuration=self._configure,
            metrics=Stats,
        )
        self._background.start(first_round_seconds=_FIRST_SYNC_SECONDS)

    def execute_async(
        self, key: Any, command: Any, queue: str | None = None, executor_config: Any = None
    ) -> None:
        """Take a task, or note why it is refused."""
        self._is_taking_task = True
        try:
            if executor_config:
                # First, since it bounds what the rest has to look at.
                require_transportable(executor_config)
            resolve(parse_executor_config(executor_config), self._settings)
            entries = entries_of(executor_config)
            require_usable_template(entries)
            if not _carries_task(command):
                command = TaskCommand(command)
                command.executor_config = executor_config
            try:
                super().execute_async(key=key, command=command, queue=queue, executor_config=entries)
            except _UNPICKLABLE:
                self.pod_launch_attempts.pop(key, None)
                raise not_transportable() from None
        except Refused as refused:
            self._refuse(key, str(refused))
        finally:
            self._is_taking_task = False

    def fail(self, key: Any, info: Any = None) -> None:
        """Fail a task, once the executor has taken it."""
        # Airflow 2 marks a task as running only after execute_async returned: failed in there, it would hold its
        # slot for ever.
        if self._is_taking_task:
            self._refused.append((key, str(info)))
        else:
            super().fail(key, info=info)

    def sync(self) -> None:
        """Fail the tasks that were refused, then do what the stock executor does."""
        self._fail_refused()
        super().sync()

    def end(self) -> None:
        """Fail the tasks that were refused, stop keeping Secrets up to date, then end as the stock executor does."""
        self._fail_refused()
        self._stop_background()
        super().end()

    def terminate(self) -> None:
        """Stop keeping Secrets up to date, then terminate as the stock executor does."""
        self._stop_background()
        super().terminate()  # type: ignore[no-untyped-call]

    @staticmethod
    def get_cli_commands() -> list[GroupCommand]:
        """Return our commands and, unless the stock executor is configured too and brings them, its own.

        Asked by Airflow before 3.2 only: later versions read the provider's `cli` key.
        """
        from airflow.executors.executor_loader import ExecutorLoader

        from airflow_sa_binding.cli.airflow_commands import get_sa_binding_cli_commands

        configured = {name.module_path for name in ExecutorLoader.get_executor_names()}
        stock = f"{KubernetesExecutor.__module__}.{KubernetesExecutor.__name__}"
        stock_commands = [] if stock in configured else KubernetesExecutor.get_cli_commands()
        return [*stock_commands, *get_sa_binding_cli_commands()]

    def _configure(self, configuration: Configuration) -> None:
        self._settings = still_fenced(
            self._settings, configuration.settings, is_complete=configuration.is_complete
        )

    def _stop_background(self) -> None:
        if self._background is not None:
            self._background.stop()
            self._background = None

    def _refuse(self, key: Any, message: str) -> None:
        log.warning("sa_binding.refused task=%s reason=%s", key, message)
        Stats.incr("sa_binding.refused")
        self._refused.append((key, message))

    def _fail_refused(self) -> None:
        while self._refused:
            key, message = self._refused.popleft()
            self.fail(key, info=message)

    def _bind(self, pod: k8s.V1Pod, job: KubernetesJob) -> k8s.V1Pod:
        """Bind a task's pod, last of all; called for sequential and concurrent creation alike.

        Raises:
            Refused: The pod must not be created.
            SecretNotConfirmed: Not yet.
        """
        executor_config, task = _task_of(job)
        try:
            # While the task waited the file may have gone, and the pod been built from no template at all.
            if executor_config:
                require_usable_template(entries_of(executor_config))
            bound = bind_task_pod(
                pod,
                override=job.kube_executor_config,
                executor_config=executor_config,
                task=task,
                settings=self._settings,
            )
            self._require_secrets(bound)
        except Refused as refused:
            log.warning("sa_binding.refused task=%s reason=%s", task, refused)
            Stats.incr("sa_binding.refused")
            raise
        if bound.bindings:
            metadata = bound.pod.metadata
            # Airflow 3 writes with structlog, which takes a third of the time of the standard library's way there.
            self.log.info(
                "sa_binding.bound by=executor dag_id=%s task_id=%s run_id=%s map_index=%s try_number=%s "
                "pod=%s namespace=%s applied=%s",
                *(task.dag_id, task.task_id, task.run_id, task.map_index, task.try_number),
                *(metadata.name, metadata.namespace, metadata.annotations[APPLIED_ANNOTATION]),
            )
            Stats.incr("sa_binding.bound")
        return bound.pod

    def _require_secrets(self, bound: BoundPod) -> None:
        namespace = bound.pod.metadata.namespace
        for binding in bound.bindings:
            delivery = binding.identity.delivery
            if not delivery.managed:
                continue
            if namespace not in self._settings.namespaces:
                raise Refused(
                    binding.field,
                    f"the Secret of {binding.identity.name!r} is not kept in the pod's namespace",
                    got=namespace,
                    remedy="have the namespace added to [sa_binding] namespaces",
                )
            state = self._secrets.state_of(namespace, delivery.secret_name)
            if isinstance(state, Failed):
                raise Refused(
                    binding.field,
                    f"{binding.identity.name!r} cannot be delivered: {state.message}",
                    remedy="the scheduler tries again by itself; ask your platform engineer if it stays so",
                )
            if isinstance(state, Unknown):
                raise SecretNotConfirmed(
                    f"{binding.field}: {binding.identity.name!r} waits: {state.message}",
                    is_over=partial(self._is_known, namespace, delivery.secret_name),
                )

    def _is_known(self, namespace: str, secret_name: str) -> bool:
        return not isinstance(self._secrets.state_of(namespace, secret_name), Unknown)


def _carries_task(command: Any) -> bool:
    return len(command) == 1 and hasattr(command[0], "ti")


def _task_of(job: KubernetesJob) -> tuple[Any, Task]:
    """Return a job's `executor_config` and its task, both as the scheduler handed them over."""
    # An ExecuteTask alone in Airflow 3, a TaskCommand in Airflow 2.
    command: Any = job.command
    instance: Any = command[0].ti if _carries_task(command) else job.key
    task = Task(
        dag_id=instance.dag_id,
        task_id=instance.task_id,
        run_id=instance.run_id,
        try_number=instance.try_number,
        map_index=instance.map_index,
    )
    return (instance if _carries_task(command) else command).executor_config, task
