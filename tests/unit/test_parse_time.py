"""A DAG file whose task asks for an identity is imported only where one of our executors runs the task.

Each test reads the file with Airflow's own `DagBag`, in a process of its own: Airflow keeps `[core] executor` for
as long as a process lives.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import airflow
import pytest

OURS = "airflow_sa_binding.executor.ServiceAccountKubernetesExecutor"
STOCK = "airflow.providers.cncf.kubernetes.executors.kubernetes_executor.KubernetesExecutor"

# Airflow 2 refuses SQLite with these executors. Nothing here connects.
NO_SQLITE = (
    {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://127.0.0.1:1/none"}
    if airflow.__version__.startswith("2.")
    else {}
)

DAG_FILE = """
from airflow.providers.common.compat.sdk import DAG, BaseOperator

with DAG("sales", schedule=None):
    BaseOperator(
        task_id="load",
        executor={executor!r},
        executor_config={{"gcp-service-account": "etl@acme.iam.gserviceaccount.com"}},
    )
    BaseOperator(task_id="tell")
"""

READER = """
import inspect, json, sys
from importlib import import_module
from importlib.util import find_spec

import pluggy
from airflow import settings

from airflow_sa_binding import policy

# As the entry point does where the package is installed.
manager = settings.get_policy_plugin_manager() if hasattr(settings, "get_policy_plugin_manager") \\
    else settings.POLICY_PLUGIN_MANAGER
if not any(plugin is policy for plugin in manager.get_plugins()):
    manager.register(policy)
module = "airflow.dag_processing.dagbag"
build = import_module(module if find_spec(module) else "airflow.models.dagbag").DagBag
takes = inspect.signature(build).parameters
bag = build(sys.argv[1], **({"include_examples": False} if "include_examples" in takes else {}))
print(json.dumps([sorted(bag.dags), [error.strip().splitlines()[-1] for error in bag.import_errors.values()]]))
"""


def import_dag(folder: Path, *, configured: str, executor: str | None = None, **variables: str) -> object:
    """Return the ids of the DAGs that were imported, and the last line of each error."""
    file = folder / "sales.py"
    file.write_text(DAG_FILE.format(executor=executor))
    environment = {
        **os.environ,
        **variables,
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__CORE__EXECUTOR": configured,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        **NO_SQLITE,
        "PYTHONPATH": str(Path.cwd()),
    }
    done = subprocess.run(
        [sys.executable, "-c", READER, str(file)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("configured", "executor"),
    [
        pytest.param(OURS, None, id="the only one"),
        pytest.param(f"LocalExecutor,{OURS}", OURS, id="named by its path"),
        pytest.param(f"LocalExecutor,sa:{OURS}", "sa", id="named by its alias"),
    ],
)
def test_task_of_our_executor(configured: str, executor: str | None, tmp_path: Path) -> None:
    """A task that our executor runs may ask for an identity."""
    assert import_dag(tmp_path, configured=configured, executor=executor) == [["sales"], []]


def test_task_of_the_default_executor(tmp_path: Path) -> None:
    """A task that says nothing runs on the first executor; if that is another, the DAG is not imported."""
    assert import_dag(tmp_path, configured=f"LocalExecutor,{OURS}") == [
        [],
        [
            (
                "AirflowClusterPolicyViolation: "
                'sales.load: executor_config["gcp-service-account"]: asks for an identity, but the task runs on an '
                "executor that gives none, got 'airflow.executors.local_executor.LocalExecutor'; run the task on "
                "airflow_sa_binding.executor.ServiceAccountKubernetesExecutor: name it in executor=, or first in "
                "[core] executor"
            )
        ],
    ]


def test_task_that_names_another_executor(tmp_path: Path) -> None:
    """The stock executor would drop our key silently."""
    imported = import_dag(tmp_path, configured=f"sa:{OURS},stock:{STOCK}", executor="stock")

    assert imported == [
        [],
        [
            (
                "AirflowClusterPolicyViolation: "
                'sales.load: executor_config["gcp-service-account"]: asks for an identity, but the task runs on an '
                "executor that gives none, got 'stock'; run the task on "
                "airflow_sa_binding.executor.ServiceAccountKubernetesExecutor: name it in executor=, or first in "
                "[core] executor"
            )
        ],
    ]


def test_inside_a_task_pod(tmp_path: Path) -> None:
    """A task pod, which parses its DAG again, often says LocalExecutor; the pod has its identity by then."""
    imported = import_dag(tmp_path, configured="LocalExecutor", AIRFLOW_IS_K8S_EXECUTOR_POD="True")

    assert imported == [["sales"], []]
