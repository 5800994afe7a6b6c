"""What each answer of the API server is taken for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sa_binding.cluster.answers import ApiRefusal, ApiUnavailable, MissingRight, read_answer

SERVER = "https://10.0.0.1"


def answer(code: int, message: str = "", **more: Any) -> bytes:
    """Build the body by which Kubernetes refuses."""
    return json.dumps({"kind": "Status", "message": message, "code": code, **more}).encode()


def refusal(code: int, message: str = "", **more: Any) -> ApiRefusal:
    """Read a refusal."""
    with pytest.raises(ApiRefusal) as caught:
        read_answer(SERVER, code, answer(code, message, **more))
    return caught.value


def unavailable(code: int, body: bytes) -> str:
    """Read an answer that says nothing about the request."""
    with pytest.raises(ApiUnavailable) as caught:
        read_answer(SERVER, code, body)
    return str(caught.value)


def test_success_is_the_object() -> None:
    """What succeeds is returned."""
    assert read_answer(SERVER, 200, b'{"items": []}') == {"items": []}


@pytest.mark.parametrize(
    ("code", "message", "line"),
    [
        (
            401,
            "Unauthorized",
            (
                "API server https://10.0.0.1: does not accept the scheduler's credentials (401: Unauthorized); "
                "check the service account token or the kubeconfig; it is tried again by itself"
            ),
        ),
        (
            429,
            "too many requests",
            (
                "API server https://10.0.0.1: is overloaded (429: too many requests); check that it runs and that the "
                "scheduler may connect to it; it is tried again by itself"
            ),
        ),
        (
            503,
            "",
            (
                "API server https://10.0.0.1: is not available (503); check that it runs and that the scheduler may "
                "connect to it; it is tried again by itself"
            ),
        ),
    ],
)
def test_answers_about_every_request_make_the_server_unavailable(code: int, message: str, line: str) -> None:
    """A server that is overloaded, or does not know us, refuses no Secret in particular."""
    assert unavailable(code, answer(code, message)) == line


@pytest.mark.parametrize(
    ("code", "body"),
    [
        pytest.param(200, b"<html>Log in</html>", id="a login page"),
        pytest.param(200, b"[]", id="no object"),
        pytest.param(200, b"", id="nothing"),
        pytest.param(200, b'{"items": [', id="half an object"),
        pytest.param(302, b"{}", id="a redirection"),
        pytest.param(404, b"404 page not found\n", id="another program's 404"),
        pytest.param(500, b"\xff\xfe", id="bytes"),
    ],
)
def test_answers_that_are_not_kubernetes(code: int, body: bytes) -> None:
    """What a proxy says is not taken for the API server's word."""
    assert unavailable(code, body) == (
        f"API server https://10.0.0.1: gives answers that are not Kubernetes' ({code}); check the address; "
        "it is tried again by itself"
    )


def test_proxy_that_finds_one_request_too_large() -> None:
    """One large key does not stop all other Secrets, whoever finds it too large."""
    with pytest.raises(ApiRefusal) as caught:
        read_answer(SERVER, 413, b"<html>413</html>")

    assert caught.value.is_too_large


def test_missing_right_is_read_from_the_authorizers_words() -> None:
    """The authorizer says who may not do what."""
    said = 'secrets "x" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "secrets" in API group ""'

    assert refusal(403, said).missing_right == MissingRight(user="system:serviceaccount:a:b", verb="patch")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            403,
            'secrets "x" is forbidden: exceeded quota: secrets, requested: count/secrets=1, used: 5, limited: 5',
        ),
        (403, 'admission webhook "policy" denied the request: no keys here'),
        (422, 'User "a" cannot patch resource "secrets"'),
    ],
)
def test_other_refusals_are_not_missing_rights(code: int, message: str) -> None:
    """A quota or a webhook refuses with the same status, but concerns one Secret."""
    assert refusal(code, message).missing_right is None


def test_terminating_namespace_is_recognised() -> None:
    """A namespace that is being deleted refuses everything new, with a cause that says so."""
    details = {"causes": [{"reason": "NamespaceTerminating", "message": "namespace a is being terminated"}]}

    assert refusal(403, "forbidden", details=details).is_namespace_terminating


@pytest.mark.parametrize("code", [409, 500])
def test_passing_refusals(code: int) -> None:
    """A conflict or an internal error may be over the next time."""
    assert refusal(code, "x").is_passing


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("two\nlines", "422: two\nlines".replace("\n", " ")),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "422: a str of 32 characters that is not shown"),
        ("data: Invalid value: " + "QUJD" * 30, "422: data: Invalid value: ..."),
        ("word " * 100, "422: " + ("word " * 60) + "..."),
        (None, "422"),
        ({"a": 1}, "422"),
    ],
)
def test_text_is_one_short_line_without_keys(message: Any, shown: str) -> None:
    """What a webhook quotes of a Secret does not reach a log."""
    assert str(refusal(422, message)) == shown
