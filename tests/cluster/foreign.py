"""A cluster that somebody else runs, named by `SA_BINDING_TEST_KUBECONFIG`.

One that was started by `python -m tests.cluster up` can do nearly all that a cluster of the test run's own
can; of any other, what it cannot do skips the test that asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cluster.access import Access, build_certificate_user
from tests.cluster.audit_log import AuditLog
from tests.cluster.cluster import Cluster
from tests.cluster.pki import Authority

KUBECONFIG_VARIABLE = "SA_BINDING_TEST_KUBECONFIG"


class ForeignCluster(Cluster):
    """A cluster that is used and neither started nor ended here."""

    def as_user(self, name: str, groups: Sequence[str] = ()) -> Access:
        """Return the access of any user, if the cluster's authority lies beside the kubeconfig."""
        pki = self._neighbour("pki", "certificates for other users")
        return self._access_of(
            name, build_certificate_user(Authority.load(pki, "ca").issue_client(name, groups))
        )

    @property
    def audit_log(self) -> AuditLog:
        """The audit log beside the kubeconfig."""
        return AuditLog(self._neighbour("audit.log", "the API server's audit log"))

    def stop_api_server(self) -> None:
        """Skip the test: others may be using the cluster."""
        _skip("an API server that may be stopped")

    def start_api_server(self) -> None:
        """Skip the test: others may be using the cluster."""
        _skip("an API server that may be started")

    def _neighbour(self, name: str, what: str) -> Path:
        path = self.kubeconfig.resolve().parent / name
        if not path.exists():
            _skip(what)
        return path


def _skip(what: str) -> None:
    pytest.skip(
        f"needs {what}, which a cluster named by {KUBECONFIG_VARIABLE} does not give; unset the variable"
    )
