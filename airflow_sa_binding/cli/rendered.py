"""What `render` shows of one pod, wherever it came from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiClient

from airflow_sa_binding.binding.names import APPLIED_ANNOTATION

_RANDOM_SUFFIX = re.compile(r"-[a-z0-9]{8}$")

Manifest = Mapping[str, Any]
"""A pod, serialized as it is sent to Kubernetes."""


@dataclass(frozen=True, kw_only=True)
class RenderedPod:
    """What became of one pod."""

    subject: Mapping[str, str]
    """Whose pod it is, by the heading of the table's column, e.g. `{"DAG": "sales", "TASK": "load"}`."""
    stock: Manifest | None = None
    """The pod before it was bound, or None where it was refused before there was one."""
    bound: Manifest | None = None
    """The pod that would be created, or None where it was refused."""
    refusal: str | None = None
    """The one line with which the task would fail."""

    @property
    def title(self) -> str:
        """Return what the pod is called in messages."""
        title = ".".join(self.subject.values())
        return title if title.isprintable() else repr(title)

    @property
    def bindings(self) -> Sequence[Mapping[str, Any]]:
        """Return what the pod says that it was given."""
        annotations = (self.bound or {}).get("metadata", {}).get("annotations") or {}
        if APPLIED_ANNOTATION not in annotations:
            return ()
        given: Sequence[Mapping[str, Any]] = json.loads(annotations[APPLIED_ANNOTATION])["bindings"]
        return given


def as_manifest(pod: Any) -> dict[str, Any]:
    """Serialize a pod as it is sent to Kubernetes, with what the API server would add of its kind."""
    return {"apiVersion": "v1", "kind": "Pod", **ApiClient().sanitize_for_serialization(pod)}


def with_steady_name(name: str | None, *coordinates: object) -> str | None:
    """Replace a pod name's random end by one that the same task always gets, so that outputs can be compared."""
    if not name or not _RANDOM_SUFFIX.search(name):
        return name
    return name[:-8] + hashlib.sha256(repr(coordinates).encode()).hexdigest()[:8]
