"""What the API server was asked, read from its audit log: for tests that count calls on the wire.

Knows the audit policy and the log's format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The cluster's own servers ask all the time; leaving them out keeps the log short and counts meaningful.
# RequestReceived is omitted because each request is logged again with its outcome; ResponseStarted stays,
# because a watch has no other line while it runs.
POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "None",
            "users": ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"],
        },
        {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
        {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*"]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiRequest:
    """One request, as the API server logged it."""

    audit_id: str
    verb: str
    uri: str
    user: str
    user_agent: str
    resource: str
    namespace: str
    name: str
    status: int | None

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> ApiRequest:
        """Read one line of the log."""
        target = event.get("objectRef", {})
        resource = target.get("resource", "")
        if "subresource" in target:
            resource += f"/{target['subresource']}"
        return cls(
            audit_id=event["auditID"],
            verb=event["verb"],
            uri=event["requestURI"],
            user=event["user"].get("username", ""),
            user_agent=event.get("userAgent", ""),
            resource=resource,
            namespace=target.get("namespace", ""),
            name=target.get("name", ""),
            status=event.get("responseStatus", {}).get("code"),
        )


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The audit log of a running API server."""

    path: Path

    def mark(self) -> int:
        """Return a position; `requests_since` it tells what was asked later."""
        return self.path.stat().st_size if self.path.exists() else 0

    def requests_since(self, mark: int = 0) -> list[ApiRequest]:
        """Return each request once, in the order of completion (watches: of their start)."""
        return list({request.audit_id: request for request in self._read(mark)}.values())

    def _read(self, mark: int) -> Iterator[ApiRequest]:
        with self.path.open("rb") as log:
            log.seek(mark)
            for line in log:
                if line.endswith(b"\n"):  # else the API server is about to write the rest
                    yield ApiRequest.from_event(json.loads(line))
