"""`render`, in each version of Airflow: the executor's own code, without a cluster and a metadata database."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from airflow_sa_binding.cli.main import main
from tests.cluster.cluster import Cluster
from tests.keys import ADS, ETL, write_key

# Airflow and its dependencies warn of themselves; this package must not.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_sa_binding"),
]

OURS = "airflow_sa_binding.executor.ServiceAccountKubernetesExecutor"
IS_AIRFLOW_2 = version("apache-airflow").startswith("2.")

TEMPLATE = """\
apiVersion: v1
kind: Pod
metadata:
  name: placeholder
spec:
  containers:
    - name: base
      image: airflow:test
  restartPolicy: Never
"""

HEAD = """\
from datetime import datetime
from airflow.providers.common.compat.sdk import DAG, task, task_group
from kubernetes.client import models as k8s

with DAG("sales", schedule=None, start_date=datetime(2025, 1, 1)):
"""

LOAD = """\
    @task(executor_config={"gcp-service-account": "etl@acme.iam.gserviceaccount.com"})
    def load(): ...
    load()
"""
TIDY_UP = """\
    @task
    def tidy_up(): ...
    tidy_up()
"""
PAY = """\
    @task(executor_config={"gcp-service-account": "payroll@hr.iam.gserviceaccount.com"})
    def pay(): ...
    pay()
"""
PAY_REFUSAL = (
    'sales.pay: executor_config["gcp-service-account"]: account is not listed in [kubernetes] '
    "gcp_service_accounts, got 'payroll@hr.iam.gserviceaccount.com'; ask your platform engineer to list it\n"
)

ETL_APPLIED = (
    '{"version":"0.1.0","bindings":[{"gcpServiceAccount":"etl@acme.iam.gserviceaccount.com","delivery":"key",'
    '"secretName":"gcp-sa-etl-fd6d6038","containers":["base"],"mountPath":"/var/run/secrets/gcp/etl-fd6d6038"}]}'
)
LOAD_POD = f"""\
# sales.load
apiVersion: v1
kind: Pod
metadata:
  annotations:
    dag_id: sales
    task_id: load
    try_number: '1'
    run_id: render
    iam.cloud.google.com/service-account: etl@acme.iam.gserviceaccount.com
    airflow-sa-binding/applied: '{ETL_APPLIED}'
  labels:
    dag_id: sales
    task_id: load
    try_number: '1'
    kubernetes_executor: 'True'
    airflow_version: {version("apache-airflow")}
    airflow-worker: render
    run_id: render
  name: sales-load-48627e37
  namespace: tasks
spec:
  containers:
    - args: (the command of the worker)
      env:
        - name: AIRFLOW_IS_K8S_EXECUTOR_POD
          value: 'True'
        - name: GOOGLE_APPLICATION_CREDENTIALS
          value: /var/run/secrets/gcp/etl-fd6d6038/key.json
        - name: CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE
          value: /var/run/secrets/gcp/etl-fd6d6038/key.json
        - name: GOOGLE_CLOUD_PROJECT
          value: acme
      image: airflow:test
      name: base
      volumeMounts:
        - mountPath: /var/run/secrets/gcp/etl-fd6d6038
          name: gcp-sa-etl-fd6d6038
          readOnly: true
  restartPolicy: Never
  volumes:
    - name: gcp-sa-etl-fd6d6038
      secret:
        defaultMode: 288
        items:
          - key: key.json
            path: key.json
        secretName: gcp-sa-etl-fd6d6038
"""


class Ran(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure two accounts with their keys, and a template, for an executor in the namespace `tasks`."""
    write_key(tmp_path / "etl.json", ETL)
    write_key(tmp_path / "ads.json", ADS)
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    for name, value in {
        "CORE__EXECUTOR": OURS,
        "CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "KUBERNETES__GCP_SERVICE_ACCOUNTS": f"{ETL}={tmp_path}/etl.json,{ADS}={tmp_path}/ads.json",
        "KUBERNETES_EXECUTOR__NAMESPACE": "tasks",
        "KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": str(tmp_path / "template.yaml"),
    }.items():
        monkeypatch.setenv(f"AIRFLOW__{name}", value)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give a function that writes a DAG file of parts and returns its path."""

    def write_file(*parts: str) -> Path:
        path = tmp_path / "sales.py"
        path.write_text("".join(parts))
        return path

    return write_file


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs the program in this process."""

    def run_main(*arguments: object) -> Ran:
        status = main([str(argument) for argument in arguments])
        return Ran(status, *capfd.readouterr())

    return run_main


def without_commands(manifests: str) -> str:
    """Replace the command of the worker, which differs from version to version of Airflow."""
    lines: list[str] = []
    in_args = False
    for line in manifests.splitlines(keepends=True):
        if line == "    - args:\n":
            in_args = True
            lines.append("    - args: (the command of the worker)\n")
        elif not (in_args and line.startswith("        - ")):
            in_args = False
            lines.append(line)
    return "".join(lines)


def test_shows_the_pod_that_the_executor_would_create(run: Run, write: Write) -> None:
    """A task with an identity, from its DAG file to the whole pod."""
    ran = run("render", write(HEAD, LOAD))

    assert Ran(ran.status, without_commands(ran.out), ran.err) == (0, LOAD_POD, "")


def test_shows_the_command_with_a_placeholder_for_the_token(run: Run, write: Write) -> None:
    """The worker's command is real; where Airflow 3 passes a token, there is a word instead."""
    path = write(HEAD, LOAD)

    (args,) = [
        container["args"] for container in yaml.safe_load(run("render", path).out)["spec"]["containers"]
    ]

    if IS_AIRFLOW_2:
        run_task = ["airflow", "tasks", "run", "sales", "load", "render", "--local", "--subdir", str(path)]
        assert args == run_task
    else:
        assert args[:4] == ["python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string"]
        workload = yaml.safe_load(args[4])
        assert workload["token"] == "<token>"
        assert workload["dag_rel_path"] == "sales.py"
        assert (workload["ti"]["dag_id"], workload["ti"]["task_id"]) == ("sales", "load")


def test_two_runs_give_the_same_text(run: Run, write: Write) -> None:
    """Names and ids that are random in a cluster are not here, so outputs can be compared."""
    path = write(HEAD, LOAD, TIDY_UP)

    assert run("render", path) == run("render", path)


def test_diff_shows_what_is_added_to_the_stock_pod(run: Run, write: Write) -> None:
    """`diff` compares the stock executor's pod with ours, and says where nothing changes."""
    ran = run("render", write(HEAD, LOAD, TIDY_UP), "--output", "diff")

    assert [line for line in ran.out.splitlines() if line[:1] in "+-"] == [
        "--- stock/sales.load",
        "+++ bound/sales.load",
        "+    iam.cloud.google.com/service-account: etl@acme.iam.gserviceaccount.com",
        f"+    airflow-sa-binding/applied: '{ETL_APPLIED}'",
        "+        - name: GOOGLE_APPLICATION_CREDENTIALS",
        "+          value: /var/run/secrets/gcp/etl-fd6d6038/key.json",
        "+        - name: CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
        "+          value: /var/run/secrets/gcp/etl-fd6d6038/key.json",
        "+        - name: GOOGLE_CLOUD_PROJECT",
        "+          value: acme",
        "+      volumeMounts:",
        "+        - mountPath: /var/run/secrets/gcp/etl-fd6d6038",
        "+          name: gcp-sa-etl-fd6d6038",
        "+          readOnly: true",
        "+  volumes:",
        "+    - name: gcp-sa-etl-fd6d6038",
        "+      secret:",
        "+        defaultMode: 288",
        "+        items:",
        "+          - key: key.json",
        "+            path: key.json",
        "+        secretName: gcp-sa-etl-fd6d6038",
    ]
    assert (ran.status, ran.err) == (0, "sales.tidy_up: nothing changes\n")


def test_a_refusal_is_the_line_that_the_task_would_fail_with(run: Run, write: Write) -> None:
    """A refused task is named on stderr with its reason; the other pods are there all the same."""
    ran = run("render", write(HEAD, PAY, LOAD))

    assert Ran(ran.status, without_commands(ran.out), ran.err) == (1, LOAD_POD, PAY_REFUSAL)


def test_table_of_all_kinds_of_tasks(run: Run, write: Write) -> None:
    """Mapped tasks, tasks in groups, inherited and refused requests are all in the table."""
    path = write(
        HEAD,
        LOAD,
        PAY,
        """\
    @task(executor_config={"gcp-service-account": {"name": "ads@acme.iam.gserviceaccount.com"}})
    def each(x): ...
    each.expand(x=[1, 2, 3])
    @task_group
    def group():
        @task
        def inside(): ...
        inside()
    group()
with DAG(
    "inherits", schedule=None, start_date=datetime(2025, 1, 1),
    default_args={"executor_config": {"gcp-service-account": "etl@acme.iam.gserviceaccount.com"}},
):
    @task
    def heir(): ...
    heir()
""",
    )

    ran = run("render", path, "--output", "table")

    etl = "etl@acme.iam.gserviceaccount.com base key gcp-sa-etl-fd6d6038 /var/run/secrets/gcp/etl-fd6d6038"
    ads = "ads@acme.iam.gserviceaccount.com base key gcp-sa-ads-a2a90470 /var/run/secrets/gcp/ads-a2a90470"
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert [line for line in lines if not line.startswith("─")] == [
        "DAG TASK IDENTITY CONTAINERS DELIVERY SECRET MOUNT PATH",
        f"inherits heir {etl}",
        f"sales load {etl}",
        "sales pay refused - - - -",
        f"sales each {ads}",
        "sales group.inside - - - - -",
    ]
    assert (ran.status, ran.err) == (1, PAY_REFUSAL)


@pytest.mark.parametrize(("index", "shown"), [((), "0"), (("--map-index", "2"), "2")])
def test_a_mapped_task_is_shown_by_one_instance(
    index: tuple[str, ...], shown: str, run: Run, write: Write
) -> None:
    """Of a mapped task one pod is shown, the first unless another is asked for."""
    path = write(HEAD, "    @task\n    def each(x): ...\n    each.expand(x=[1, 2, 3])\n")

    pod = yaml.safe_load(run("render", path, *index).out)

    assert pod["metadata"]["annotations"]["map_index"] == shown
    assert pod["metadata"]["labels"]["map_index"] == shown


def test_a_forged_override_is_refused(run: Run, write: Write) -> None:
    """What is only found out when the pod is complete is refused in the same way."""
    override = 'k8s.V1Pod(metadata=k8s.V1ObjectMeta(annotations={"dag_id": "other"}))'
    path = write(
        HEAD, f'    @task(executor_config={{"pod_override": {override}}})\n    def f(): ...\n    f()\n'
    )

    assert run("render", path) == (
        1,
        "",
        (
            "sales.f: pod_override.metadata.annotations[\"dag_id\"]: says whose pod this is, got 'other'; "
            "drop it: the executor sets it\n"
        ),
    )


def test_a_dag_and_a_task_can_be_chosen(run: Run, write: Write) -> None:
    """`--dag-id` and `--task-id` leave out everything else."""
    path = write(HEAD, LOAD, TIDY_UP)

    pod = yaml.safe_load(run("render", path, "--dag-id", "sales", "--task-id", "tidy_up").out)

    assert pod["metadata"]["annotations"]["task_id"] == "tidy_up"


def test_an_unknown_task_is_wrong_usage(run: Run, write: Write) -> None:
    """A task that there is not: the nearest one is suggested."""
    path = write(HEAD, LOAD, TIDY_UP)

    assert run("render", path, "--task-id", "laod") == (
        2,
        "",
        f"error: --task-id: {path} has no task 'laod'; did you mean 'load'?\n",
    )


def test_an_unknown_dag_is_wrong_usage(run: Run, write: Write) -> None:
    """A DAG that there is not: those that there are are named."""
    path = write(HEAD, LOAD)

    assert run("render", path, "--dag-id", "zzz") == (
        2,
        "",
        f"error: --dag-id: {path} has no DAG 'zzz'; it has sales\n",
    )


def test_a_missing_file_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    """There is no such file."""
    path = tmp_path / "nothing.py"

    assert run("render", path) == (2, "", f"error: DAG_FILE: does not exist, got {str(path)!r}\n")


def test_a_folder_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    """A folder is not a DAG file."""
    assert run("render", tmp_path) == (2, "", f"error: DAG_FILE: is a folder, got {str(tmp_path)!r}\n")


def test_a_file_that_cannot_be_imported_is_refused(run: Run, write: Write) -> None:
    """The author's mistake is shown in one line with the place, not as a traceback."""
    path = write("from airflow.providers.common.compat.sdk import DAG\n\n1 / 0\n")

    assert run("render", path) == (
        1,
        "",
        f"error: {path}: cannot be imported: ZeroDivisionError: division by zero (line 3); mend the file\n",
    )


def test_a_file_without_a_dag_says_so(run: Run, write: Write) -> None:
    """Nothing found is a problem, not an empty success."""
    path = write("x = 1\n")

    assert run("render", path) == (
        1,
        "",
        f"error: {path}: holds no DAG with tasks; name the file that defines the DAG\n",
    )


def test_a_task_on_another_executor_is_left_out(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only our executor's pods are shown; the others are named."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", f"{OURS},LocalExecutor")
    monkeypatch.setenv("_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK", "1")
    reload_executors(monkeypatch)
    path = write(HEAD, LOAD, '    @task(executor="LocalExecutor")\n    def local(): ...\n    local()\n')

    ran = run("render", path)

    assert (ran.status, without_commands(ran.out), ran.err) == (
        0,
        LOAD_POD,
        "sales.local: left out: it runs on the executor LocalExecutor\n",
    )


def test_another_default_executor_is_pointed_out(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another executor configured no task would get an identity, so that is said."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    monkeypatch.setenv("_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK", "1")
    reload_executors(monkeypatch)

    assert run("render", write(HEAD, LOAD)).err == (
        "note: [core] executor is airflow.executors.local_executor.LocalExecutor; shown is what "
        "airflow_sa_binding.executor.ServiceAccountKubernetesExecutor would create\n"
    )


def reload_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Airflow read `[core] executor` again, which it does once per process."""
    from airflow.executors import executor_loader

    for name, value in vars(executor_loader).items():
        if name.startswith("_") and isinstance(value, (dict, list)) and not name.startswith("__"):
            empty = value.copy()
            empty.clear()
            monkeypatch.setattr(executor_loader, name, empty)


def test_problems_of_the_configuration_are_shown(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad entry is a warning, once, however many tasks there are."""
    monkeypatch.setenv("AIRFLOW__KUBERNETES__GCP_SERVICE_ACCOUNTS", "nonsense")

    assert run("render", write(HEAD, TIDY_UP)).err == (
        "warning: [kubernetes] gcp_service_accounts, entry 1: has no '=', got 'nonsense'; write name=path; "
        "if a path holds a comma, rename the file or list the account in the bindings file with keyFile\n"
    )


def test_a_key_that_cannot_be_had_is_a_warning(run: Run, write: Write, tmp_path: Path) -> None:
    """Key files are where the scheduler runs; elsewhere the pod is shown all the same, without the project."""
    (tmp_path / "etl.json").unlink()

    ran = run("render", write(HEAD, LOAD, TIDY_UP))

    assert "GOOGLE_CLOUD_PROJECT" not in ran.out
    assert (ran.status, ran.err) == (
        0,
        (
            f"warning: key file {tmp_path}/etl.json of etl@acme.iam.gserviceaccount.com: does not exist; "
            "put it there or correct the path\n"
        ),
    )


def test_a_missing_template_is_a_warning(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow goes on from an empty pod, which nobody wants."""
    monkeypatch.setenv("AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE", "/nowhere/template.yaml")

    assert run("render", write(HEAD, TIDY_UP)).err == (
        "warning: pod_template_file: does not exist, got '/nowhere/template.yaml'; "
        "these pods start from an empty one\n"
    )


def test_what_a_dag_file_prints_is_not_data(run: Run, write: Write) -> None:
    """Text that a DAG file prints, in whatever way, does not get among the manifests."""
    noise = 'import os, sys\nprint("noise")\nsys.stdout.write("noise")\nos.system("echo noise")\n'

    ran = run("render", write(noise, HEAD, TIDY_UP))

    assert "noise" not in ran.out + ran.err
    assert ran.out.startswith("# sales.tidy_up\napiVersion: v1\n")


def test_verbose_shows_what_a_dag_file_prints(run: Run, write: Write) -> None:
    """`--verbose` puts it on stderr."""
    ran = run("render", write('print("noise")\n', HEAD, TIDY_UP), "--verbose")

    assert "noise\n" in ran.err
    assert "noise" not in ran.out


def test_an_operators_pod_is_shown_too(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pod that KubernetesPodOperator starts follows the task's own, bound by the hook."""
    with_hook(monkeypatch)
    path = write(
        HEAD,
        """\
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
    KubernetesPodOperator(
        task_id="start", image="busybox", arguments=["{{ ds }}"], do_xcom_push=True,
        annotations={"iam.cloud.google.com/service-account": "etl@acme.iam.gserviceaccount.com"},
    )
    KubernetesPodOperator(
        task_id="wrong", image="busybox",
        annotations={"iam.cloud.google.com/service-account": "payroll@hr.iam.gserviceaccount.com"},
    )
    KubernetesPodOperator.partial(task_id="each", image="busybox").expand(arguments=[["a"], ["b"]])
""",
    )

    ran = run("render", path)

    task, started, wrong, each = yaml.safe_load_all(ran.out)
    assert task["metadata"]["annotations"]["task_id"] == "start"
    assert wrong["metadata"]["annotations"]["task_id"] == "wrong"
    assert each["metadata"]["annotations"]["task_id"] == "each"
    assert started["metadata"]["namespace"] == "tasks"
    base, sidecar = started["spec"]["containers"]
    assert base["args"] == ["{{ ds }}"]
    assert base["env"] == [
        {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/var/run/secrets/gcp/etl-fd6d6038/key.json"},
        {
            "name": "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
            "value": "/var/run/secrets/gcp/etl-fd6d6038/key.json",
        },
    ]
    assert "env" not in sidecar
    assert (ran.status, ran.err) == (
        1,
        (
            "sales.each: the pod that the operator starts depends on what it is mapped over: not shown\n"
            'sales.wrong (operator\'s pod): metadata.annotations["iam.cloud.google.com/service-account"]: '
            "account is not listed in [kubernetes] gcp_service_accounts, got 'payroll@hr.iam.gserviceaccount.com'; "
            "ask your platform engineer to list it\n"
        ),
    )


def with_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the hook as `airflow_local_settings.py` would."""
    from airflow.providers.cncf.kubernetes.operators import pod

    from airflow_sa_binding.hook import pod_mutation_hook

    monkeypatch.setattr(pod, "pod_mutation_hook", pod_mutation_hook)


def test_an_operators_pod_without_the_hook_is_refused(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing would bind the pod, that is said: it would run without the identity."""
    from airflow.providers.cncf.kubernetes.operators import pod as operators

    monkeypatch.setattr(operators, "pod_mutation_hook", lambda _pod: None)
    path = write(
        HEAD,
        """\
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
    KubernetesPodOperator(
        task_id="start", image="busybox",
        annotations={"iam.cloud.google.com/service-account": "etl@acme.iam.gserviceaccount.com"},
    )
""",
    )

    ran = run("render", path)

    assert (ran.status, ran.err) == (
        1,
        (
            'sales.start (operator\'s pod): metadata.annotations["iam.cloud.google.com/service-account"]: asks for an '
            "identity, but no pod_mutation_hook binds it here; install airflow-sa-binding, or import its hook in "
            "airflow_local_settings.py\n"
        ),
    )


POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: one
  creationTimestamp: 2025-01-01T00:00:00Z
  annotations:
    iam.cloud.google.com/service-account: etl@acme.iam.gserviceaccount.com
spec:
  fieldOfTomorrow:
    a: 1
  containers:
    - name: base
      image: x
      fieldOfTomorrow: true
      resources:
        limits:
          cpu: 1
    - name: other
      image: y
"""
BOUND_POD = f"""\
# stdin
apiVersion: v1
kind: Pod
metadata:
  name: one
  creationTimestamp: '2025-01-01T00:00:00Z'
  annotations:
    iam.cloud.google.com/service-account: etl@acme.iam.gserviceaccount.com
    airflow-sa-binding/applied: '{ETL_APPLIED}'
spec:
  fieldOfTomorrow:
    a: 1
  containers:
    - name: base
      image: x
      fieldOfTomorrow: true
      resources:
        limits:
          cpu: 1
      env:
        - name: GOOGLE_APPLICATION_CREDENTIALS
          value: /var/run/secrets/gcp/etl-fd6d6038/key.json
        - name: CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE
          value: /var/run/secrets/gcp/etl-fd6d6038/key.json
      volumeMounts:
        - mountPath: /var/run/secrets/gcp/etl-fd6d6038
          name: gcp-sa-etl-fd6d6038
          readOnly: true
    - name: other
      image: y
  volumes:
    - name: gcp-sa-etl-fd6d6038
      secret:
        defaultMode: 288
        items:
          - key: key.json
            path: key.json
        secretName: gcp-sa-etl-fd6d6038
"""


@pytest.fixture
def render_stdin(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Give a function that runs `render --pod -` on a text."""

    def render(text: str | bytes, *arguments: str) -> Ran:
        content = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return run("render", "--pod", "-", *arguments)

    return render


def test_pod_shows_what_the_hook_makes_of_it(render_stdin: Callable[..., Ran]) -> None:
    """The pod's own fields stay as they are written, also those that the client does not know."""
    assert render_stdin(POD) == (0, BOUND_POD, "")


def test_pod_bound_again_is_the_same(render_stdin: Callable[..., Ran]) -> None:
    """What was rendered can be rendered again."""
    assert render_stdin(BOUND_POD) == (0, BOUND_POD, "")


def test_pods_of_several_documents_and_lists(render_stdin: Callable[..., Ran]) -> None:
    """Every pod of every document is shown, those of lists too; empty documents are passed over."""
    bare = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: d}]}}"

    ran = render_stdin(
        f"---\n{bare}\n---\n---\nkind: List\nitems:\n- {bare}\n- {bare}\n", "--output", "table"
    )

    assert [line.split("   ")[0] for line in ran.out.splitlines()[2:]] == [
        "stdin, document 1",
        "stdin, document 2, item 1",
        "stdin, document 2, item 2",
    ]
    assert (ran.status, ran.err) == (0, "")


def test_a_refused_pod_leaves_the_others(render_stdin: Callable[..., Ran]) -> None:
    """One document is refused, the other is shown."""
    refused = POD.replace("etl@", "payroll@")

    ran = render_stdin(f"{refused}---\n{POD}")

    assert (ran.status, ran.out, ran.err) == (
        1,
        BOUND_POD.replace("# stdin\n", "# stdin, document 2\n"),
        (
            'stdin, document 1: metadata.annotations["iam.cloud.google.com/service-account"]: account is not listed in '
            "[kubernetes] gcp_service_accounts, got 'payroll@acme.iam.gserviceaccount.com'; "
            "ask your platform engineer to list it\n"
        ),
    )


REMEDY = "the hook sees pods: give manifests of kind Pod, or a List of them"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"stdin: is empty; {REMEDY}"),
        ("---\n---\n# nothing\n", f"stdin: is empty; {REMEDY}"),
        ("words", f"stdin: must be a manifest, got 'words'; {REMEDY}"),
        ("kind: Deployment", f"stdin: kind: must be Pod, got 'Deployment'; {REMEDY}"),
        ("metadata: {}", f"stdin: kind: must be Pod, got None; {REMEDY}"),
        ("kind: List\nitems: []", f"stdin: items: must be a list of pods, got list; {REMEDY}"),
        ("kind: Pod", "stdin: metadata: must be a mapping, got None; add it"),
        ("kind: Pod\nmetadata: {}\nspec: 1", "stdin: spec: must be a mapping, got 1; add it"),
        (
            "kind: Pod\nmetadata: {}\nspec: {containers: [{image: x}]}",
            "stdin: is not a whole pod: Invalid value for `name`, must not be `None`; mend the manifest",
        ),
        (
            "a: b: c",
            "stdin: is not YAML: mapping values are not allowed in this context (line 1, column 5); mend it",
        ),
        ("kind: Pod\nkind: Pod", "stdin: key 'kind' of line 1 comes again in line 2; keep one of the two"),
        (b"\xff\xfe\xfa", "stdin: is not UTF-8 (byte 0); save it as UTF-8"),
        (
            "a0: &a0 {x: 1}\n"
            + "\n".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40)),
            ("stdin: comes to more than 100000 values with its aliases expanded; write it without aliases"),
        ),
        (b"#" * 1048577, "stdin: is longer than 1048576 bytes; give fewer pods at a time"),
    ],
)
def test_what_is_not_a_pod_is_refused(
    text: str | bytes, message: str, render_stdin: Callable[..., Ran]
) -> None:
    """Other manifests, broken ones and none at all are refused in one line."""
    assert render_stdin(text) == (1, "", f"error: {message}\n")


def test_a_pod_file_that_is_missing_is_wrong_usage(run: Run) -> None:
    """There is no such file."""
    assert run("render", "--pod", "/nowhere.yaml") == (
        2,
        "",
        "error: --pod: No such file or directory, got '/nowhere.yaml'\n",
    )


def test_needs_no_database_and_leaves_none(write: Write, tmp_path: Path) -> None:
    """With an empty AIRFLOW_HOME and a database that cannot be reached, everything is there all the same."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/airflow.db",
    }
    command = [sys.executable, "-m", "airflow_sa_binding.cli.main", "render", str(write(HEAD, LOAD))]

    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (ran.returncode, without_commands(ran.stdout), ran.stderr) == (0, LOAD_POD, "")


@pytest.mark.cluster
def test_the_api_server_takes_what_is_rendered(
    run: Run, write: Write, control_plane: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output of several tasks can be piped into kubectl."""
    monkeypatch.setenv("AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE", namespace)
    manifests = run("render", write(HEAD, LOAD, TIDY_UP)).out

    created = control_plane.kubectl("create", "--dry-run=server", "-f", "-", input=manifests).stdout

    assert [line.partition("-")[0] for line in created.splitlines()] == ["pod/sales", "pod/sales"]
    assert created.count(" created (server dry run)\n") == 2
