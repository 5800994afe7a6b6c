"""Decide what one pod gets, and apply it: the whole way from what was asked for to the bound pod.

The two entrances differ in whom they believe. A pod that the executor builds comes with the task that the
scheduler handed over, and with the author's part still apart from the template. A pod that an operator builds
is its author's throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sa_binding.binding.contradictions import refuse_contradictions, require_containers
from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.fence import refuse_trespass
from airflow_sa_binding.binding.forgery import Task, refuse_forged_pod, refuse_forgeries
from airflow_sa_binding.binding.names import (
    CONTAINERS_ANNOTATION,
    DEFAULT_CONTAINERS,
    SERVICE_ACCOUNT_ANNOTATION,
)
from airflow_sa_binding.binding.pod import bind_pod
from airflow_sa_binding.binding.request import (
    SERVICE_ACCOUNT_KEY,
    Request,
    parse_annotations,
    parse_executor_config,
)
from airflow_sa_binding.binding.resolve import Binding, resolve

if TYPE_CHECKING:
    from kubernetes.client import models as k8s

    from airflow_sa_binding.binding.identity import Settings


@dataclass(frozen=True, kw_only=True)
class BoundPod:
    """A pod with what it was given."""

    pod: k8s.V1Pod
    bindings: tuple[Binding, ...]


def bind_task_pod(
    pod: k8s.V1Pod, *, override: k8s.V1Pod | None, executor_config: object, task: Task, settings: Settings
) -> BoundPod:
    """Bind a pod that the executor built, after template, `pod_override` and hooks have been merged.

    Args:
        pod: The merged pod.
        override: The `pod_override` that was merged into it: the author's part.
        executor_config: The task's `executor_config`.
        task: The task instance that the scheduler handed over.
        settings: What is configured.

    Raises:
        Refused: The pod may not be created as it is.
    """
    refuse_forgeries(override, task, settings)
    refuse_forged_pod(pod, task)
    request = _effective(parse_executor_config(executor_config), pod, override)
    _require_base(override, request)
    return _bind(pod, author=override, where="pod_override", request=request, settings=settings)


def bind_operator_pod(pod: k8s.V1Pod, settings: Settings) -> BoundPod:
    """Bind a pod that an operator built, and that asks with annotations.

    Raises:
        Refused: The pod may not be created as it is.
    """
    request = parse_annotations(pod.metadata.annotations if pod.metadata else None)
    return _bind(pod, author=pod, where="pod", request=request, settings=settings)


def _bind(
    pod: k8s.V1Pod, *, author: k8s.V1Pod | None, where: str, request: Request, settings: Settings
) -> BoundPod:
    bindings = resolve(request, settings)
    if bindings:
        require_containers(pod, bindings)
        refuse_contradictions(author, pod, bindings, where)
    bound = bind_pod(pod, bindings)
    refuse_trespass(bound, bindings, settings)
    return BoundPod(pod=bound, bindings=bindings)


def _require_base(override: k8s.V1Pod | None, request: Request) -> None:
    """Check that `base` is still the container that runs the task: Airflow merges the first one into it.

    Raises:
        Refused: The `pod_override` gives the first container another name, and with it the task.
    """
    containers = (override.spec.containers if override and override.spec else None) or ()
    first = next((container.name for container in containers), None)
    if first in (None, *DEFAULT_CONTAINERS):
        return
    for one in request.identities:
        if one.containers == DEFAULT_CONTAINERS:
            raise Refused(
                one.field,
                "is for the container 'base', but pod_override.spec.containers[0] renames the one that runs the task",
                got=first,
                remedy="call it 'base', or name it in containers",
            )


def _effective(asked: Request, pod: k8s.V1Pod, override: k8s.V1Pod | None) -> Request:
    """Let `executor_config` win over the template's annotations, but never silently over the author's own."""
    if not asked:
        return parse_annotations(pod.metadata.annotations if pod.metadata else None)
    annotations = (override.metadata.annotations if override and override.metadata else None) or {}
    said = parse_annotations(annotations)
    if not said:
        return asked
    # An annotation that is no more than the account's name says nothing of containers.
    names_only = (
        CONTAINERS_ANNOTATION not in annotations
        and annotations[SERVICE_ACCOUNT_ANNOTATION] == said.identities[0].name
        and [one.name for one in asked.identities] == [said.identities[0].name]
    )
    if said != asked and not names_only:
        raise Refused(
            f'pod_override.metadata.annotations["{SERVICE_ACCOUNT_ANNOTATION}"]',
            f'asks for something else than executor_config["{SERVICE_ACCOUNT_KEY}"]',
            got=annotations[SERVICE_ACCOUNT_ANNOTATION],
            remedy="keep one of the two",
        )
    return asked
