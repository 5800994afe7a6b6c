"""The three calls to the API server that keeping Secrets takes.

Uses the connections, the TLS settings and the credentials of a `kubernetes.client.ApiClient`, but not its
`call_api`: that logs whole answers at debug level, tries again without a bound, and builds models of thousands of
Secrets while the scheduler waits for the interpreter's lock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import urllib3
from urllib3.exceptions import HTTPError, ProtocolError

from airflow_sa_binding import __version__
from airflow_sa_binding.binding import names
from airflow_sa_binding.cluster.answers import ApiUnavailable, read_answer
from airflow_sa_binding.cluster.manifests import ObservedSecret, read_metadata

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

CONNECT_SECONDS = 5
READ_SECONDS = 20

_USER_AGENT = f"{names.MANAGER}/{__version__}"
_METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


@dataclass(frozen=True, kw_only=True)
class SecretList:
    """Every Secret of a namespace at one moment."""

    resource_version: str
    """Of the list."""
    secrets: Mapping[str, ObservedSecret]
    """By name."""


class SecretApi:
    """The Secrets of a cluster, seen as metadata.

    Every method raises `ApiUnavailable` where the API server cannot be asked, and `ApiRefusal` where it says no.
    """

    def __init__(
        self,
        api_client: ApiClient,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._client = api_client
        self._timeout = urllib3.Timeout(connect=connect_seconds, read=read_seconds)

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self._client.configuration.host)

    def list_secrets(self, namespace: str, *, name: str | None = None) -> SecretList:
        """List the metadata of a namespace's Secrets, or of the one of that name, in one call.

        All of them, whatever their labels: somebody else's Secret of our name has to be seen before it is written.
        A namespace that does not exist has an empty list.
        """
        query = {} if name is None else {"fieldSelector": f"metadata.name={name}"}
        answer = self._request("GET", _path(namespace, query=query), accept=_METADATA_LIST)
        try:
            secrets = [read_metadata(item) for item in answer["items"] or ()]
            version = answer["metadata"]["resourceVersion"]
        except (KeyError, TypeError, AttributeError):
            raise ApiUnavailable(self.server, "gives an answer that is no list of Secrets") from None
        return SecretList(resource_version=version, secrets={secret.name: secret for secret in secrets})

    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool) -> None:
        """Apply a Secret on the server's side, taking its fields back from whoever changed them.

        A conflict means that the Secret is no longer at the manifest's `resourceVersion`.
        """
        metadata = manifest["metadata"]
        query = {"fieldManager": names.MANAGER, "force": "true"}
        if dry_run:
            query["dryRun"] = "All"
        self._request(
            "PATCH",
            _path(metadata["namespace"], metadata["name"], query),
            accept=_METADATA,
            content_type="application/apply-patch+yaml",
            body=manifest,
        )

    def delete(self, namespace: str, secret: ObservedSecret, *, dry_run: bool) -> None:
        """Delete a Secret; a conflict means that it is no longer the one that was observed."""
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": secret.uid, "resourceVersion": secret.resource_version},
        }
        if dry_run:
            # Not in the query: beside a body with options, the API server ignores it and deletes.
            options["dryRun"] = ["All"]
        self._request(
            "DELETE",
            _path(namespace, secret.name),
            accept=_METADATA,
            content_type="application/json",
            body=options,
        )

    def _request(
        self,
        method: str,
        path: str,
        *,
        accept: str,
        content_type: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        headers = {**self._client.default_headers, "Accept": accept, "User-Agent": _USER_AGENT}
        if content_type is not None:
            headers["Content-Type"] = content_type
        # Asked each time: asking renews a token that is about to expire.
        for setting in self._client.configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        content = None if body is None else json.dumps(body).encode()
        try:
            try:
                response = self._send(method, path, headers, content)
            except ProtocolError:
                # Mostly a connection that the server closed while it was idle. Every request is safe to repeat.
                response = self._send(method, path, headers, content)
        # OSError: certificate files that are gone.
        except (HTTPError, OSError) as error:
            raise ApiUnavailable(self.server, f"cannot be reached ({_describe_error(error)})") from None
        return read_answer(self.server, response.status, response.data)

    def _send(self, method: str, path: str, headers: Mapping[str, str], content: bytes | None) -> Any:
        return self._client.rest_client.pool_manager.request(
            method,
            f"{self.server}{path}",
            headers=headers,
            body=content,
            timeout=self._timeout,
            retries=False,
            redirect=False,
        )


def _path(namespace: str, name: str = "", query: Mapping[str, str] | None = None) -> str:
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
    if name:
        path += f"/{quote(name, safe='')}"
    return f"{path}?{urlencode(query)}" if query else path


def _describe_error(error: BaseException) -> str:
    """Say what went wrong below urllib3, whose own texts hold memory addresses and so differ each time."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return str(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    return "timed out" if isinstance(error, urllib3.exceptions.TimeoutError) else type(error).__name__
