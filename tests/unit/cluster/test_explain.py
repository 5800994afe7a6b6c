"""The line that each refusal of the API server becomes."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sa_binding.cluster.answers import ApiRefusal
from airflow_sa_binding.cluster.explain import explain_list, explain_write
from tests.unit.cluster.samples import ETL

TERMINATING = {"causes": [{"reason": "NamespaceTerminating"}]}


def refusal(status: int, message: str, **more: Any) -> ApiRefusal:
    """Make a refusal."""
    return ApiRefusal(status, {"message": message, **more})


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            refusal(403, 'User "airflow" cannot list resource "secrets" in API group ""'),
            (
                "namespace team-a: user 'airflow' may not list Secrets; give it a Role there with the rule "
                '{apiGroups: [""], resources: [secrets], verbs: [list, create, patch]}'
            ),
        ),
        (
            refusal(500, "etcd is slow"),
            "namespace team-a: its Secrets cannot be listed (500: etcd is slow); it is tried again by itself",
        ),
    ],
)
def test_list_refusals(given: ApiRefusal, line: str) -> None:
    """What keeps us from looking is said of the namespace."""
    assert explain_list("team-a", given, prune=False) == line


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            refusal(403, 'User "airflow" cannot patch resource "secrets" in API group ""'),
            (
                "namespace team-a: user 'airflow' may not patch Secrets; give it a Role there with the rule "
                '{apiGroups: [""], resources: [secrets], verbs: [list, create, patch, delete]}'
            ),
        ),
        (
            refusal(404, 'namespaces "team-a" not found'),
            "namespace team-a: does not exist; create it, or take it out of the namespaces where tasks may run",
        ),
        (
            refusal(403, "forbidden", details=TERMINATING),
            "namespace team-a: is being deleted; create it anew, or take it out of the namespaces where tasks may run",
        ),
        (
            refusal(409, "the object has been modified"),
            (
                "Secret team-a/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: was changed by somebody else at "
                "the same time; it is tried again by itself"
            ),
        ),
        (
            refusal(500, "failed calling webhook"),
            (
                "Secret team-a/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: the API server failed "
                "(500: failed calling webhook); it is tried again by itself"
            ),
        ),
        (
            refusal(422, "data: Too long: may not be more than 1048576 bytes"),
            (
                "Secret team-a/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: is too large "
                "(422: data: Too long: may not be more than 1048576 bytes); make the key file shorter"
            ),
        ),
        (
            refusal(403, "exceeded quota: secrets"),
            (
                "Secret team-a/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: the API server refuses it "
                "(403: exceeded quota: secrets); remove the cause; it is tried again by itself"
            ),
        ),
    ],
)
def test_write_refusals(given: ApiRefusal, line: str) -> None:
    """What keeps us from writing is said of the namespace where it is the namespace's, else of the Secret."""
    assert explain_write("team-a", ETL, given, prune=True) == line
