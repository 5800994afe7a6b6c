"""The real API server accepts what the binding makes of any pod that it accepts."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from kubernetes.client import ApiException

from airflow_sa_binding.binding.pod import bind_pod
from airflow_sa_binding.binding.resolve import resolve
from tests.property.strategies import SETTINGS, build_pod, cases, send

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

    from airflow_sa_binding.binding.request import Request
    from tests.cluster.cluster import Cluster

PODS = 1_000
WORKERS = 4


def draw_cases(count: int) -> list[tuple[dict[str, Any], Request]]:
    """Draw this many different pods with requests."""
    drawn: dict[str, tuple[dict[str, Any], Request]] = {}

    @settings(
        max_examples=2 * count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def collect(case: tuple[dict[str, Any], Request]) -> None:
        if len(drawn) < count:
            drawn.setdefault(json.dumps(case[0]), case)

    collect()
    return list(drawn.values())


def refusal(core: CoreV1Api, namespace: str, manifest: dict[str, Any]) -> str | None:
    """Return why the API server would not create a pod, or nothing if it would."""
    try:
        core.create_namespaced_pod(namespace, manifest, dry_run="All", _preload_content=False)
    except ApiException as error:
        return f"{json.loads(error.body)['message']}\n{json.dumps(manifest)}"
    return None


@pytest.mark.cluster
def test_api_server_accepts_bound_pods(control_plane: Cluster, namespace: str) -> None:
    """A thousand drawn pods are accepted as they are, and as the binding makes them."""
    core = control_plane.core()
    drawn = draw_cases(PODS)
    templates = [manifest for manifest, _ in drawn]
    bound = [send(bind_pod(build_pod(manifest), resolve(request, SETTINGS))) for manifest, request in drawn]

    with ThreadPoolExecutor(WORKERS) as pool:
        answers = list(pool.map(lambda manifest: refusal(core, namespace, manifest), [*templates, *bound]))

    assert len(drawn) == PODS
    assert [answer for answer in answers[:PODS] if answer is not None] == []
    assert [answer for answer in answers[PODS:] if answer is not None] == []
