"""What tests may do with a cluster, whoever started it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.cluster.access import Access
from tests.cluster.audit_log import AuditLog


class Cluster(Access, ABC):
    """A cluster, seen by its administrator."""

    @abstractmethod
    def as_user(self, name: str, groups: Sequence[str] = ()) -> Access:
        """Return the access of any user, who has just the rights that RBAC gives to the name and groups."""

    @property
    @abstractmethod
    def audit_log(self) -> AuditLog:
        """What the API server was asked."""

    @abstractmethod
    def stop_api_server(self) -> None:
        """Let the API server crash; connections are refused until `start_api_server`."""

    @abstractmethod
    def start_api_server(self) -> None:
        """Start the API server again at the same address, with the same data, and wait until it is ready."""

    @contextmanager
    def api_server_outage(self) -> Iterator[None]:
        """Have no API server within the `with` block."""
        self.stop_api_server()
        try:
            yield
        finally:
            self.start_api_server()
