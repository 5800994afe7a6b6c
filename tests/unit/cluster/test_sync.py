"""What a round does with an API server that behaves badly half-way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from airflow_sa_binding.cluster.api import SecretApi
from airflow_sa_binding.cluster.plan import Action
from airflow_sa_binding.cluster.report import Report
from airflow_sa_binding.cluster.state import Failed, Ready, SecretStates, Unknown
from airflow_sa_binding.cluster.sync import sync_secrets
from tests.unit.cluster.fake_api_server import Answer, Request, fake_api_server, secret_list, status
from tests.unit.cluster.samples import ADS, ADS_KEY, ADS_SECRET, ETL, ETL_KEY, ETL_SECRET, configuration, key

BOTH = {ETL: ETL_KEY, ADS: ADS_KEY}


def ours(
    name: str = ETL_SECRET, account: str = ETL, sha256: str = ETL_KEY.sha256, **changes: Any
) -> dict[str, Any]:
    """Build the metadata of a managed Secret."""
    return {
        "metadata": {
            "name": name,
            "uid": "u-1",
            "resourceVersion": "7",
            "labels": {"app.kubernetes.io/managed-by": "airflow-sa-binding"},
            "annotations": {
                "iam.cloud.google.com/service-account": account,
                "airflow-sa-binding/content-sha256": sha256,
            },
            "managedFields": [
                {
                    "manager": "airflow-sa-binding",
                    "operation": "Apply",
                    "fieldsV1": {"f:data": {"f:key.json": {}}},
                }
            ],
            **changes,
        }
    }


def actions(report: Report) -> list[tuple[str, str, Action]]:
    """Show what became of what."""
    return [(outcome.namespace, outcome.account, outcome.action) for outcome in report.outcomes]


def test_created_secret_is_conditional_on_the_list_in_which_it_was_missing() -> None:
    """The version of the list goes along, so that a Secret that came since is not overwritten."""
    with fake_api_server(lambda one: secret_list() if one.method == "GET" else Answer(201, "{}")) as server:
        sync_secrets(SecretApi(server.client()), configuration(ETL), {ETL: ETL_KEY}, {})

    assert json.loads(server.requests[1].body)["metadata"]["resourceVersion"] == "9"


def test_updated_secret_is_conditional_on_what_was_seen() -> None:
    """The version of the Secret goes along."""
    old = secret_list(ours(sha256="0" * 64))
    with fake_api_server(lambda one: old if one.method == "GET" else Answer(200, "{}")) as server:
        sync_secrets(SecretApi(server.client()), configuration(ETL), {ETL: ETL_KEY}, {})

    assert json.loads(server.requests[1].body)["metadata"]["resourceVersion"] == "7"


def test_foreign_secret_that_came_between_looking_and_writing_is_left() -> None:
    """After a conflict the one Secret is looked at again, and found to be somebody else's."""
    answers = [secret_list(), status(409, "modified"), secret_list(ours(labels=None))]
    states = SecretStates()
    with fake_api_server(lambda _: answers.pop(0)) as server:
        report = sync_secrets(
            SecretApi(server.client()), configuration(ETL), {ETL: ETL_KEY}, {}, states=states
        )

    assert actions(report) == [("team-a", ETL, Action.FOREIGN)]
    assert server.requests[2].path == (
        "/api/v1/namespaces/team-a/secrets?fieldSelector=metadata.name%3Dgcp-sa-etl-fd6d6038"
    )
    assert isinstance(states.state_of("team-a", ETL_SECRET), Failed)


def test_secret_that_another_scheduler_made_meanwhile_is_unchanged() -> None:
    """Two schedulers that start together do not quarrel."""
    answers = [secret_list(), status(409, "modified"), secret_list(ours())]
    states = SecretStates()
    with fake_api_server(lambda _: answers.pop(0)) as server:
        report = sync_secrets(
            SecretApi(server.client()), configuration(ETL), {ETL: ETL_KEY}, {}, states=states
        )

    assert actions(report) == [("team-a", ETL, Action.UNCHANGED)]
    assert states.state_of("team-a", ETL_SECRET) == Ready()


def test_secret_that_keeps_changing_waits_for_the_next_round() -> None:
    """A second conflict ends the attempt, and the executor is told to wait."""
    with fake_api_server(
        lambda one: secret_list() if one.method == "GET" else status(409, "modified")
    ) as server:
        states = SecretStates()
        report = sync_secrets(
            SecretApi(server.client()), configuration(ETL), {ETL: ETL_KEY}, {}, states=states
        )
    message = (
        "Secret team-a/gcp-sa-etl-fd6d6038 of etl@acme.iam.gserviceaccount.com: was changed by somebody else at the "
        "same time; it is tried again by itself"
    )

    assert [request.method for request in server.requests] == ["GET", "PATCH", "GET", "PATCH"]
    assert actions(report) == [("team-a", ETL, Action.FAILED)]
    assert states.state_of("team-a", ETL_SECRET) == Unknown(message)


def test_server_that_goes_away_half_way_leaves_the_rest_for_later() -> None:
    """What was written is ready, what was not is unknown, and nothing more is asked."""

    def decide(request: Request) -> Answer:
        if request.method == "GET":
            return secret_list()
        return Answer(201, "{}") if ETL_SECRET in request.path else status(503, "shutting down")

    states = SecretStates()
    with fake_api_server(decide) as server:
        report = sync_secrets(
            SecretApi(server.client()),
            configuration(ETL, ADS, namespaces=("team-a", "team-b")),
            BOTH,
            {},
            states=states,
        )
    message = (
        f"API server {server.url}: is not available (503: shutting down); check that it runs and that the scheduler "
        "may connect to it; it is tried again by itself"
    )

    assert actions(report) == [
        ("team-a", ETL, Action.CREATED),
        ("team-a", ADS, Action.UNKNOWN),
        ("team-b", ETL, Action.UNKNOWN),
        ("team-b", ADS, Action.UNKNOWN),
    ]
    assert (report.is_complete, report.problems) == (False, {"API server": message})
    assert states.state_of("team-a", ETL_SECRET) == Ready()
    assert states.state_of("team-a", ADS_SECRET) == Unknown(message)
    assert states.state_of("team-b", ETL_SECRET) == Unknown(message)
    assert len(server.requests) == 3


def test_secret_that_was_ready_stays_so_while_the_server_is_away() -> None:
    """An outage of the API server takes no identity from anybody."""
    states = SecretStates()
    states.record("team-a", ETL_SECRET, Ready())
    with fake_api_server(lambda _: status(503)) as server:
        sync_secrets(SecretApi(server.client()), configuration(ETL), {ETL: ETL_KEY}, {}, states=states)

    assert states.state_of("team-a", ETL_SECRET) == Ready()


def test_secret_that_is_seen_to_be_gone_is_not_ready_any_more() -> None:
    """A Secret that somebody deleted, and that cannot be written, is no longer promised to anybody."""
    states = SecretStates()
    states.record("team-a", ETL_SECRET, Ready())
    with fake_api_server(lambda one: secret_list() if one.method == "GET" else status(503)) as server:
        sync_secrets(SecretApi(server.client()), configuration(ETL), {ETL: ETL_KEY}, {}, states=states)

    assert isinstance(states.state_of("team-a", ETL_SECRET), Unknown)


def test_failed_rotation_leaves_the_old_key_in_use() -> None:
    """A Secret with an older key of the account serves on while the new one is refused."""
    states = SecretStates()
    old = secret_list(ours(sha256="0" * 64))
    with fake_api_server(lambda one: old if one.method == "GET" else status(422, "no")) as server:
        report = sync_secrets(
            SecretApi(server.client()), configuration(ETL), {ETL: ETL_KEY}, {}, states=states
        )

    assert actions(report) == [("team-a", ETL, Action.FAILED)]
    assert states.state_of("team-a", ETL_SECRET) == Ready()


def test_forbidden_list_leaves_what_was_ready() -> None:
    """Rights that are taken away do not take the Secrets that were there; what never was seen has failed."""
    said = 'secrets is forbidden: User "airflow" cannot list resource "secrets" in API group "" in the namespace "a"'
    states = SecretStates()
    states.record("team-a", ETL_SECRET, Ready())
    with fake_api_server(lambda _: status(403, said)) as server:
        report = sync_secrets(SecretApi(server.client()), configuration(ETL, ADS), BOTH, {}, states=states)
    message = (
        "namespace team-a: user 'airflow' may not list Secrets; give it a Role there with the rule "
        '{apiGroups: [""], resources: [secrets], verbs: [list, create, patch]}'
    )

    assert report.problems == {"namespace team-a": message}
    assert states.state_of("team-a", ETL_SECRET) == Ready()
    assert states.state_of("team-a", ADS_SECRET) == Failed(message)


def test_list_that_fails_inside_the_server_says_to_wait() -> None:
    """An internal error when looking is not the Secrets' fault."""
    states = SecretStates()
    with fake_api_server(lambda _: status(500, "etcd")) as server:
        sync_secrets(SecretApi(server.client()), configuration(ETL), {ETL: ETL_KEY}, {}, states=states)

    assert isinstance(states.state_of("team-a", ETL_SECRET), Unknown)


def test_what_is_forbidden_is_asked_once_per_namespace() -> None:
    """A missing right is one problem and one call, not one for each of many Secrets."""
    said = 'secrets "x" is forbidden: User "airflow" cannot create resource "secrets" in API group ""'
    with fake_api_server(lambda one: secret_list() if one.method == "GET" else status(403, said)) as server:
        report = sync_secrets(SecretApi(server.client()), configuration(ETL, ADS), BOTH, {})

    assert [request.method for request in server.requests] == ["GET", "PATCH"]
    assert actions(report) == [("team-a", ETL, Action.FAILED), ("team-a", ADS, Action.FAILED)]
    assert list(report.problems) == ["namespace team-a, created"]


def test_webhook_that_fails_for_one_secret_stops_no_other() -> None:
    """An internal error about one Secret is that Secret's problem."""

    def decide(request: Request) -> Answer:
        if request.method == "GET":
            return secret_list()
        return status(500, "failed calling webhook") if ETL_SECRET in request.path else Answer(201, "{}")

    with fake_api_server(decide) as server:
        report = sync_secrets(SecretApi(server.client()), configuration(ETL, ADS), BOTH, {})

    assert actions(report) == [("team-a", ETL, Action.FAILED), ("team-a", ADS, Action.CREATED)]
    assert report.is_complete


def test_bad_key_is_one_problem_for_all_namespaces() -> None:
    """A key file that is bad is said once, not once for each namespace."""
    refusal = "key file /k of etl: is empty; write it"
    with fake_api_server(lambda _: secret_list()) as server:
        report = sync_secrets(
            SecretApi(server.client()), configuration(ETL, namespaces=("a", "b", "c")), {}, {ETL: refusal}
        )

    assert report.problems == {f"key of {ETL}": refusal}
    assert [outcome.message for outcome in report.outcomes] == [refusal] * 3


def test_stopped_round_ends_where_it_is() -> None:
    """A scheduler that stops does not wait for thousands of writes."""
    asked = iter([False, False, True])
    with fake_api_server(lambda one: secret_list() if one.method == "GET" else Answer(201, "{}")) as server:
        report = sync_secrets(
            SecretApi(server.client()),
            configuration(ETL, ADS, namespaces=("team-a", "team-b")),
            BOTH,
            {},
            is_stopped=lambda: next(asked),
        )

    assert [request.method for request in server.requests] == ["GET", "PATCH"]
    assert not report.is_complete


def test_orphan_that_is_gone_already_is_pruned() -> None:
    """Two schedulers that prune at once both succeed."""
    with fake_api_server(lambda one: secret_list(ours()) if one.method == "GET" else status(404)) as server:
        report = sync_secrets(SecretApi(server.client()), configuration(ADS, prune=True), {}, {})

    assert actions(report) == [("team-a", ETL, Action.PRUNED)]


def test_orphan_that_has_just_changed_is_not_deleted() -> None:
    """A Secret that somebody wrote since it was seen may be wanted by them."""
    with fake_api_server(lambda one: secret_list(ours()) if one.method == "GET" else status(409)) as server:
        report = sync_secrets(SecretApi(server.client()), configuration(ADS, prune=True), {}, {})

    assert actions(report) == [("team-a", ETL, Action.FAILED)]
    assert [request.method for request in server.requests] == ["GET", "DELETE"]


def test_account_that_is_unlisted_is_forgotten() -> None:
    """The state of an account's Secret does not outlive its place in the configuration."""
    states = SecretStates()
    states.record("team-a", ETL_SECRET, Ready())
    with fake_api_server(lambda _: secret_list()) as server:
        sync_secrets(SecretApi(server.client()), configuration(), {}, {}, states=states)

    assert isinstance(states.state_of("team-a", ETL_SECRET), Unknown)


def test_dry_run_without_states_asks_the_server_to_store_nothing() -> None:
    """`dry_run` reaches every write."""
    present = secret_list(ours(name=ADS_SECRET, account=ADS))
    with fake_api_server(lambda one: present if one.method == "GET" else Answer(200, "{}")) as server:
        rotated = {ETL: key(ETL, b"other")}
        report = sync_secrets(
            SecretApi(server.client()), configuration(ETL), rotated, {}, prune=True, dry_run=True
        )

    assert actions(report) == [("team-a", ETL, Action.CREATED), ("team-a", ADS, Action.PRUNED)]
    assert all("dryRun" in request.path + request.body for request in server.requests[1:])


def test_incomplete_configuration_deletes_nothing() -> None:
    """With a bindings file that cannot be read, `--prune` leaves what it may list."""
    half = replace(configuration(), is_complete=False)
    with fake_api_server(lambda _: secret_list(ours())) as server:
        report = sync_secrets(SecretApi(server.client()), half, {}, {}, prune=True)

    assert actions(report) == [("team-a", ETL, Action.ORPHANED)]
