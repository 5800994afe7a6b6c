"""Pods that run this machine's Python, with the package under test, on a test node.

Builds plain dicts, as they stand in a manifest. The image is empty; what a container needs of the machine is
mounted read-only at the same place.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubernetes import client, stream

from tests.cluster.access import Access
from tests.cluster.images import HOST
from tests.cluster.servers import wait_for

REPOSITORY = Path(__file__).parents[2]
AIRFLOW_USER = 50000  # of Airflow's image, whose group is 0
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc")


class PodFailedError(RuntimeError):
    """A pod did not succeed; the message ends with its log."""


def host_folders(more: Iterable[Path] = ()) -> list[Path]:
    """Return the folders that Python needs here, and `more`; none lies below another."""
    # A virtual environment's python may be a link to a link: the real installation is wanted too.
    installation = Path(sys.executable).resolve().parents[1]
    python = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_prefix).resolve(), installation]
    folders = {*map(Path, _SYSTEM), *python, REPOSITORY, *more}
    existing = {folder for folder in folders if folder.is_dir()}
    return sorted(folder for folder in existing if existing.isdisjoint(folder.parents))


def host_volumes(more: Iterable[Path] = ()) -> list[dict[str, Any]]:
    """Return the pod's volumes for `host_folders`."""
    return [
        {"name": f"host-{number}", "hostPath": {"path": str(folder)}}
        for number, folder in enumerate(host_folders(more))
    ]


def host_volume_mounts(more: Iterable[Path] = ()) -> list[dict[str, Any]]:
    """Return the container's mounts for `host_volumes`."""
    return [
        {"name": f"host-{number}", "mountPath": str(folder), "readOnly": True}
        for number, folder in enumerate(host_folders(more))
    ]


def host_environment() -> list[dict[str, Any]]:
    """Return the container's variables: this Python first on PATH, the repository importable."""
    variables = {
        "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/tmp",
    }
    return [{"name": name, "value": value} for name, value in variables.items()]


def in_cluster_environment(access: Access) -> list[dict[str, Any]]:
    """Return the variables with which a hostNetwork container finds the API server (there is no kube-proxy)."""
    server = urlsplit(access.client().configuration.host)
    return [
        {"name": "KUBERNETES_SERVICE_HOST", "value": server.hostname},
        {"name": "KUBERNETES_SERVICE_PORT", "value": str(server.port)},
    ]


def host_container(name: str, command: Sequence[str], **fields: Any) -> dict[str, Any]:
    """Return a container that runs `command`; `fields` replace or add fields, lists are appended to."""
    container: dict[str, Any] = {
        "name": name,
        "image": HOST,
        "imagePullPolicy": "Never",
        "command": list(command),
        "env": host_environment(),
        "volumeMounts": host_volume_mounts(),
    }
    return _merge(container, fields)


def host_pod(
    name: str, command: Sequence[str], *, container: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """Return a pod whose container `base` runs `command` once, as Airflow's user.

    Arguments:
        container: more fields of the container, as for `host_container`.
        spec: more fields of the pod's spec; lists (`volumes`, `containers`) are appended to.
    """
    body: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsUser": AIRFLOW_USER, "runAsGroup": 0, "fsGroup": 0},
        "volumes": host_volumes(),
        "containers": [host_container("base", command, **(container or {}))],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": _merge(body, spec)}


def run_pod(access: Access, namespace: str, pod: dict[str, Any], *, timeout_seconds: float = 60) -> str:
    """Create a pod, wait until it has succeeded and return what its container `base` printed.

    Raises:
        PodFailedError: it failed.
        TimeoutError: it did not end.
    """
    core = access.core()
    name = pod["metadata"]["name"]
    core.create_namespaced_pod(namespace, pod)
    phase = wait_for_phase(core, namespace, name, {"Succeeded", "Failed"}, timeout_seconds=timeout_seconds)
    log = read_log(core, namespace, name, container="base")
    if phase != "Succeeded":
        raise PodFailedError(f"pod {name}: {phase}; its log:\n{log}")
    return log


def read_log(core: client.CoreV1Api, namespace: str, name: str, *, container: str) -> str:
    """Return what a container has printed."""
    # Undecoded: left to itself, the client library gives the `repr` of the bytes.
    answer = core.read_namespaced_pod_log(name, namespace, container=container, _preload_content=False)
    content: bytes = answer.data
    return content.decode()


def exec_in_pod(
    core: client.CoreV1Api, namespace: str, name: str, command: Sequence[str], *, container: str = "base"
) -> str:
    """Run a command in a running container and return what it printed.

    Raises:
        PodFailedError: the command failed.
    """
    # Not preloaded: left to itself, the client library neither closes its socket nor tells of a failure.
    session = stream.stream(
        core.connect_get_namespaced_pod_exec,
        name,
        namespace,
        container=container,
        command=list(command),
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    try:
        session.run_forever(timeout=60)
        printed: str = session.read_stdout()
        if session.returncode:
            raise PodFailedError(
                f"pod {name}: {command} exited {session.returncode}: {session.read_stderr()}"
            )
    finally:
        session.sock.shutdown()  # close() does nothing once the server has said goodbye, and leaks the socket
    return printed


def wait_for_phase(
    core: client.CoreV1Api, namespace: str, name: str, phases: set[str], *, timeout_seconds: float = 60
) -> str:
    """Wait until the pod is in one of `phases` and return which.

    Raises:
        TimeoutError: the message says what the pod's containers and events say.
    """
    found: list[str] = [""]

    def is_there() -> bool:
        found[0] = core.read_namespaced_pod(name, namespace).status.phase
        return found[0] in phases

    try:
        wait_for(
            is_there, what=f"pod {name} to be {' or '.join(sorted(phases))}", timeout_seconds=timeout_seconds
        )
    except TimeoutError as error:
        events = core.list_namespaced_event(namespace, field_selector=f"involvedObject.name={name}").items
        said = "\n".join(f"{event.reason}: {event.message}" for event in events)
        raise TimeoutError(f"{error}; it is {found[0]}; events:\n{said}") from None
    return found[0]


def _merge(base: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in fields.items():
        both_lists = isinstance(value, list) and isinstance(merged.get(name), list)
        merged[name] = [*merged[name], *value] if both_lists else value
    return merged
