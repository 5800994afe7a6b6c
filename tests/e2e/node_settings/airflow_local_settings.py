"""Lets any pod run on the test node, whose only image is empty: what an `airflow_local_settings.py` is for.

Stands in for the image that a deployment builds. Airflow finds it on PYTHONPATH, in the scheduler and in task
pods, and reads beside it, in `node.json`, what a container needs of this machine. It knows nothing of identities.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubernetes.client import models as k8s

NODE: dict[str, Any] = json.loads(Path(__file__).with_name("node.json").read_text(encoding="utf-8"))


def pod_mutation_hook(pod: k8s.V1Pod) -> None:
    """Put the machine's own Python in place of each container's image."""
    spec = pod.spec
    spec.host_network = True
    spec.termination_grace_period_seconds = 1
    present = {volume.name for volume in spec.volumes or ()}
    spec.volumes = [*(spec.volumes or ()), *(one for one in _volumes() if one.name not in present)]
    for container in [*spec.containers, *(spec.init_containers or ())]:
        container.image = NODE["image"]
        container.image_pull_policy = "Never"
        # The entry point of Airflow's image runs the arguments.
        container.command = container.command or ["/usr/bin/env"]
        _add(container, "env", [k8s.V1EnvVar(**one) for one in NODE["env"]], "name")
        _add(container, "volume_mounts", _mounts(), "mount_path")


def _volumes() -> list[k8s.V1Volume]:
    return [
        k8s.V1Volume(name=name, host_path=k8s.V1HostPathVolumeSource(path=path))
        for name, path in NODE["folders"].items()
    ]


def _mounts() -> list[k8s.V1VolumeMount]:
    return [
        k8s.V1VolumeMount(name=name, mount_path=path, read_only=True)
        for name, path in NODE["folders"].items()
    ]


def _add(container: k8s.V1Container, field: str, more: list[Any], key: str) -> None:
    present = getattr(container, field) or []
    taken = {getattr(one, key) for one in present}
    setattr(container, field, [*present, *(one for one in more if getattr(one, key) not in taken)])
