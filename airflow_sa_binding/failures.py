"""Why a pod could not be created, in one line for the audit log.

Knows the exceptions of the stock executor and of the clients that it uses.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.exceptions import PodMutationHookException, PodReconciliationError
from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import TRANSIENT_CONNECTION_ERRORS
from kubernetes.client import ApiException
from kubernetes.dynamic.exceptions import ResourceNotFoundError
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

UNREACHABLE = (ApiException, ResourceNotFoundError, *TRANSIENT_CONNECTION_ERRORS)
"""What calls of the stock executor raise while the API server is away, starting or refusing."""

UNREADABLE = (ValueError, KeyError, TypeError)
"""What the stock executor raises for annotations of a pod that are missing, or not what Airflow writes."""

_LONGEST_REASON = 500
_MOST_PODS_REMEMBERED = 1000


class SecretNotConfirmed(HTTPError):  # noqa: N818 - a state of waiting, told as an error
    """The API server has not been reached yet to make sure of an identity's Secret.

    An error of urllib3, because those are what the stock executor takes for an API server that is away: it
    requeues the task `[kubernetes_executor] task_publish_max_retries` times.
    """

    def __init__(self, message: str, *, is_over: Callable[[], bool]) -> None:
        super().__init__(message)
        self.is_over = is_over
        """Tells whether there is an answer by now, whatever it is."""


class UnreadablePods:
    """Pods with annotations that cannot be read: left by anybody who may create pods, and each told of once."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def tell(self, namespace: str, name: str, error: Exception) -> None:
        """Log that a pod is skipped."""
        if (namespace, name) in self._told:
            return
        if len(self._told) >= _MOST_PODS_REMEMBERED:
            self._told.clear()
        self._told.add((namespace, name))
        # Quoted, since the error repeats what somebody wrote.
        reason = repr(f"{type(error).__name__}: {error}"[:_LONGEST_REASON])
        log.warning(
            "sa_binding.pod_skipped pod=%s namespace=%s its annotations are not those of a task: %s",
            *(name, namespace, reason),
        )


def describe_failure(failure: object) -> object:
    """Put an exception, as the stock executor hands it on for the audit log, into one line; leave text alone."""
    if not isinstance(failure, Exception):
        return failure
    if isinstance(failure, (PodMutationHookException, PodReconciliationError, SecretNotConfirmed)):
        reason = str(failure) or _describe_cause(failure)
    elif hasattr(failure, "body") and hasattr(failure, "reason"):
        # The ApiException of either client: its text is a page of HTTP headers.
        reason = f"pod: the API server refuses it: {_message_of(failure)}"
    elif isinstance(failure, TRANSIENT_CONNECTION_ERRORS):
        reason = f"pod: the API server cannot be reached: {failure}"
    else:
        reason = _describe_cause(failure)
    reason = " ".join(reason.split())
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}..."


def _describe_cause(failure: Exception) -> str:
    cause = failure.__cause__ or failure
    return (
        f"pod: cannot be built: {type(cause).__name__}: {cause}; look at pod_override and pod_template_file, "
        "and use plain values and Kubernetes models only"
    )


def _message_of(failure: Any) -> str:
    try:
        message = json.loads(failure.body)["message"]
    except (KeyError, TypeError, ValueError):
        message = failure.body or failure.reason
    return f"{message} (status {failure.status})"
