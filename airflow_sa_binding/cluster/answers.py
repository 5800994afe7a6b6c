"""What the API server's answers mean: success, a refusal of one request, or that it cannot be asked at all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from airflow_sa_binding.binding.errors import Problem, describe

_LONGEST_TEXT = 300
_BY_ITSELF = "it is tried again by itself"

# Answers that are not about the request.
_UNAVAILABLE = {
    HTTPStatus.TOO_MANY_REQUESTS: "is overloaded",
    HTTPStatus.BAD_GATEWAY: "is not there",
    HTTPStatus.SERVICE_UNAVAILABLE: "is not available",
    HTTPStatus.GATEWAY_TIMEOUT: "answers too slowly",
}


@dataclass(frozen=True, kw_only=True)
class MissingRight:
    """What RBAC does not let a user do."""

    user: str
    verb: str


class ApiUnavailable(Exception):  # noqa: N818 - a state of the world
    """The API server cannot be asked anything at the moment; `str()` is the one line for people."""

    def __init__(self, server: str, problem: str, remedy: str = "") -> None:
        remedy = remedy or f"check that it runs and that the scheduler may connect to it; {_BY_ITSELF}"
        super().__init__(str(Problem(f"API server {server}", problem, remedy)))


class ApiRefusal(Exception):  # noqa: N818 - as `Refused` in the rest of the project
    """The API server refused one request."""

    def __init__(self, status: int, answer: Mapping[str, Any]) -> None:
        self.status = status
        self.text = _one_line(answer.get("message"))
        causes = (answer.get("details") or {}).get("causes") or ()
        self.is_namespace_terminating = any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
        super().__init__(f"{status}: {self.text}" if self.text else str(status))

    @property
    def is_conflict(self) -> bool:
        """Whether the object is not in the state that the request was made for."""
        return self.status == HTTPStatus.CONFLICT

    @property
    def is_not_found(self) -> bool:
        """Whether the object, or the namespace, does not exist."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def is_passing(self) -> bool:
        """Whether the same request may well succeed a little later."""
        return self.is_conflict or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def is_too_large(self) -> bool:
        """Whether the request, or the object, is longer than Kubernetes allows."""
        return self.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or "Too long" in self.text

    @property
    def missing_right(self) -> MissingRight | None:
        """What the user lacks, if that is the reason, and not a quota, an admission policy or a webhook.

        All of these are 403 `Forbidden`; only the authorizer writes `User "x" cannot <verb> resource "secrets"`.
        """
        words = re.search(r'User "(.*)" cannot (\w+) resource', self.text)
        if self.status != HTTPStatus.FORBIDDEN or words is None:
            return None
        return MissingRight(user=words[1], verb=words[2])


def read_answer(server: str, status: int, body: bytes) -> Mapping[str, Any]:
    """Return the object in a successful answer.

    Raises:
        ApiRefusal: The API server says no to this request.
        ApiUnavailable: It, or what stands before it, can answer no request at the moment.
    """
    answer = _read_object(body)
    if answer is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return answer
    text = _one_line(answer.get("message")) if answer else ""
    said = f"({status}: {text})" if text else f"({status})"
    if status == HTTPStatus.UNAUTHORIZED:
        raise ApiUnavailable(
            server,
            f"does not accept the scheduler's credentials {said}",
            f"check the service account token or the kubeconfig; {_BY_ITSELF}",
        )
    if status in _UNAVAILABLE:
        raise ApiUnavailable(server, f"{_UNAVAILABLE[HTTPStatus(status)]} {said}")
    # A proxy, too, may find one request too large.
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        raise ApiRefusal(status, answer or {})
    if answer is None or status < HTTPStatus.BAD_REQUEST:
        raise ApiUnavailable(
            server, f"gives answers that are not Kubernetes' {said}", f"check the address; {_BY_ITSELF}"
        )
    raise ApiRefusal(status, answer)


def _read_object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _one_line(text: object) -> str:
    """Return a text of the API server's, short, and without anything that could be part of a key."""
    if not isinstance(text, str):
        return ""
    shown = describe(text)
    if shown.endswith("is not shown"):
        return shown
    text = re.sub(r"[A-Za-z0-9+/=]{64,}", "...", " ".join(text.split()))
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
