"""A KubernetesExecutor for API servers that go away: the scheduler goes on, and no task is lost or started twice.

Repairs the stock executor where it would end the scheduler or burn its time. Knows of identities only that a task
may wait for the Secret of one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.cncf.kubernetes.executors.kubernetes_executor import KubernetesExecutor
from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import (
    TRANSIENT_CONNECTION_ERRORS,
    annotations_to_key,
)

from airflow_sa_binding.failures import (
    UNREACHABLE,
    UNREADABLE,
    SecretNotConfirmed,
    UnreadablePods,
    describe_failure,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from queue import Queue

    from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_types import KubernetesJob

log = logging.getLogger(__name__)

_AWAY_PAUSE = timedelta(seconds=1)
_ADOPTION_PAUSE_SECONDS = 5.0
_WAITING_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """As much of a task instance as adoption looks at, kept beyond the scheduler's database session."""

    id: Any
    key: Any
    queued_by_job_id: Any


class OutageProofKubernetesExecutor(KubernetesExecutor):
    """A KubernetesExecutor that survives an API server that is away, and tells failures in one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._orphans: list[Orphan] = []
        self._adopt_after = 0.0
        self._waiting: list[tuple[KubernetesJob, SecretNotConfirmed]] = []
        self._try_waiting_after = 0.0
        self._unreadable_pods = UnreadablePods()

    def fail(self, key: Any, info: Any = None) -> None:
        """Fail a task, with its reason in one line."""
        super().fail(key, info=describe_failure(info))

    def sync(self) -> None:
        """Do what the stock executor does in a round, as far as the API server lets it."""
        if self._waiting and time.monotonic() >= self._try_waiting_after:
            self._try_waiting()
        try:
            super().sync()
        except UNREACHABLE as error:
            # The stock executor lets these out where it looks for pods to adopt, which ends the scheduler.
            log.warning("sa_binding.round_cut_short the next one goes on: %s", describe_failure(error))
        if self._orphans and time.monotonic() >= self._adopt_after:
            self._adopt_orphans()

    def try_adopt_task_instances(self, tis: Sequence[Any]) -> Sequence[Any]:
        """Adopt the pods of a scheduler that has died; while the API server is away, remember to do so later."""
        try:
            left: Sequence[Any] = super().try_adopt_task_instances(tis)
        except UNREACHABLE as error:
            # What is returned would be started again, though its pods may well be running.
            self._orphans += [
                # Airflow 2 tells task instances apart by their keys.
                Orphan(id=getattr(ti, "id", None), key=ti.key, queued_by_job_id=ti.queued_by_job_id)
                for ti in tis
            ]
            log.warning("sa_binding.adoption_put_off tasks=%d: %s", len(tis), describe_failure(error))
            return []
        return left

    def _handle_pod_publish_error(self, task: KubernetesJob, error: Exception) -> bool:
        """Let a task whose pod could not be created wait, and all others for a second if the API server is away."""
        if isinstance(error, SecretNotConfirmed):
            self._let_wait(task, error)
            return False
        is_round_over = bool(super()._handle_pod_publish_error(task, error))
        if isinstance(error, TRANSIENT_CONNECTION_ERRORS):
            # The stock executor tries the same pod again at once, many times a second, and logs all of it each time.
            self.create_pods_after = datetime.now() + _AWAY_PAUSE  # noqa: DTZ005 - compared with such a one
            return True
        return is_round_over

    def _let_wait(self, task: KubernetesJob, error: SecretNotConfirmed) -> None:
        """Keep a task for its next try, as often as the stock executor would put one back into its queue."""
        tries = self.task_publish_retries[task.key]
        if self._is_last_try(task):
            self.fail(task.key, error)
            self.task_publish_retries.pop(task.key, None)
            return
        if tries == 0:
            log.warning("sa_binding.waiting task=%s reason=%s", task.key, describe_failure(error))
        self.task_publish_retries[task.key] = tries + 1
        # In the queue it would take the turns of tasks that wait for nothing.
        if not self._waiting:
            self._try_waiting_after = time.monotonic() + _WAITING_PAUSE_SECONDS
        self._waiting.append((task, error))

    def _try_waiting(self) -> None:
        """Put the tasks back whose wait is over or must not go on, and count a try of each other one."""
        queue = cast("Queue[KubernetesJob]", self.task_queue)
        waiting, self._waiting = self._waiting, []
        for task, error in waiting:
            # The last try goes through the queue, behind which the stock executor drops tasks that have been cleared.
            if error.is_over() or self._is_last_try(task):
                queue.put(task)
            else:
                self._let_wait(task, error)

    def _is_last_try(self, task: KubernetesJob) -> bool:
        allowed = self.task_publish_max_retries
        return bool(allowed != -1 and self.task_publish_retries[task.key] >= allowed)

    def _list_pods(self, query_kwargs: Any) -> list[Any]:
        """List pods as the stock executor does, without those that it would stumble over."""
        pods = super()._list_pods(query_kwargs)  # type: ignore[no-untyped-call]
        return [pod for pod in pods if self._is_readable(pod)]

    def _is_readable(self, pod: Any) -> bool:
        try:
            annotations_to_key(pod.metadata.annotations)
        except UNREADABLE as error:
            self._unreadable_pods.tell(pod.metadata.namespace, pod.metadata.name, error)
            return False
        return True

    def _adopt_orphans(self) -> None:
        orphans, self._orphans = self._orphans, []
        # What cannot be adopted yet comes back into `self._orphans`.
        self._adopt_after = time.monotonic() + _ADOPTION_PAUSE_SECONDS
        for orphan in self.try_adopt_task_instances(orphans):
            # By now they belong to this scheduler; Airflow itself notices that they make no progress.
            log.warning(
                "sa_binding.no_pod_to_adopt task=%s; it is started again after [scheduler] task_queued_timeout",
                orphan.key,
            )
