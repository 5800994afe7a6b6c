"""The calls on the wire, and what becomes of a server that does not behave."""

from __future__ import annotations

import json
import logging
import time

import pytest

from airflow_sa_binding import __version__
from airflow_sa_binding.cluster.answers import ApiRefusal, ApiUnavailable
from airflow_sa_binding.cluster.api import SecretApi
from airflow_sa_binding.cluster.manifests import build_secret
from tests.unit.cluster.fake_api_server import HANG_UP, Answer, fake_api_server, secret_list, status
from tests.unit.cluster.samples import ETL_KEY, OURS

SECRET = build_secret(ETL_KEY, namespace="team-a", resource_version="9")


def test_list_asks_for_metadata_only() -> None:
    """Key contents never travel back: the answer that is asked for has none."""
    with fake_api_server(lambda _: secret_list()) as server:
        listed = SecretApi(server.client()).list_secrets("team-a")

    assert (listed.resource_version, listed.secrets) == ("9", {})
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/api/v1/namespaces/team-a/secrets")
    assert request.headers["Accept"] == "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    assert request.headers["User-Agent"] == f"airflow-sa-binding/{__version__}"
    assert request.headers["authorization"] == "Bearer secret-token"


def test_apply_is_server_side_apply_of_the_manifest() -> None:
    """The manifest goes out as it is, under our field manager, and only metadata come back."""
    with fake_api_server(lambda _: Answer(200, "{}")) as server:
        SecretApi(server.client()).apply(SECRET, dry_run=False)

    (request,) = server.requests
    assert (request.method, request.path) == (
        "PATCH",
        "/api/v1/namespaces/team-a/secrets/gcp-sa-etl-fd6d6038?fieldManager=airflow-sa-binding&force=true",
    )
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.headers["Accept"] == "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    assert json.loads(request.body) == SECRET


def test_delete_names_the_very_secret_that_was_seen() -> None:
    """A Secret that was replaced or changed meanwhile is not the one to delete."""
    with fake_api_server(lambda _: Answer(200, "{}")) as server:
        SecretApi(server.client()).delete("team-a", OURS, dry_run=False)

    (request,) = server.requests
    assert (request.method, request.path) == (
        "DELETE",
        "/api/v1/namespaces/team-a/secrets/gcp-sa-etl-fd6d6038",
    )
    assert json.loads(request.body) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u-1", "resourceVersion": "7"},
    }


def test_dry_run_is_asked_of_the_server() -> None:
    """With `dry_run` no write is stored, but every one is checked by the API server."""
    with fake_api_server(lambda _: Answer(200, "{}")) as server:
        api = SecretApi(server.client())
        api.apply(SECRET, dry_run=True)
        api.delete("team-a", OURS, dry_run=True)

    apply, delete = server.requests
    assert apply.path.endswith("?fieldManager=airflow-sa-binding&force=true&dryRun=All")
    assert json.loads(delete.body)["dryRun"] == ["All"]


def test_refusal_is_told_from_absence() -> None:
    """A refusal carries the status and the API server's words."""
    with fake_api_server(lambda _: status(409, "modified")) as server, pytest.raises(ApiRefusal) as caught:
        SecretApi(server.client()).apply(SECRET, dry_run=False)

    assert (caught.value.is_conflict, str(caught.value)) == (True, "409: modified")


def test_server_that_never_answers_is_left_in_time() -> None:
    """A call to a server that hangs ends after the time that it was given, and is not tried three times more."""
    with fake_api_server(lambda _: Answer(200, "{}", after_seconds=2)) as server:
        api = SecretApi(server.client(), read_seconds=0.2)
        began = time.monotonic()
        with pytest.raises(ApiUnavailable) as caught:
            api.list_secrets("team-a")
        taken = time.monotonic() - began

    assert taken < 1
    assert str(caught.value) == (
        f"API server {server.url}: cannot be reached (timed out); check that it runs and that the scheduler may "
        "connect to it; it is tried again by itself"
    )


def test_refused_connection_has_the_same_message_each_time() -> None:
    """The message of a server that is away holds no address of an object, so that it is said once."""
    with fake_api_server(lambda _: secret_list()) as server:
        api = SecretApi(server.client())
    messages = set()
    for _ in range(2):
        with pytest.raises(ApiUnavailable) as caught:
            api.list_secrets("team-a")
        messages.add(str(caught.value))

    assert messages == {
        (
            f"API server {server.url}: cannot be reached (Connection refused); check that it runs and that the "
            "scheduler may connect to it; it is tried again by itself"
        )
    }


def test_dropped_connection_is_tried_once_more() -> None:
    """A load balancer drops idle connections; that is no outage."""
    answers = [HANG_UP, secret_list()]
    with fake_api_server(lambda _: answers.pop(0)) as server:
        listed = SecretApi(server.client()).list_secrets("team-a")

    assert listed.secrets == {}


def test_server_that_drops_every_connection_is_unavailable() -> None:
    """Twice in a row is an outage."""
    with fake_api_server(lambda _: HANG_UP) as server, pytest.raises(ApiUnavailable) as caught:
        SecretApi(server.client()).list_secrets("team-a")

    assert len(server.requests) == 2
    assert "cannot be reached" in str(caught.value)


def test_certificate_file_that_is_gone_is_unavailable() -> None:
    """A kubeconfig whose certificate authority file was removed is a problem to report, not a crash."""
    with fake_api_server(lambda _: secret_list()) as server:
        client = server.client()
    client.configuration.host = client.configuration.host.replace("http:", "https:")
    client.rest_client.pool_manager.connection_pool_kw["ca_certs"] = "/nowhere/ca.crt"
    with pytest.raises(ApiUnavailable) as caught:
        SecretApi(client).list_secrets("team-a")

    assert "(No such file or directory)" in str(caught.value) or "Connection refused" in str(caught.value)


@pytest.mark.parametrize("body", ['{"items": [{"kind": "Secret"}], "metadata": {}}', '{"items": 3}', "{}"])
def test_list_that_is_none_is_unavailable(body: str) -> None:
    """An object of another kind is not taken for an empty namespace, which would write every Secret."""
    with fake_api_server(lambda _: Answer(200, body)) as server, pytest.raises(ApiUnavailable) as caught:
        SecretApi(server.client()).list_secrets("team-a")

    assert "gives an answer that is no list of Secrets" in str(caught.value)


def test_namespace_cannot_break_out_of_the_path() -> None:
    """A namespace of any text stays one segment of the path."""
    with fake_api_server(lambda _: secret_list()) as server:
        SecretApi(server.client()).list_secrets("a/../b?x=1")

    assert server.requests[0].path == "/api/v1/namespaces/a%2F..%2Fb%3Fx%3D1/secrets"


def test_no_key_in_the_log_at_debug_level(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever turns on every logger's debug level sees calls, but no key and no token."""
    caplog.set_level(logging.DEBUG)
    with fake_api_server(lambda _: status(422, f"invalid: {SECRET['data']['key.json'] * 20}")) as server:
        api = SecretApi(server.client())
        with pytest.raises(ApiRefusal) as caught:
            api.apply(SECRET, dry_run=False)

    assert "eyJhIjogMX0=" not in caplog.text + str(caught.value)
    assert "secret-token" not in caplog.text
