"""The second half of the tutorial, on a real API server; what needs a node and an image is left out."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import CoreV1Api

from tests.cluster.access import find_kubectl
from tests.cluster.cluster import Cluster
from tests.keys import ETL, write_key
from tests.markdown import ROOT, Block, blocks

pytestmark = [pytest.mark.cluster, pytest.mark.airflow(">=3.3")]

TUTORIAL = [block for block in blocks() if block.page == "docs/tutorial.md"]
NEEDS_A_NODE = ("kubectl wait", "kubectl logs")


@pytest.fixture
def reader(tmp_path: Path, control_plane: Cluster) -> Iterator[Path]:
    """Give the home of a reader who has done the first half, and a kubectl for the cluster on the PATH."""
    folder = tmp_path / "sa-tutorial"
    for name in ("sa", "dags", "config"):
        (folder / name).mkdir(parents=True)
    write_key(folder / "sa" / "etl.json", ETL)
    (folder / "pod_template.yaml").write_bytes((ROOT / "dags_examples" / "pod_template.yaml").read_bytes())
    # Whether or not the package is installed here; if it is, the hook acts once all the same.
    hook = "from airflow_sa_binding.hook import pod_mutation_hook\n"
    (folder / "config" / "airflow_local_settings.py").write_text(hook, encoding="utf-8")
    for block in TUTORIAL:
        if block.caption:
            Path(block.caption.replace("~", str(tmp_path))).write_text(block.content, encoding="utf-8")
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_bytes(control_plane.kubeconfig.read_bytes())
    yield tmp_path
    control_plane.kubectl("delete", "namespace", "sa-tutorial", "--ignore-not-found", "--wait=false")


def test_the_commands_of_the_tutorial_work_on_a_cluster(reader: Path, control_plane: Cluster) -> None:
    """The Secret is there, and the pod that asked for the account with an annotation is bound to it."""
    for line in cluster_lines():
        run(line, reader)

    core: CoreV1Api = control_plane.core()
    secrets = [secret.metadata.name for secret in core.list_namespaced_secret("sa-tutorial").items]
    container = core.read_namespaced_pod("whoami", "sa-tutorial").spec.containers[0]
    assert secrets == ["gcp-sa-etl-fd6d6038"]
    assert {variable.name: variable.value for variable in container.env} == {
        "GOOGLE_APPLICATION_CREDENTIALS": "/var/run/secrets/gcp/etl-fd6d6038/key.json",
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": "/var/run/secrets/gcp/etl-fd6d6038/key.json",
    }


def cluster_lines() -> list[str]:
    """Return the commands from the first that needs the cluster to the last before cleaning up."""
    lines = [line[2:] for block in TUTORIAL if is_shell(block) for line in block.content.splitlines()]
    first = lines.index("kubectl create namespace sa-tutorial")
    last = lines.index("kubectl delete namespace sa-tutorial")
    return [line for line in lines[first:last] if not line.startswith(NEEDS_A_NODE)]


def is_shell(block: Block) -> bool:
    """Tell whether a block holds commands."""
    return block.language == "console"


def run(line: str, home: Path) -> None:
    """Run a line as the reader would; every program in it must succeed."""
    programs = home / "bin"
    programs.mkdir(exist_ok=True)
    commands = {
        "airflow-sa-binding": [sys.executable, "-m", "airflow_sa_binding.cli.main"],
        "kubectl": [str(find_kubectl())],
    }
    for name, command in commands.items():
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = {
        **kept,
        "HOME": str(home),
        "AIRFLOW_HOME": str(home / "sa-tutorial"),
        "KUBECONFIG": str(home / ".kube" / "config"),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    command = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
