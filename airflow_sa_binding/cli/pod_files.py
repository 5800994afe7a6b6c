"""From a file with pods to what the hook makes of them.

A manifest may hold fields that the Kubernetes client does not know yet. Only what the hook changed is put into the
manifest, so they stay.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import ApiClient

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.cli.commands import WrongUsage
from airflow_sa_binding.cli.rendered import RenderedPod
from airflow_sa_binding.config.strict_yaml import LONGEST_FILE_BYTES, parse_documents
from airflow_sa_binding.hook import pod_mutation_hook

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTS = ("List", "PodList")
_REMEDY = "the hook sees pods: give manifests of kind Pod, or a List of them"


def render_pod_file(path: str) -> list[RenderedPod]:
    """Run the hook on every pod in a file, or on stdin for `-`.

    Raises:
        Refused: It holds something else than manifests of pods.
        WrongUsage: There is no such file.
    """
    source = "stdin" if path == "-" else path
    content = _read(path)
    if len(content) > LONGEST_FILE_BYTES:
        problem = f"is longer than {LONGEST_FILE_BYTES} bytes"
        raise Refused(source, problem, remedy="give fewer pods at a time")
    documents = parse_documents(content, source)
    if not documents:
        raise Refused(source, "is empty", remedy=_REMEDY)
    return [
        _render(manifest, item_where)
        for where, document in documents
        for item_where, manifest in _pods_in(document, where)
    ]


def _read(path: str) -> bytes:
    """Read a file, or a pipe, no further than it takes to see that it is too long."""
    if path == "-":
        return sys.stdin.buffer.read(LONGEST_FILE_BYTES + 1)
    try:
        with Path(path).open("rb") as file:
            return file.read(LONGEST_FILE_BYTES + 1)
    except OSError as error:
        raise WrongUsage(f"--pod: {error.strerror}, got {path!r}") from None


def _pods_in(document: object, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each pod of a document with the words for where it is."""
    if not isinstance(document, dict):
        raise Refused(where, "must be a manifest", got=document, remedy=_REMEDY)
    kind = document.get("kind")
    if kind in _LISTS:
        items = document.get("items")
        if not isinstance(items, list) or not items:
            raise Refused(f"{where}: items", "must be a list of pods", got=items, remedy=_REMEDY)
        for number, item in enumerate(items, start=1):
            yield from _pods_in(item, f"{where}, item {number}")
    elif kind == "Pod":
        yield where, document
    else:
        raise Refused(f"{where}: kind", "must be Pod", got=kind, remedy=_REMEDY)


def _render(manifest: dict[str, Any], where: str) -> RenderedPod:
    for field in ("metadata", "spec"):
        if not isinstance(manifest.get(field), dict):
            raise Refused(f"{where}: {field}", "must be a mapping", got=manifest.get(field), remedy="add it")
    try:
        pod = PodGenerator.deserialize_model_dict(manifest)
        before = ApiClient().sanitize_for_serialization(pod)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise Refused(where, f"is not a whole pod: {error}", remedy="mend the manifest") from None
    subject = {"POD": where}
    try:
        pod_mutation_hook(pod)
    except Refused as refused:
        return RenderedPod(subject=subject, stock=manifest, refusal=str(refused))
    after = ApiClient().sanitize_for_serialization(pod)
    return RenderedPod(subject=subject, stock=manifest, bound=_carry_over(manifest, before, after))


def _carry_over(original: Any, before: Any, after: Any) -> Any:
    """Return the original with the changes between two states of what the client knows of it."""
    if before == after:
        return original
    if isinstance(original, dict) and isinstance(before, dict) and isinstance(after, dict):
        kept = {key: value for key, value in original.items() if key in after or key not in before}
        changed = {
            key: _carry_over(original.get(key), before.get(key), value) for key, value in after.items()
        }
        return {**kept, **changed}
    if isinstance(original, list) and isinstance(before, list) and isinstance(after, list):
        return [_carry_over_item(original, before, item) for item in after]
    return after


def _carry_over_item(original: list[Any], before: list[Any], item: Any) -> Any:
    """Find an item of a list as it was, the same one or else the one of the same name, and carry it over."""
    same = [index for index, other in enumerate(before) if other == item]
    named = [index for index, other in enumerate(before) if _name_of(other) == _name_of(item) is not None]
    for index in (*same, *named):
        return _carry_over(original[index], before[index], item)
    return item


def _name_of(item: Any) -> Any:
    return item.get("name") if isinstance(item, dict) else None
