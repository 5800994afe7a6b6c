"""One Airflow: its folders, its configuration, its processes, and what it says of runs.

The Airflow is that of the Python which runs the tests. Task pods see the folder `shared` of the installation, as
they would see the image and the ConfigMap of a deployment; keys, database and kubeconfig are outside it.
"""

from __future__ import annotations

import configparser
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

from packaging.version import Version

from tests.cluster.cluster import Cluster
from tests.cluster.images import HOST
from tests.cluster.pods import REPOSITORY, host_environment, host_folders, in_cluster_environment
from tests.cluster.servers import LOCALHOST, find_free_port, new_starter
from tests.e2e.metadata import Metadata
from tests.e2e.postgres import running_postgres
from tests.e2e.processes import Process

AIRFLOW_3 = Version(version("apache-airflow")) >= Version("3")
EXECUTOR = "airflow_sa_binding.executor.ServiceAccountKubernetesExecutor"
RUN_ID = "test"

_NODE_SETTINGS = Path(__file__).with_name("node_settings")

Sections = Mapping[str, Mapping[str, str]]

# Run in a process with the installation's environment: one import of Airflow for all DAGs.
_TRIGGER = """
import sys
from airflow.api.common.trigger_dag import trigger_dag
by = {}
try:
    from airflow.utils.types import DagRunTriggeredByType
    by = {"triggered_by": DagRunTriggeredByType.TEST}
except ImportError:
    pass
for dag_id in sys.argv[2:]:
    trigger_dag(dag_id=dag_id, run_id=sys.argv[1], **by)
"""


class AirflowError(AssertionError):
    """Airflow did not do what was waited for; the message ends with the logs."""


@contextmanager
def new_installation(
    folder: Path, cluster: Cluster, *, dags: Iterable[Path], sections: Sections
) -> Iterator[Installation]:
    """Give an installation whose database is ready and in which nothing runs yet.

    Arguments:
        folder: An empty folder.
        cluster: Where task pods run.
        dags: The DAG files, and what lies beside them.
        sections: Options for airflow.cfg, over those that the installation needs.
    """
    with ExitStack() as stack:
        starter = new_starter()
        stack.callback(starter.shutdown)
        logs = folder / "logs"
        logs.mkdir()
        if AIRFLOW_3:
            database = f"sqlite:///{folder}/airflow.db"
        else:
            # Airflow 2 allows SQLite to executors that run one task at a time only.
            database = stack.enter_context(running_postgres(starter, logs / "postgres.log"))
        installation = Installation(
            folder, cluster, dags=dags, sections=sections, database=database, starter=starter
        )
        stack.callback(installation.kill)
        installation.run("airflow", "db", "migrate")
        yield installation


class Installation:
    """Folders, configuration and processes of one Airflow."""

    def __init__(
        self,
        folder: Path,
        cluster: Cluster,
        *,
        dags: Iterable[Path],
        sections: Sections,
        database: str,
        starter: ThreadPoolExecutor,
    ) -> None:
        self.folder = folder
        self.keys = folder / "keys"
        self.metadata = Metadata(database)
        self._starter = starter
        self._shared = folder / "shared"
        self._port = find_free_port()
        self._write_shared(cluster, dags, database)
        self.configure(sections)
        self._environment = self._build_environment(cluster, database)
        self.scheduler = self._process("scheduler", "--skip-serve-logs")
        self.processes = [self.scheduler]
        if AIRFLOW_3:
            address = ["--host", LOCALHOST, "--port", str(self._port), "--workers", "1"]
            self.processes += [self._process("api-server", *address), self._process("dag-processor")]

    def configure(self, sections: Sections) -> None:
        """Write airflow.cfg, for processes and pods that start from now on."""
        merged: dict[str, dict[str, str]] = {
            name: dict(options) for name, options in self._own_sections().items()
        }
        for name, options in sections.items():
            merged.setdefault(name, {}).update(options)
        parser = configparser.RawConfigParser()
        parser.read_dict(merged)
        draft = self._shared / ".airflow.cfg"
        with draft.open("w", encoding="utf-8") as file:
            parser.write(file)
        draft.replace(self._shared / "airflow.cfg")

    def start(self) -> None:
        """Start every process."""
        for process in self.processes:
            process.start()

    def kill(self) -> None:
        """End every process at once."""
        for process in reversed(self.processes):
            process.kill()

    def run(self, program: str, *arguments: str) -> str:
        """Run one of Airflow's programs to its end and return what it printed."""
        command = [str(Path(sys.prefix) / "bin" / program), *arguments]
        environment = dict(self._environment)
        done = subprocess.run(
            command,
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode:
            output = f"{done.stdout}\n{done.stderr}"[-6000:]
            raise AirflowError(
                f"{program} {' '.join(arguments)[:80]}: exit status {done.returncode}:\n{output}"
            )
        return done.stdout

    def trigger(self, *dag_ids: str, run_id: str = RUN_ID) -> None:
        """Start a run of each DAG, as soon as Airflow knows all of them."""
        wanted = set(dag_ids)
        self.wait_for(
            lambda: wanted <= self.metadata.parsed_dags(), f"Airflow to know the DAGs {sorted(wanted)}", 120
        )
        self.run("python", "-c", _TRIGGER, run_id, *dag_ids)

    def wait_for_run(self, dag_id: str, *, run_id: str = RUN_ID, timeout_seconds: float = 240) -> str:
        """Wait until a run has ended and return its state."""

        def has_ended() -> bool:
            return self.metadata.run_state(dag_id, run_id) in {"success", "failed"}

        self.wait_for(has_ended, f"the end of {dag_id}", timeout_seconds)
        return self.metadata.run_state(dag_id, run_id)

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_seconds: float = 120) -> None:
        """Wait for something that the running processes bring about.

        Raises:
            AirflowError: It did not come in time, or a process ended.
        """
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            dead = [process for process in self.processes if not process.is_running]
            if dead:
                raise AirflowError(f"{dead[0].name} ended while waiting for {what}\n{dead[0].tail()}")
            if time.monotonic() > deadline:
                raise AirflowError(f"waited {timeout_seconds} s in vain for {what}\n{self.describe()}")
            time.sleep(0.25)

    def describe(self) -> str:
        """Return what helps to understand a failure."""
        tasks = [str(task) for task in self.metadata.tasks()]
        return "\n".join([*tasks, *self.metadata.import_errors(), *(one.tail() for one in self.processes)])

    def _process(self, name: str, *arguments: str) -> Process:
        return Process(
            name,
            [Path(sys.prefix) / "bin" / "airflow", name, *arguments],
            environment=self._environment,
            log=self.folder / "logs" / f"{name}.log",
            starter=self._starter,
        )

    def _write_shared(self, cluster: Cluster, dags: Iterable[Path], database: str) -> None:
        self.keys.mkdir(mode=0o700)
        # pytest's folders are their owner's alone; a pod has a user of its own.
        (self._shared / "dags").mkdir(parents=True)
        for path in dags:
            shutil.copy(path, self._shared / "dags")
        shutil.copytree(
            _NODE_SETTINGS, self._shared / "settings", ignore=shutil.ignore_patterns("__pycache__")
        )
        folders = {f"host-{number}": str(path) for number, path in enumerate(host_folders([self._shared]))}
        env = [*host_environment(), *in_cluster_environment(cluster), *self._pod_environment(database)]
        node = {"image": HOST, "folders": folders, "env": list({one["name"]: one for one in env}.values())}
        (self._shared / "settings" / "node.json").write_text(json.dumps(node), encoding="utf-8")

    def _pod_environment(self, database: str) -> list[dict[str, str]]:
        variables = {
            "AIRFLOW_HOME": "/tmp/airflow",
            "AIRFLOW_CONFIG": f"{self._shared}/airflow.cfg",
            "PYTHONPATH": f"{self._shared}/settings:{REPOSITORY}",
            # The entry point of Airflow's image gives its user a name.
            "USER": "airflow",
        }
        if not AIRFLOW_3:
            # Tasks of Airflow 2 talk to the database themselves.
            variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = database
        return [{"name": name, "value": value} for name, value in variables.items()]

    def _own_sections(self) -> Sections:
        return {
            "core": {
                "dags_folder": f"{self._shared}/dags",
                "load_examples": "False",
                "dags_are_paused_at_creation": "False",
                "execution_api_server_url": f"http://{LOCALHOST}:{self._port}/execution/",
                "simple_auth_manager_all_admins": "True",
            },
            "scheduler": {
                "scheduler_idle_sleep_time": "0.5",
                "orphaned_tasks_check_interval": "10",
                "scheduler_health_check_threshold": "20",
                "job_heartbeat_sec": "2",
            },
            "kubernetes_executor": {"delete_worker_pods": "False", "worker_pods_creation_batch_size": "8"},
            "api": {"base_url": f"http://{LOCALHOST}:{self._port}"},
            "logging": {"colored_console_log": "False"},
        }

    def _build_environment(self, cluster: Cluster, database: str) -> dict[str, str]:
        return {
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{self._shared}/settings",
            "PYTHONUNBUFFERED": "1",
            "AIRFLOW_HOME": str(self.folder / "home"),
            "AIRFLOW_CONFIG": f"{self._shared}/airflow.cfg",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
            "AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE": str(cluster.kubeconfig),
        }
