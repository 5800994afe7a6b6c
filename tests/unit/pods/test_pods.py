"""Golden cases: whole pods, what was asked for, and the whole pods that result.

Each folder beside this file is a case:

- `pod.yaml`: the pod, merged from template and `pod_override`, before it is bound
- `request.yaml`: the task's `executor_config`; without this file the pod is an operator's, and asks with annotations
- `override.yaml`: the author's `pod_override`, where there is one
- `settings.yaml`: the accounts, in the form of the bindings file, and the namespaces of task pods
- `expected.yaml`: the pod that is created, `${VERSION}` being this package's; or `refused.txt`: the message
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from kubernetes.client import models as k8s

import airflow_sa_binding
from airflow_sa_binding.binding.decide import bind_operator_pod, bind_task_pod
from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.forgery import Task
from airflow_sa_binding.binding.identity import DEFAULT_MODE, Identity, KeySecret, Settings
from airflow_sa_binding.hook import pod_mutation_hook

CASES = sorted(folder.parent for folder in Path(__file__).parent.glob("*/pod.yaml"))
TASK = Task(
    dag_id="sales", task_id="load", run_id="manual__2026-01-01T00:00:00+00:00", try_number=1, map_index=-1
)

# Written here and not derived, so that a change of names is seen.
MANAGED_SECRETS = {
    "etl@acme.iam.gserviceaccount.com": "gcp-sa-etl-fd6d6038",
    "ads@acme.iam.gserviceaccount.com": "gcp-sa-ads-a2a90470",
}


@dataclass(frozen=True)
class Case:
    """A folder."""

    folder: Path

    def read(self, name: str) -> Any:
        """Return what one of its files holds, or nothing if there is no such file."""
        path = self.folder / name
        return (
            yaml.safe_load(path.read_text().replace("${VERSION}", airflow_sa_binding.__version__))
            if path.exists()
            else None
        )

    @property
    def is_operators(self) -> bool:
        """Tell whether an operator built the pod."""
        return not (self.folder / "request.yaml").exists()

    def pod(self) -> k8s.V1Pod:
        """Return the pod as the Kubernetes client holds it."""
        return build_pod(self.read("pod.yaml"))

    def settings(self) -> Settings:
        """Return the settings that `settings.yaml` means."""
        written = self.read("settings.yaml")
        identities = {
            name: Identity(
                name=name,
                delivery=KeySecret(
                    secret_name=account.get("secretName", MANAGED_SECRETS[name]),
                    managed="secretName" not in account,
                    default_mode=account.get("defaultMode", DEFAULT_MODE),
                ),
                project=account.get("project"),
            )
            for name, account in written["gcpServiceAccounts"].items()
        }
        return Settings(identities=identities, namespaces=tuple(written.get("namespaces", ["airflow"])))

    def bind(self, pod: k8s.V1Pod) -> k8s.V1Pod:
        """Bind a pod by the entrance that this case is for."""
        if self.is_operators:
            return bind_operator_pod(pod, self.settings()).pod
        override = self.read("override.yaml")
        return bind_task_pod(
            pod,
            override=override and build_pod(override),
            executor_config=self.read("request.yaml"),
            task=TASK,
            settings=self.settings(),
        ).pod


def build_pod(manifest: dict[str, Any]) -> k8s.V1Pod:
    """Return a pod as the Kubernetes client reads it from a manifest."""
    return client.ApiClient()._ApiClient__deserialize_model(manifest, k8s.V1Pod)


def send(pod: k8s.V1Pod) -> dict[str, Any]:
    """Return a pod as the Kubernetes client sends it."""
    sent: dict[str, Any] = client.ApiClient().sanitize_for_serialization(pod)
    return sent


def cases(*, refused: bool | None = None, operators: bool | None = None) -> pytest.MarkDecorator:
    """Parametrise a test with the cases of a kind."""
    chosen = [
        Case(folder)
        for folder in CASES
        if refused in (None, (folder / "refused.txt").exists())
        and operators in (None, Case(folder).is_operators)
    ]
    return pytest.mark.parametrize("case", chosen, ids=[case.folder.name for case in chosen])


@cases()
def test_case_is_complete(case: Case) -> None:
    """A case states exactly one outcome, and its pod survives the client's reading and writing."""
    assert (case.folder / "expected.yaml").exists() != (case.folder / "refused.txt").exists()
    assert send(case.pod()) == case.read("pod.yaml")


@cases(refused=False)
def test_bound_pod(case: Case) -> None:
    """The pod that is created is the expected one, in every field."""
    assert send(case.bind(case.pod())) == case.read("expected.yaml")


@cases(refused=True)
def test_refused_pod(case: Case) -> None:
    """The pod is not created, and the author is told this line."""
    with pytest.raises(Refused) as caught:
        case.bind(case.pod())

    assert str(caught.value) == (case.folder / "refused.txt").read_text().rstrip("\n")


@cases(refused=False)
def test_binding_again_changes_nothing(case: Case) -> None:
    """Binding the expected pod gives the expected pod."""
    expected = case.read("expected.yaml")

    assert send(case.bind(build_pod(expected))) == expected


@cases()
def test_input_is_unchanged(case: Case) -> None:
    """The pod that comes in is the same afterwards, bound or refused."""
    given = case.pod()
    before = copy.deepcopy(given)

    try:
        case.bind(given)
    except Refused:
        assert (case.folder / "refused.txt").exists()

    assert given == before


@pytest.fixture
def configured(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure Airflow with the accounts of a case."""
    accounts = {
        # The hook reads no key file: there need not be one.
        name: account if "secretName" in account else {"keyFile": f"/keys/{name}.json", **account}
        for name, account in case.read("settings.yaml")["gcpServiceAccounts"].items()
    }
    bindings_file = tmp_path / "sa_bindings.yaml"
    bindings_file.write_text(yaml.safe_dump({"gcpServiceAccounts": accounts}))
    monkeypatch.setenv("AIRFLOW__SA_BINDING__BINDINGS_FILE", str(bindings_file))


@cases(refused=False, operators=True)
@pytest.mark.usefixtures("configured")
def test_hook_binds_in_place(case: Case) -> None:
    """`pod_mutation_hook`, called twice, makes the same pod out of an operator's pod."""
    pod = case.pod()

    pod_mutation_hook(pod)
    once = send(pod)
    pod_mutation_hook(pod)

    assert once == case.read("expected.yaml")
    assert send(pod) == once


@cases(refused=True, operators=True)
@pytest.mark.usefixtures("configured")
def test_hook_refuses(case: Case) -> None:
    """`pod_mutation_hook` refuses with the same line, and leaves the pod as it is."""
    pod = case.pod()

    with pytest.raises(Refused) as caught:
        pod_mutation_hook(pod)

    assert str(caught.value) == (case.folder / "refused.txt").read_text().rstrip("\n")
    assert send(pod) == case.read("pod.yaml")
