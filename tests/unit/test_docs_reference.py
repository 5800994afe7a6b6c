"""The tables and messages of the documentation are those of the code: neither can change alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import models as k8s

from airflow_sa_binding.binding import names
from airflow_sa_binding.binding.decide import bind_task_pod
from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.forgery import Task
from airflow_sa_binding.cli.commands import COMMANDS
from airflow_sa_binding.cluster.answers import ApiRefusal, ApiUnavailable
from airflow_sa_binding.cluster.explain import explain_list, explain_write
from airflow_sa_binding.cluster.manifests import ObservedSecret
from airflow_sa_binding.cluster.plan import Action, Wanted, plan_one
from airflow_sa_binding.config.bindings_file import parse_bindings_file
from airflow_sa_binding.config.load import load_configuration, load_keys
from airflow_sa_binding.parse_time import build_refusal
from airflow_sa_binding.provider_info import get_provider_info
from tests.keys import ADS, ETL, key_json
from tests.markdown import ROOT, blocks, tables

TASK = Task(dag_id="sales", task_id="load", run_id="manual", try_number=1, map_index=-1)


class Conf:
    """Airflow's configuration, with nothing in it but the given options."""

    def __init__(self, options: dict[tuple[str, str], str]) -> None:
        self._options = options

    def get(self, section: str, key: str, *, fallback: str | None = None) -> str | None:
        """Return the text of an option."""
        return self._options.get((section, key), fallback)


def first_cells(page: str, number: int) -> list[str]:
    """Return the first column of a page's table, without the marks of code."""
    return [row[0].replace("`", "") for row in tables(page)[number]]


@pytest.mark.parametrize(("section", "number"), [("kubernetes", 0), ("sa_binding", 1)])
def test_options_are_those_of_the_provider(section: str, number: int) -> None:
    """Names, types and defaults are the same as `airflow config list` shows."""
    options = get_provider_info()["config"][section]["options"]

    documented = [row[:3] for row in tables("docs/reference/configuration.md")[number]]

    assert documented == [
        [f"`{name}`", option["type"], f"`{option['default']}`" if option["default"] else ""]
        for name, option in options.items()
    ]


def test_fields_of_the_bindings_file_are_those_that_it_accepts() -> None:
    """The message about an unknown field lists the same fields, in the same order."""
    content = b"gcpServiceAccounts: {etl@acme.iam.gserviceaccount.com: {zzz: 1}}"
    (problem,) = parse_bindings_file(content, "b.yaml").unusable.values()

    fields = first_cells("docs/reference/bindings-file.md", 0)

    assert problem.remedy == f"the fields are {', '.join(fields)}"


def test_annotations_are_those_of_the_code() -> None:
    """The three annotations on pods are named as the code names them."""
    assert first_cells("docs/reference/annotations.md", 0) == [
        names.SERVICE_ACCOUNT_ANNOTATION,
        names.CONTAINERS_ANNOTATION,
        names.APPLIED_ANNOTATION,
    ]


def test_parts_of_a_pod_are_those_of_the_code() -> None:
    """Names of volume, variables and mount follow the code, for an account as the page writes it."""
    identity = "<id>"
    rows = dict(row[:2] for row in tables("docs/reference/pods-and-secrets.md")[0])

    assert rows["volume"].startswith(f"`{names.secret_name(ETL).replace('etl-fd6d6038', identity)}`")
    assert rows["mount"].startswith(f"`{names.mount_path(ETL).replace('etl-fd6d6038', identity)}`")
    assert [name for name in rows if name.startswith("`")] == [
        f"`{names.CREDENTIALS_VARIABLE}`",
        f"`{names.GCLOUD_CREDENTIALS_VARIABLE}`",
        f"`{names.PROJECT_VARIABLE}`",
    ]


def test_results_of_a_round_are_those_of_the_code() -> None:
    """Every action that `sync` can report is explained."""
    assert first_cells("docs/reference/pods-and-secrets.md", 1) == [action.value for action in Action]


def test_log_lines_and_metrics_are_those_of_the_code() -> None:
    """Every word that a log line begins with, and every counter, is in one of the two tables."""
    package = "".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "airflow_sa_binding").rglob("*.py"))
    )
    written = set(re.findall(r"[\"'](sa_binding\.[a-z_.]+)", package))

    page = "docs/reference/logs-and-metrics.md"

    assert {*first_cells(page, 0), *first_cells(page, 1)} == written


def test_commands_are_those_of_the_parser() -> None:
    """Each argument of each command has a row with the words of `--help`."""
    documented = tables("docs/reference/command-line.md")[1:]

    assert documented == [
        [[_describe(option.flags, option.settings.get("metavar")), option.help] for option in command.options]
        for command in COMMANDS
    ]


def test_supported_versions_are_those_that_are_tested() -> None:
    """README, noxfile and pyproject say the same of Airflow, its provider and Python."""
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (airflows,) = re.findall(r"^AIRFLOWS = \((.+)\)$", noxfile, re.MULTILINE)
    (provider,) = re.findall(r"cncf-kubernetes>=([0-9]+\.[0-9]+)", project)
    pythons = re.findall(r"Python :: (3\.\d+)", project)

    assert tables("README.md")[1] == [
        ["Airflow", airflows.replace('"', "")],
        ["Kubernetes provider", f"{provider} or newer"],
        ["Python", f"{pythons[0]} to {pythons[-1]}"],
    ]


def test_messages_of_the_troubleshooting_page_are_those_of_the_code(tmp_path: Path) -> None:
    """Each message is what the code says when just that is wrong; the page has no others."""
    documented = [
        block.content.rstrip("\n") for block in blocks("text") if block.page == "docs/how-to/troubleshoot.md"
    ]

    assert documented == [*_what_authors_are_told(), *_what_engineers_are_told(tmp_path), *_of_the_cluster()]


def _describe(flags: tuple[str, ...], metavar: str | None) -> str:
    if not flags[0].startswith("-"):
        return f"`{metavar}`"
    *short, last = flags
    return ", ".join(f"`{flag}`" for flag in (*short, f"{last} {metavar}" if metavar else last))


def _what_authors_are_told() -> list[str]:
    etl = {"gcp-service-account": ETL}
    elsewhere = k8s.V1Pod(metadata=k8s.V1ObjectMeta(namespace="kube-system"))
    forged = k8s.V1Pod(metadata=k8s.V1ObjectMeta(labels={"dag_id": "payroll"}))
    key = k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value="/secrets/etl/key.json")
    hiding = k8s.V1VolumeMount(name="other", mount_path="/var/run/secrets")
    direct = _override()
    direct.spec.volumes = [
        k8s.V1Volume(name="key", secret=k8s.V1SecretVolumeSource(secret_name="gcp-sa-etl-fd6d6038"))
    ]
    return [
        _refusal({"gcp-service-account": "payroll@hr-prod.iam.gserviceaccount.com"}),
        _refusal({"gcp_service_account": ETL}),
        _refusal({"gcp-service-account": {"name": ETL, "containers": ["uploader"]}}),
        _refusal(etl, _override(env=[key])),
        _refusal(etl, _override(volume_mounts=[hiding])),
        _refusal({}, direct),
        _refusal(etl, elsewhere),
        str(build_refusal("sales.load", "airflow.executors.local_executor.LocalExecutor")),
        _refusal(etl, forged),
    ]


def _what_engineers_are_told(folder: Path) -> list[str]:
    cut = key_json(ETL)[:400]
    person = json.dumps({"type": "authorized_user"})
    twice = f"{ETL}=/opt/airflow/sa/etl.json,{ETL}=/opt/airflow/sa/new.json"
    bindings = folder / "sa_bindings.yaml"
    bindings.write_text(
        f"gcpServiceAccounts:\n  {ETL}:\n    keyfile: /opt/airflow/sa/etl.json\n", encoding="utf-8"
    )
    problem = _problem({("sa_binding", "bindings_file"): str(bindings)})
    return [
        *(_key_problem(folder, content) for content in (None, cut, key_json(ADS), person)),
        _problem({("kubernetes", "gcp_service_accounts"): twice}),
        _problem({("kubernetes", "gcp_service_accounts"): f"{ETL}=sa/etl.json"}),
        problem.replace(str(folder), "/opt/airflow/config"),
    ]


def _of_the_cluster() -> list[str]:
    forbidden = (
        'secrets is forbidden: User "system:serviceaccount:airflow:airflow-scheduler" cannot list resource '
        '"secrets" in API group "" in the namespace "airflow"'
    )
    missing = {"reason": "NotFound", "message": 'namespaces "reporting" not found'}
    foreign = ObservedSecret(
        name="gcp-sa-etl-fd6d6038",
        uid="1",
        resource_version="1",
        is_managed=False,
        account=None,
        content_sha256=None,
        is_intact=False,
    )
    left_alone: Any = plan_one(Wanted(account=ETL), foreign, namespace="airflow")
    return [
        explain_list("airflow", ApiRefusal(403, {"reason": "Forbidden", "message": forbidden}), prune=False),
        explain_write("reporting", ETL, ApiRefusal(404, missing), prune=False),
        left_alone.message,
        str(ApiUnavailable("https://10.0.0.1:443", "cannot be reached (Connection refused)")),
    ]


def _override(**fields: Any) -> k8s.V1Pod:
    return k8s.V1Pod(spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base", **fields)]))


def _refusal(executor_config: object, override: k8s.V1Pod | None = None) -> str:
    """Return why a task in namespace `airflow` is refused, with etl and ads listed."""
    options = {
        ("kubernetes", "gcp_service_accounts"): f"{ETL}=/sa/etl.json,{ADS}=/sa/ads.json",
        ("kubernetes_executor", "namespace"): "airflow",
    }
    spec = override.spec if override and override.spec else _override().spec
    pod = k8s.V1Pod(metadata=k8s.V1ObjectMeta(name="load", namespace="airflow"), spec=spec)
    settings = load_configuration(Conf(options)).settings
    return _message(
        lambda: bind_task_pod(
            pod, override=override, executor_config=executor_config, task=TASK, settings=settings
        )
    )


def _message(do: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        do()
    return str(refused.value)


def _problem(options: dict[tuple[str, str], str]) -> str:
    (problem,) = load_configuration(Conf(options)).problems
    return str(problem)


def _key_problem(folder: Path, content: str | None) -> str:
    """Return what is wrong with a key file of etl that holds this."""
    file = folder / "etl.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    configuration = load_configuration(Conf({("kubernetes", "gcp_service_accounts"): f"{ETL}={file}"}))
    return load_keys(configuration)[1][ETL].replace(str(folder), "/opt/airflow/sa")
