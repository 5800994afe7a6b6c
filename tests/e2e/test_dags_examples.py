"""A real scheduler, real task pods, and `google.auth` inside each: every example does what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest
import yaml
from kubernetes.client import V1Pod

from tests.cluster.cluster import Cluster
from tests.cluster.pods import read_log
from tests.e2e.conftest import DAGS, EXAMPLES
from tests.e2e.installation import EXECUTOR, Installation, new_installation
from tests.keys import ADS, ETL, write_key

pytestmark = [pytest.mark.cluster, pytest.mark.node, pytest.mark.e2e]

HOSTILE_DAGS = ("hostile_set", "hostile_lambda", "hostile_large")
EXAMPLE_DAGS = ("plain", "not_listed", "mapped", "per_container", "pod_override", "kubernetes_pod_operator")


@pytest.fixture(scope="module")
def namespaces(new_namespace: Callable[[], str]) -> tuple[str, str]:
    """Give the executor's namespace and a second one."""
    return new_namespace(), new_namespace()


@pytest.fixture(scope="module")
def airflow(
    cluster: Cluster, namespaces: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Give an Airflow in which all DAGs run."""
    folder = tmp_path_factory.mktemp("airflow")
    dags = folder / "dags"
    dags.mkdir()
    (dags / "second_namespace.txt").write_text(namespaces[1])
    template = yaml.safe_load((EXAMPLES / "pod_template.yaml").read_text())
    template["metadata"]["labels"] = {"template": "own"}
    (dags / "own_template.yaml").write_text(yaml.safe_dump(template))
    write_key(folder / "etl.json", ETL)
    write_key(folder / "ads.json", ADS)
    sections = {
        "core": {"executor": EXECUTOR, "parallelism": "4"},
        "kubernetes": {"gcp_service_accounts": f"{ETL}={folder}/etl.json,{ADS}={folder}/ads.json"},
        "kubernetes_executor": {
            "namespace": namespaces[0],
            "pod_template_file": str(EXAMPLES / "pod_template.yaml"),
            "multi_namespace_mode": "True",
            "multi_namespace_mode_namespace_list": ",".join(namespaces),
        },
        "sa_binding": {"sync_interval_seconds": "5"},
    }
    files = [
        *EXAMPLES.glob("*.py"),
        EXAMPLES / "pod_template.yaml",
        DAGS / "identities.py",
        DAGS / "hostile.py",
        *dags.iterdir(),
    ]
    place = folder / "installation"
    place.mkdir()
    with new_installation(place, cluster, dags=files, sections=sections) as installation:
        installation.start()
        installation.trigger(*HOSTILE_DAGS, *EXAMPLE_DAGS, "identities")
        yield installation


@pytest.fixture
def pods(cluster: Cluster, namespaces: tuple[str, str]) -> Callable[[str, str], list[V1Pod]]:
    """Give a function that returns the pods of a task, the oldest first."""

    def find(dag_id: str, task_id: str) -> list[V1Pod]:
        selector = f"dag_id={dag_id},task_id={task_id},kubernetes_executor=True"
        lists = [cluster.core().list_namespaced_pod(one, label_selector=selector).items for one in namespaces]
        return sorted(
            (pod for pods in lists for pod in pods), key=lambda pod: pod.metadata.creation_timestamp
        )

    return find


@pytest.fixture
def said(cluster: Cluster) -> Callable[..., set[str]]:
    """Give a function that returns which accounts a container printed."""

    def read(pod: V1Pod, container: str = "base") -> set[str]:
        log = read_log(cluster.core(), pod.metadata.namespace, pod.metadata.name, container=container)
        return set(re.findall(r"account: ([^\s\"\\]+)", log))

    return read


Pods = Callable[[str, str], list[V1Pod]]
Said = Callable[..., set[str]]


def applied(pod: V1Pod) -> list[tuple[str, list[str]]]:
    """Return the accounts and containers that a pod says it was given."""
    record = json.loads(pod.metadata.annotations["airflow-sa-binding/applied"])
    return [(one["gcpServiceAccount"], one["containers"]) for one in record["bindings"]]


def test_each_task_of_the_plain_example_is_the_account_that_it_asks_for(
    airflow: Installation, pods: Pods
) -> None:
    """Two tasks find the accounts of their requests, and the third finds none."""
    state = airflow.wait_for_run("plain")

    assert (state, airflow.metadata.states("plain")) == (
        "success",
        {"load": "success", "report": "success", "tidy_up": "success"},
    )
    (load,), (report,), (tidy_up,) = pods("plain", "load"), pods("plain", "report"), pods("plain", "tidy_up")
    assert (applied(load), applied(report)) == ([(ETL, ["base"])], [(ADS, ["base"])])
    assert not [name for name in tidy_up.metadata.annotations if "sa-binding" in name]


def test_a_task_that_asks_for_an_unlisted_account_fails_with_the_reason_in_the_audit_log(
    airflow: Installation, pods: Pods
) -> None:
    """The scheduler goes on, no pod is created, and Airflow's own page of the task's events says why."""
    state = airflow.wait_for_run("not_listed")

    assert (state, airflow.metadata.states("not_listed")) == ("failed", {"pay": "failed"})
    (reason,) = airflow.metadata.audit("not_listed", "pay")
    assert reason.partition("Extra info: ")[2] == (
        'executor_config["gcp-service-account"]: account is not listed in [kubernetes] gcp_service_accounts, '
        "got 'payroll@hr-prod.iam.gserviceaccount.com'; ask your platform engineer to list it"
    )
    assert pods("not_listed", "pay") == []


def test_mapped_tasks_inherit_an_account_from_default_args(airflow: Installation, pods: Pods) -> None:
    """Every mapped task is the account of `default_args`; the task that asks itself is its own."""
    state = airflow.wait_for_run("mapped")

    assert (state, airflow.metadata.states("mapped")) == (
        "success",
        {"load[0]": "success", "load[1]": "success", "load[2]": "success", "report": "success"},
    )
    assert [applied(pod) for pod in pods("mapped", "load")] == [[(ETL, ["base"])]] * 3
    assert [applied(pod) for pod in pods("mapped", "report")] == [[(ADS, ["base"])]]


def test_two_containers_of_a_pod_are_two_accounts(airflow: Installation, pods: Pods) -> None:
    """Each container sees its own account's key, and the other's is not mounted in it."""
    state = airflow.wait_for_run("per_container")

    assert (state, airflow.metadata.states("per_container")) == ("success", {"load": "success"})
    (pod,) = pods("per_container", "load")
    keys = {
        container.name: [one.name for one in container.volume_mounts if one.name.startswith("gcp-sa-")]
        for container in pod.spec.containers
    }
    assert keys == {"base": ["gcp-sa-etl-fd6d6038"], "uploader": ["gcp-sa-ads-a2a90470"]}


def test_an_account_goes_together_with_a_pod_override(airflow: Installation, pods: Pods) -> None:
    """What the override says of other things holds as well."""
    state = airflow.wait_for_run("pod_override")

    assert (state, airflow.metadata.states("pod_override")) == ("success", {"load": "success"})
    (pod,) = pods("pod_override", "load")
    assert (applied(pod), pod.metadata.labels["size"]) == ([(ETL, ["base"])], "large")
    assert pod.spec.containers[0].resources.requests == {"memory": "256Mi"}


def test_a_pod_that_an_operator_starts_is_the_account_of_its_annotation(
    airflow: Installation, cluster: Cluster, namespaces: tuple[str, str], pods: Pods
) -> None:
    """The second pod has the account, the task's own pod has none."""
    state = airflow.wait_for_run("kubernetes_pod_operator")

    (own,) = pods("kubernetes_pod_operator", "load")
    assert state == "success", read_log(cluster.core(), namespaces[0], own.metadata.name, container="base")
    log = read_log(cluster.core(), namespaces[0], own.metadata.name, container="base")
    assert f"this pod is {ETL}" in log
    assert not [name for name in own.metadata.annotations if "sa-binding" in name]
    assert not [volume.name for volume in own.spec.volumes if volume.name.startswith("gcp-sa-")]


def test_a_retried_task_is_the_same_account_again(airflow: Installation, pods: Pods, said: Said) -> None:
    """Both tries, in two pods from the task's own template, are the account."""
    airflow.wait_for_run("identities")

    first, second = pods("identities", "fails_once")
    assert airflow.metadata.states("identities")["fails_once"] == "success"
    assert (said(first), said(second)) == ({ETL}, {ETL})
    assert (first.metadata.labels["template"], second.metadata.labels["template"]) == ("own", "own")


def test_other_containers_of_a_pod_have_no_account(
    airflow: Installation, namespaces: tuple[str, str], pods: Pods, said: Said
) -> None:
    """Without `containers` only `base` has the account; here in the second namespace."""
    airflow.wait_for_run("identities")

    (pod,) = pods("identities", "base_only")
    assert pod.metadata.namespace == namespaces[1]
    found = {name: said(pod, name) for name in ("base", "sidecar", "setup")}
    assert found == {"base": {ETL}, "sidecar": {"none"}, "setup": {"none"}}


def test_a_star_gives_an_account_to_every_container(airflow: Installation, pods: Pods, said: Said) -> None:
    """Init containers included."""
    airflow.wait_for_run("identities")

    (pod,) = pods("identities", "every_container")
    found = {name: said(pod, name) for name in ("base", "sidecar", "setup")}
    assert found == {"base": {ADS}, "sidecar": {ADS}, "setup": {ADS}}


def test_values_that_cannot_be_used_fail_their_tasks_and_nothing_else(airflow: Installation) -> None:
    """A set, a lambda (which Airflow turns into its source) and ten megabytes go through a whole Airflow."""
    for dag_id in HOSTILE_DAGS:
        airflow.wait_for_run(dag_id)

    where = 'Extra info: executor_config["gcp-service-account"]: '
    reasons = {
        dag_id: [reason.partition(where)[2] for reason in airflow.metadata.audit(dag_id, "never_runs")]
        for dag_id in HOSTILE_DAGS
    }
    assert reasons == {
        "hostile_set": [
            (
                "must be an account's name, a dict with name and containers, or a list of these, got set; "
                'write "etl@project.iam.gserviceaccount.com"'
            )
        ],
        "hostile_lambda": [
            (
                'is not a service account\'s email address, got \'    "lambda": {"gcp-service-account": lambda: '
                "ETL},\\n'; write it like etl@project.iam.gserviceaccount.com"
            )
        ],
        "hostile_large": [
            (
                "is not a service account's email address, got 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'... "
                "(10485760 characters); write it like etl@project.iam.gserviceaccount.com"
            )
        ],
    }


def test_task_pods_read_their_key_as_airflows_user(airflow: Installation, pods: Pods) -> None:
    """The key is for user and group only, and the task that read it was user 50000, not root."""
    airflow.wait_for_run("plain")

    (pod,) = pods("plain", "load")
    (volume,) = [one for one in pod.spec.volumes if one.name.startswith("gcp-sa-")]
    assert (volume.secret.default_mode, pod.spec.security_context.run_as_user) == (0o440, 50000)


def test_no_key_is_in_any_log_or_in_the_metadata_database(airflow: Installation) -> None:
    """Key files are read by the scheduler and go to Secrets, nowhere else."""
    for dag_id in (*EXAMPLE_DAGS, "identities"):
        airflow.wait_for_run(dag_id)

    key = json.loads((airflow.folder.parent / "etl.json").read_text())["private_key"]
    secret = key.splitlines()[5].encode()
    files = [path for path in airflow.folder.rglob("*") if path.is_file()]
    assert [str(path) for path in files if secret in path.read_bytes()] == []
