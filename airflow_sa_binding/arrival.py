"""What is looked at when a task arrives, before the stock executor handles what its author wrote.

The stock executor pickles the whole of `executor_config`, and opens whatever `pod_template_file` names.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from kubernetes.client import models as k8s

from airflow_sa_binding.binding.errors import Refused, describe
from airflow_sa_binding.binding.plain import plain_dict
from airflow_sa_binding.binding.request import SERVICE_ACCOUNT_KEY
from airflow_sa_binding.config.files import read_file
from airflow_sa_binding.config.strict_yaml import LONGEST_FILE_BYTES, parse_yaml

_LARGEST_CONFIG_BYTES = 1048576
"""The API server takes 3 MiB and etcd 1.5 MiB, of JSON, which is longer."""

_SPARE_FRAMES = 64
"""The queue pickles what an author wrote as a part of a job, and again from other depths of the stack."""


def not_transportable() -> Refused:
    """Build what is said of a value that no other process can be given."""
    return Refused(
        "executor_config",
        "holds a value that cannot be sent to another process",
        remedy="use plain values and Kubernetes models only",
    )


def require_transportable(executor_config: Any) -> None:
    """Check that what an author wrote can go through the queue to the pod builder, and on to the API server.

    Raises:
        Refused: It cannot.
    """
    entries = entries_of(executor_config)
    # A name alone, which is what nearly all tasks give, costs nothing; what is no dict is refused later.
    if not executor_config or not entries:
        return
    if len(executor_config) == 1 and type(entries.get(SERVICE_ACCOUNT_KEY)) is str:
        return
    override = entries.get("pod_override")
    if override is not None and not isinstance(override, k8s.V1Pod):
        raise Refused(
            'executor_config["pod_override"]',
            "must be a pod",
            got=override,
            remedy="write kubernetes.client.models.V1Pod(...)",
        )
    if entries.get("KubernetesExecutor"):
        # The stock executor fails such a task too, without saying why.
        raise Refused(
            'executor_config["KubernetesExecutor"]',
            "is the form of Airflow 1, which the executor no longer takes",
            remedy='write "pod_override": kubernetes.client.models.V1Pod(...)',
        )
    try:
        size = _pickled_size(executor_config, spare_frames=_SPARE_FRAMES)
    except Exception:  # noqa: BLE001 - an author's object may raise anything at all
        raise not_transportable() from None
    if size > _LARGEST_CONFIG_BYTES:
        raise Refused(
            "executor_config", f"is larger than {_LARGEST_CONFIG_BYTES} bytes", remedy="keep data elsewhere"
        )


def _pickled_size(value: Any, *, spare_frames: int) -> int:
    """Return the size of a pickle that can be made also further down the stack."""
    if spare_frames:
        return _pickled_size(value, spare_frames=spare_frames - 1)
    return len(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def require_usable_template(entries: dict[str, Any] | None) -> None:
    """Check the template that an author chose, before the stock executor opens and parses whatever it is.

    The stock executor takes numbers for open descriptors, and a file that is missing for an empty template.

    Raises:
        Refused: It is not a file of plain YAML.
    """
    path = (entries or {}).get("pod_template_file")
    if path is None or (type(path) in (str, bool) and not path):
        return
    field = 'executor_config["pod_template_file"]'
    if type(path) is not str or not path.startswith("/"):
        remedy = "write the path of a file that the scheduler can read"
        raise Refused(field, "must be an absolute path", got=path, remedy=remedy)
    source = f"{field}, file {describe(path)}"
    parse_yaml(read_file(Path(path), field=source, limit_bytes=LONGEST_FILE_BYTES), source)


def entries_of(executor_config: Any) -> dict[str, Any] | None:
    """Return what a dict holds under strings, as a plain dict, and nothing for anything else."""
    given = plain_dict(executor_config)
    return None if given is None else given[0]
