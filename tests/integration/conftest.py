"""Fixtures of the tests of managed Secrets."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.access import create_namespace
from tests.cluster.cluster import Cluster
from tests.integration.installation import Installation
from tests.keys import ETL


@pytest.fixture
def other_namespace(control_plane: Cluster) -> Iterator[str]:
    """Give the name of a second namespace."""
    core = control_plane.core()
    name = f"test-{secrets.token_hex(4)}"
    create_namespace(core, name)
    yield name
    core.delete_namespace(name)


@pytest.fixture
def installation(tmp_path: Path, control_plane: Cluster, namespace: str) -> Installation:
    """Give an installation that lists one account, in one namespace."""
    one = Installation(tmp_path, control_plane, namespace)
    one.list_accounts(ETL)
    return one
