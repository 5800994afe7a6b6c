"""What in a pod contradicts its own binding.

Only what a task's author wrote can contradict: what comes from the platform engineer's template yields to the
binding. The author's part is a `pod_override`, or the whole pod where an operator built it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sa_binding.binding.errors import Refused, did_you_mean, some_of
from airflow_sa_binding.binding.names import EVERY_CONTAINER, mount_path, secret_name
from airflow_sa_binding.binding.paths import is_parent, is_within
from airflow_sa_binding.binding.pod import bound_names, build_variables, build_volume, every_container

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kubernetes.client import models as k8s

    from airflow_sa_binding.binding.resolve import Binding


def require_containers(pod: k8s.V1Pod, bindings: Sequence[Binding]) -> None:
    """Check that every container that a binding names is there.

    Raises:
        Refused: One is not.
    """
    every = [container.name for container in every_container(pod)]
    for binding in bindings:
        for name in binding.containers:
            if name not in every and not (name == EVERY_CONTAINER and every):
                remedy = did_you_mean(name, map(str, every)) or f"the pod has {some_of(every) or 'none'}"
                raise Refused(
                    f"{binding.field}.containers", "the pod has no such container", got=name, remedy=remedy
                )


def refuse_contradictions(
    author: k8s.V1Pod | None, pod: k8s.V1Pod, bindings: Sequence[Binding], where: str
) -> None:
    """Check that the author's part of a pod leaves the binding's variables, paths and volume name alone.

    Args:
        author: The author's part: a `pod_override`, or the pod itself.
        pod: The whole pod, in which containers have the names that bindings use.
        bindings: What the pod is about to be given.
        where: What the author calls that part, for messages.

    Raises:
        Refused: The author's part says otherwise than a binding.
    """
    if author is None or author.spec is None:
        return
    for binding in bindings:
        wanted = bound_names(pod, bindings, binding)
        name_of_volume = secret_name(binding.identity.name)
        for path, container, name in _named_containers(author, pod, where):
            if name in wanted:
                _refuse_variables(container, binding, path)
                _refuse_mounts(container, binding, path)
            else:
                _refuse_foreign_mounts(container, binding, path)
        for index, other in enumerate(author.spec.volumes or ()):
            if other.name == name_of_volume and other != build_volume(binding.identity):
                raise Refused(
                    f"{where}.spec.volumes[{index}].name",
                    f"is the name of the volume that holds {binding.identity.name}",
                    got=other.name,
                    remedy="choose another name",
                )


def _named_containers(
    author: k8s.V1Pod, pod: k8s.V1Pod, where: str
) -> Iterator[tuple[str, k8s.V1Container, str]]:
    """Yield the author's containers with their names in the pod, where Airflow merges `containers` by position."""
    for index, container in enumerate(author.spec.containers or ()):
        in_pod = pod.spec.containers[index] if index < len(pod.spec.containers) else container
        # A name of its own wins in Airflow's merge, and stays true where a hook has moved containers since.
        yield f"{where}.spec.containers[{index}]", container, container.name or in_pod.name
    for index, container in enumerate(author.spec.init_containers or ()):
        yield f"{where}.spec.initContainers[{index}]", container, container.name


def _refuse_variables(container: k8s.V1Container, binding: Binding, path: str) -> None:
    wanted = build_variables(binding.identity)
    for index, variable in enumerate(container.env or ()):
        if variable.name in wanted and variable.value != wanted[variable.name]:
            raise Refused(
                f"{path}.env[{index}]",
                f"sets {variable.name}, which {binding.identity.name} needs for itself",
                got=variable.value if variable.value is not None else variable.value_from,
                remedy="drop the variable or drop the identity",
            )


def _refuse_mounts(container: k8s.V1Container, binding: Binding, path: str) -> None:
    name, ours = secret_name(binding.identity.name), mount_path(binding.identity.name)
    for index, mount in enumerate(container.volume_mounts or ()):
        if mount.name == name and mount.mount_path == ours and not mount.sub_path and not mount.sub_path_expr:
            continue
        if mount.name == name:
            raise Refused(
                f"{path}.volumeMounts[{index}].name",
                f"mounts the volume that holds {binding.identity.name}",
                got=mount.name,
                remedy="drop the mount: the identity brings its own",
            )
        if is_within(mount.mount_path, ours) or is_parent(mount.mount_path, ours):
            raise Refused(
                f"{path}.volumeMounts[{index}].mountPath",
                f"hides the credentials of {binding.identity.name} at {ours}",
                got=mount.mount_path,
                remedy="mount it elsewhere",
            )


def _refuse_foreign_mounts(container: k8s.V1Container, binding: Binding, path: str) -> None:
    """Check that a container without the identity does not mount its volume: the binding would take it away."""
    for index, mount in enumerate(container.volume_mounts or ()):
        if mount.name == secret_name(binding.identity.name):
            raise Refused(
                f"{path}.volumeMounts[{index}].name",
                f"mounts the volume that holds {binding.identity.name}",
                got=mount.name,
                remedy="ask for the identity with this container among its containers, or drop the mount",
            )
