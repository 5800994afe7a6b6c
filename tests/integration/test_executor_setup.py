"""The package among Airflow's own parts: its commands, other executors, and the hook in its two places."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.integration.executor_fixtures import OURS, STOCK, TEMPLATE
from tests.keys import ADS, ETL


def is_installed() -> bool:
    """Tell whether the package is installed, so that Airflow finds its entry points."""
    try:
        return bool(version("airflow-sa-binding"))
    except PackageNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the installed package: pip install -e .")

HOOK_MODULE = "from airflow_sa_binding.hook import pod_mutation_hook\n"

# Prints what Airflow sends to Kubernetes for one pod, and how often the hook has bound one.
BUILD_POD = """
import json, logging, sys
lines = []
class Lines(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
from airflow import settings
logging.getLogger("airflow_sa_binding").addHandler(Lines())
logging.getLogger("airflow_sa_binding").setLevel("INFO")
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import ApiClient, models as k8s
base = PodGenerator.deserialize_model_file(sys.argv[1])
annotations = json.loads(sys.argv[2])
override = k8s.V1Pod(metadata=k8s.V1ObjectMeta(annotations=annotations)) if annotations else None
pod = PodGenerator.construct_pod(
    dag_id="a_dag", task_id="load", pod_id="a-pod", try_number=1, kube_image="apache/airflow:3.1.8", date=None,
    args=["true"], pod_override_object=override, base_worker_pod=base, namespace="default",
    scheduler_job_id="1", run_id="a_run", with_mutation_hook=True)
bound = [line for line in lines if line.startswith("sa_binding.bound by=hook")]
print(json.dumps({"pod": ApiClient().sanitize_for_serialization(pod), "bound": len(bound)}))
"""


def airflow_environment(tmp_path: Path, executor: str, *, local_settings: str = "") -> dict[str, str]:
    """Return the environment of an Airflow with two accounts and, if wanted, an airflow_local_settings.py."""
    config = tmp_path / "config"
    config.mkdir()
    if local_settings:
        (config / "airflow_local_settings.py").write_text(local_settings)
    return {
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(config),
        "PYTHONWARNINGS": "ignore",
        "AIRFLOW__CORE__EXECUTOR": executor,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
        "AIRFLOW__KUBERNETES__GCP_SERVICE_ACCOUNTS": f"{ETL}=/opt/airflow/sa/etl.json,{ADS}=/opt/airflow/sa/ads.json",
    }


def run(environment: dict[str, str], *command: str) -> str:
    """Run a program to its end and return what it prints."""
    done = subprocess.run(
        [str(Path(sys.prefix) / "bin" / command[0]), *command[1:]],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def build_pod(environment: dict[str, str], annotations: dict[str, str]) -> dict[str, object]:
    """Have Airflow build a pod as for a stock KubernetesExecutor, and return it with the count of bindings."""
    printed = run(environment, "python", "-c", BUILD_POD, str(TEMPLATE), json.dumps(annotations))
    found: dict[str, object] = json.loads(printed.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "executor",
    [
        pytest.param(OURS, id="alone"),
        pytest.param(f"{OURS},{STOCK}", id="with-the-stock-executor"),
        pytest.param(f"LocalExecutor,sa:{OURS},KubernetesExecutor", id="by-alias-with-others"),
    ],
)
def test_airflows_commands_work_with_every_choice_of_executors(tmp_path: Path, executor: str) -> None:
    """Two executors that bring the same commands would break every command; ours brings them only when alone."""
    environment = airflow_environment(tmp_path, executor)

    assert "KubernetesExecutor" in run(environment, "airflow", "config", "get-value", "core", "executor")
    assert "cleanup-pods" in run(environment, "airflow", "kubernetes", "--help")


def test_the_options_are_airflows_options(tmp_path: Path) -> None:
    """`airflow config list` shows them with their values."""
    environment = airflow_environment(tmp_path, OURS)

    printed = run(environment, "airflow", "config", "list", "--section", "sa_binding", "--defaults")
    assert "bindings_file" in printed
    assert "sync_interval_seconds" in printed


@pytest.mark.parametrize("local_settings", ["", HOOK_MODULE], ids=["plug-in", "both"])
def test_the_hook_binds_once_wherever_it_is_registered(tmp_path: Path, local_settings: str) -> None:
    """With a stock executor a pod that asks by annotation is bound; a second registration changes nothing."""
    environment = airflow_environment(tmp_path, STOCK, local_settings=local_settings)

    found = build_pod(environment, {"iam.cloud.google.com/service-account": ETL})
    pod = found["pod"]
    assert isinstance(pod, dict)
    container = pod["spec"]["containers"][0]
    assert found["bound"] == 1
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["gcp-sa-etl-fd6d6038"]
    assert [mount["name"] for mount in container["volumeMounts"]] == ["gcp-sa-etl-fd6d6038"]
    variables = [one["name"] for one in container["env"] if one["name"].startswith(("GOOGLE", "CLOUDSDK"))]
    assert sorted(variables) == ["CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", "GOOGLE_APPLICATION_CREDENTIALS"]


def test_the_hook_comes_after_an_installations_own(tmp_path: Path) -> None:
    """What `airflow_local_settings` adds to a pod is bound as well, and checked."""
    ours = (
        "from kubernetes.client import models as k8s\n"
        "def pod_mutation_hook(pod):\n"
        "    pod.spec.containers.append(k8s.V1Container(name='proxy', image='proxy'))\n"
    )
    environment = airflow_environment(tmp_path, STOCK, local_settings=ours)
    annotations = {"iam.cloud.google.com/service-account": ETL, "airflow-sa-binding/containers": "proxy"}

    pod = build_pod(environment, annotations)["pod"]
    assert isinstance(pod, dict)
    mounts = {one["name"]: one.get("volumeMounts", []) for one in pod["spec"]["containers"]}
    assert {name: len(found) for name, found in mounts.items()} == {"base": 0, "proxy": 1}


def test_a_pod_that_asks_for_nothing_passes_the_hook_unchanged(tmp_path: Path) -> None:
    """Neither a volume nor an annotation of ours appears."""
    environment = airflow_environment(tmp_path, STOCK)

    found = build_pod(environment, {})
    pod = found["pod"]
    assert isinstance(pod, dict)
    assert (found["bound"], "volumes" in pod["spec"]) == (0, False)
    assert [name for name in pod["metadata"]["annotations"] if "sa-binding" in name] == []


def test_the_stock_executors_scheduler_goes_on_when_the_hook_refuses(tmp_path: Path) -> None:
    """The hook's exception is the one for which a stock executor fails the task, whatever the pod asks for."""
    environment = airflow_environment(tmp_path, STOCK)
    program = BUILD_POD.replace("pod = PodGenerator", "try:\n  pod = PodGenerator").replace(
        "with_mutation_hook=True)",
        "with_mutation_hook=True)\nexcept Exception as error:\n"
        "  print(type(error).__name__, '|', type(error.__cause__).__name__, '|', error.__cause__)\n  sys.exit(0)",
    )

    annotations = json.dumps(
        {"iam.cloud.google.com/service-account": "payroll@other.iam.gserviceaccount.com"}
    )
    printed = run(environment, "python", "-c", program, str(TEMPLATE), annotations).splitlines()[-1]
    assert printed == (
        'PodMutationHookException | Refused | metadata.annotations["iam.cloud.google.com/service-account"]: account '
        "is not listed in [kubernetes] gcp_service_accounts, got 'payroll@other.iam.gserviceaccount.com'; "
        "ask your platform engineer to list it"
    )


def test_render_prints_the_pod_that_the_hook_makes(tmp_path: Path) -> None:
    """`render --pod` and Airflow agree on every field."""
    environment = airflow_environment(tmp_path, STOCK)
    asked = {"iam.cloud.google.com/service-account": ETL}
    built = build_pod(environment, asked)["pod"]
    assert isinstance(built, dict)
    unbound = json.loads(
        json.dumps(build_pod(environment | {"AIRFLOW__KUBERNETES__GCP_SERVICE_ACCOUNTS": ""}, {})["pod"])
    )
    unbound["metadata"]["annotations"] |= asked
    (tmp_path / "pod.json").write_text(json.dumps(unbound))

    printed = run(
        environment, "airflow-sa-binding", "render", "--pod", f"{tmp_path}/pod.json", "--output", "json"
    )
    assert json.loads(printed) == {"apiVersion": "v1", "kind": "List", "items": [built]}
