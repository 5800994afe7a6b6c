"""Fixtures for tests of the executor: its configuration in the environment, and a running one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.cluster.access import Access
from tests.cluster.cluster import Cluster
from tests.cluster.pods import REPOSITORY
from tests.integration.executor_harness import Driver, started
from tests.keys import ADS, ETL, write_key

OURS = "airflow_sa_binding.executor.ServiceAccountKubernetesExecutor"
STOCK = "airflow.providers.cncf.kubernetes.executors.kubernetes_executor.KubernetesExecutor"
TEMPLATE = REPOSITORY / "dags_examples" / "pod_template.yaml"

# Airflow and its dependencies warn of themselves; this package must not.
IGNORE_AIRFLOWS_WARNINGS = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_sa_binding"),
]


class Start(Protocol):
    """Starts an executor of a class, by default ours, as an access, by default the administrator."""

    def __call__(
        self, path: str = OURS, *, access: Access | None = None, job_id: str = "scheduler-1"
    ) -> Driver:
        """Start it; it ends with the test."""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Give a folder with the keys of two accounts, `etl.json` and `ads.json`."""
    folder = tmp_path / "keys"
    folder.mkdir()
    write_key(folder / "etl.json", ETL)
    write_key(folder / "ads.json", ADS)
    return folder


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that sets options: `configure(core__executor="...")`."""

    def set_options(**options: object) -> None:
        for name, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__{name.upper()}", str(value))

    return set_options


@pytest.fixture
def start(
    control_plane: Cluster,
    namespace: str,
    keys: Path,
    configure: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Start]:
    """Give a function that starts an executor with two accounts, both usable."""
    # Airflow 2.11 would ask for another database than SQLite, though none is used.
    monkeypatch.setenv("_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK", "1")
    configure(
        core__executor=OURS,
        kubernetes__gcp_service_accounts=f"{ETL}={keys}/etl.json,{ADS}={keys}/ads.json",
        kubernetes_executor__namespace=namespace,
        kubernetes_executor__pod_template_file=TEMPLATE,
        kubernetes_executor__in_cluster=False,
        kubernetes_executor__config_file=control_plane.kubeconfig,
        kubernetes_executor__worker_pods_creation_batch_size=8,
        # Rounds of their own accord would be counted where calls are.
        sa_binding__sync_interval_seconds=3600,
    )
    with ExitStack() as stack:

        def start_one(
            path: str = OURS, *, access: Access | None = None, job_id: str = "scheduler-1"
        ) -> Driver:
            configure(kubernetes_executor__config_file=(access or control_plane).kubeconfig)
            executor = load_class(path)(parallelism=32)
            stack.enter_context(started(executor, job_id=job_id))
            return Driver(executor=executor, cluster=control_plane, namespace=namespace)

        yield start_one


def load_class(path: str) -> Any:
    """Import a class, late: Airflow reads its configuration when it is imported."""
    from importlib import import_module

    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
