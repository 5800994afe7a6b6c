"""pytest fixtures: load them with `pytest_plugins = ["tests.cluster.fixtures"]`.

`control_plane` any user can have; `cluster` is the same control plane with a node that runs pods, for root.
Both last for the whole session, so a test gets a `namespace` of its own and cleans up what has none.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from tests.cluster.access import create_namespace
from tests.cluster.build import build_binaries, say_on_stderr
from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.cluster.foreign import KUBECONFIG_VARIABLE, ForeignCluster
from tests.cluster.install import require_parts
from tests.cluster.node import Node, has_host_image, running_node
from tests.cluster.toolchain import Progress


@pytest.fixture(scope="session")
def control_plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Give an API server with etcd and controllers, or the cluster of `SA_BINDING_TEST_KUBECONFIG`."""
    foreign = os.environ.get(KUBECONFIG_VARIABLE)
    if foreign:
        yield ForeignCluster(Path(foreign), scratch=tmp_path_factory.mktemp("kubeconfigs"))
        return
    require_parts(node=False)
    build_binaries(_say_beside_capture(request.config))
    with running_control_plane() as plane:
        yield plane


@pytest.fixture(scope="session")
def node(control_plane: Cluster) -> Iterator[Node]:
    """Give the node of our own control plane."""
    if not isinstance(control_plane, ControlPlane):
        pytest.skip(f"needs a node of its own; unset {KUBECONFIG_VARIABLE}")
    require_parts(node=True)
    with running_node(control_plane) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, control_plane: Cluster) -> Cluster:
    """Give the control plane with a node that is Ready and runs the pods of `tests.cluster.pods`."""
    if isinstance(control_plane, ControlPlane):
        request.getfixturevalue("node")
    elif not any(has_host_image(node) for node in control_plane.core().list_node().items):
        pytest.skip(
            f"needs a node of `python -m tests.cluster up --node`, on this machine; unset {KUBECONFIG_VARIABLE}"
        )
    return control_plane


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    """Give the name of a new namespace that has its default service account and `kube-root-ca.crt`."""
    core = control_plane.core()
    name = f"test-{secrets.token_hex(4)}"
    create_namespace(core, name)
    yield name
    # Returns at once; the namespace controller empties it meanwhile. A namespace that the test deleted is fine.
    try:
        core.delete_namespace(name)
    except client.ApiException as error:
        if error.status != 404:
            raise


def _say_beside_capture(config: pytest.Config) -> Progress:
    # Whoever waits seven minutes for a build wants to see it at once, not with the failures at the end.
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            say_on_stderr(line)

    return say if capture is not None else say_on_stderr
