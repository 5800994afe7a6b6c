"""One Airflow for all tests of a module: it starts once, all runs go on side by side, each test looks at one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.access import create_namespace
from tests.cluster.cluster import Cluster
from tests.cluster.pods import REPOSITORY

EXAMPLES = REPOSITORY / "dags_examples"
DAGS = Path(__file__).with_name("dags")


@pytest.fixture(scope="session")
def new_namespace(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Give a function that makes a namespace in which task pods may talk to the Kubernetes API."""
    made: list[str] = []

    def make() -> str:
        name = f"e2e-{secrets.token_hex(4)}"
        create_namespace(cluster.core(), name)
        made.append(name)
        cluster.kubectl("apply", "-f", "-", input=_pod_starter(name))
        return name

    yield make
    for name in made:
        cluster.core().delete_namespace(name)


def _pod_starter(namespace: str) -> str:
    """Return the rights that KubernetesPodOperator needs, for the service account of task pods."""
    verbs = ["create", "get", "list", "watch", "patch", "delete"]
    resources = ["pods", "pods/log", "pods/exec", "events"]
    metadata = {"name": "pod-starter", "namespace": namespace}
    role = {"rules": [{"apiGroups": [""], "resources": resources, "verbs": verbs}]}
    binding = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pod-starter"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    }
    common = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
    return yaml.safe_dump_all(
        [{**common, "kind": "Role", **role}, {**common, "kind": "RoleBinding", **binding}]
    )
