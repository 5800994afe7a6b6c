"""Why a pod could not be created, in one line for the audit log.

Knows the exceptions of the stock executor and of the clients that it uses.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.providers.cncf.kubernetes.exceptions import PodMutationHookException, PodReconciliationError
from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import TRANSIENT_CONNECTION_ERRORS
from kubernetes.client import ApiException
from kubernetes.dynamic.exceptions import ResourceNotFoundError
from urllib3.exceptions import HTTPError

UNREACHABLE = (ApiException, ResourceNotFoundError, *TRANSIENT_CONNECTION_ERRORS)
"""What calls of the stock executor raise while the API server is away, starting or refusing."""

_LONGEST_REASON = 500


class SecretNotConfirmed(HTTPError):  # noqa: N818 - a state of waiting, told as an error
    """The API server has not been reached yet to make sure of an identity's Secret.

    An error of urllib3, because those are what the stock executor takes for an API server that is away: it
    requeues the task `[kubernetes_executor] task_publish_max_retries` times.
    """


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
