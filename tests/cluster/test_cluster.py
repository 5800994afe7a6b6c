"""The harness itself: what a test may rely on when it uses the cluster's fixtures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from urllib3.exceptions import MaxRetryError

from tests.cluster.access import create_namespace
from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.cluster.leftovers import CNI_RESULTS, CONTAINER_LOG_LINKS, SERVERS, SHIMS, processes_of
from tests.cluster.node import Node, running_node
from tests.cluster.pods import (
    REPOSITORY,
    PodFailedError,
    exec_in_pod,
    host_pod,
    in_cluster_environment,
    read_log,
    run_pod,
    wait_for_phase,
)
from tests.cluster.servers import wait_for

pytestmark = pytest.mark.cluster

TOKEN_PATH = "/var/run/secrets/tokens/vault"

# Runs in a pod: says who it is, what its token looks like and whether google-auth can be imported.
LOOK_AT_TOKEN = f"""
import base64, json, os, stat
import google.auth
state = os.stat({TOKEN_PATH!r})
claims = open({TOKEN_PATH!r}).read().split(".")[1]
print(json.dumps({{
    "uid": os.getuid(), "owner": state.st_uid, "group": state.st_gid, "mode": oct(stat.S_IMODE(state.st_mode)),
    "claims": json.loads(base64.urlsafe_b64decode(claims + "==")), "google.auth": google.auth.__name__,
}}))
"""

# Runs in a pod: calls the API server as a program that finds it by the pod's own means.
CALL_API_SERVER = """
from kubernetes import client, config
config.load_incluster_config()
print(client.AuthenticationV1Api().create_self_subject_review({}).status.user_info.username)
"""

# Runs beside the tests and is killed: a whole cluster with a pod.
CLUSTER_WITH_POD = """
import signal
from tests.cluster.control_plane import running_control_plane
from tests.cluster.node import running_node
from tests.cluster.pods import host_pod, wait_for_phase
with running_control_plane() as plane, running_node(plane):
    plane.core().create_namespaced_pod("default", host_pod("sleeper", ["sleep", "infinity"]))
    wait_for_phase(plane.core(), "default", "sleeper", {"Running"})
    print(plane.run.folder, plane.run.bridge, flush=True)
    signal.pause()
"""


def token_volume(audience: str) -> dict[str, Any]:
    """Return a projected token of two hours, in the file `audience`."""
    token = {"audience": audience, "expirationSeconds": 7200, "path": audience}
    return {"name": "tokens", "projected": {"sources": [{"serviceAccountToken": token}]}}


def test_api_server_answers_with_the_version_that_was_built(control_plane: Cluster) -> None:
    """The API server is a real Kubernetes 1.35."""
    version = client.VersionApi(control_plane.client()).get_code()

    assert version.git_version == "v1.35.4"


def test_kubectl_talks_to_the_cluster(control_plane: Cluster, namespace: str) -> None:
    """kubectl runs as administrator and reads its standard input."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}

    done = control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(secret))

    assert done.stdout == "secret/s created\n"


def test_namespace_is_ready_for_pods(control_plane: Cluster, namespace: str) -> None:
    """A test's namespace has its service account, and the CA bundle that pods mount."""
    core = control_plane.core()

    assert core.read_namespaced_service_account("default", namespace)
    assert (
        "BEGIN CERTIFICATE" in core.read_namespaced_config_map("kube-root-ca.crt", namespace).data["ca.crt"]
    )


def test_other_users_have_only_their_own_rights(control_plane: Cluster, namespace: str) -> None:
    """A certificate names any user and groups, and RBAC decides what they may do."""
    alice = control_plane.as_user("alice", ["developers"])

    user = client.AuthenticationV1Api(alice.client()).create_self_subject_review({}).status.user_info
    with pytest.raises(client.ApiException) as refused:
        alice.core().list_namespaced_secret(namespace)

    assert (user.username, user.groups) == ("alice", ["developers", "system:authenticated"])
    assert refused.value.status == 403


def test_service_accounts_have_their_own_access(control_plane: Cluster, namespace: str) -> None:
    """A kubeconfig for a service account acts as that service account."""
    access = control_plane.as_service_account(namespace, "default")

    user = client.AuthenticationV1Api(access.client()).create_self_subject_review({}).status.user_info

    assert user.username == f"system:serviceaccount:{namespace}:default"


def test_audit_log_counts_requests(control_plane: Cluster, namespace: str) -> None:
    """Each call on the wire is one request in the audit log; the cluster's own servers are not in it."""
    alice = control_plane.as_user(f"alice-of-{namespace}", ["system:masters"])
    core = alice.core()
    mark = control_plane.audit_log.mark()

    core.list_namespaced_secret(namespace)
    core.list_namespaced_secret(namespace)
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "c"}})

    requests = [r for r in control_plane.audit_log.requests_since(mark) if r.user == f"alice-of-{namespace}"]
    assert [(r.verb, r.resource, r.name, r.status) for r in requests] == [
        ("list", "secrets", "", 200),
        ("list", "secrets", "", 200),
        ("create", "configmaps", "c", 201),
    ]
    others = {request.user for request in control_plane.audit_log.requests_since()}
    assert not [
        user for user in others if user.startswith(("system:kube-", "system:apiserver", "system:node"))
    ]


def test_api_server_outage_refuses_connections_and_keeps_data(control_plane: Cluster, namespace: str) -> None:
    """During an outage nothing listens on the API server's port; afterwards all is as it was."""
    core = control_plane.core()
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "c"}, "data": {"kept": "yes"}})

    with control_plane.api_server_outage(), pytest.raises(MaxRetryError, match="Connection refused"):
        core.read_namespaced_config_map("c", namespace)

    assert core.read_namespaced_config_map("c", namespace).data == {"kept": "yes"}


def test_controllers_go_on_after_an_outage(control_plane: Cluster, namespace: str) -> None:
    """Controllers find the API server again, so that a new namespace gets its service account."""
    with control_plane.api_server_outage():
        pass

    create_namespace(control_plane.core(), f"{namespace}-later")
    control_plane.core().delete_namespace(f"{namespace}-later")


def test_two_control_planes_run_at_once(control_plane: Cluster, namespace: str) -> None:
    """A second cluster has its own address, its own authority and its own data."""
    with running_control_plane() as second:
        names = [item.metadata.name for item in second.core().list_namespace().items]
        taken = second.server_url, second.authority.pair.certificate

    assert namespace not in names
    if isinstance(control_plane, ControlPlane):
        assert control_plane.server_url != taken[0]
        assert control_plane.authority.pair.certificate != taken[1]
    assert control_plane.core().read_namespace(namespace)


@pytest.mark.node
def test_pod_reads_its_projected_token(cluster: Cluster, namespace: str) -> None:
    """A pod of Airflow's user 50000 owns its token, which names the pod; google-auth can be imported there."""
    mount = {"name": "tokens", "mountPath": "/var/run/secrets/tokens", "readOnly": True}
    pod = host_pod(
        "reader",
        ["python", "-c", LOOK_AT_TOKEN],
        container={"volumeMounts": [mount]},
        volumes=[token_volume("vault")],
    )

    seen = json.loads(run_pod(cluster, namespace, pod))

    claims = seen.pop("claims")
    assert seen == {"uid": 50000, "owner": 50000, "group": 0, "mode": "0o640", "google.auth": "google.auth"}
    assert claims["aud"] == ["vault"]
    assert claims["iss"] == "https://kubernetes.default.svc"
    assert claims["exp"] - claims["iat"] == 7200
    assert claims["kubernetes.io"]["pod"]["name"] == "reader"
    assert claims["kubernetes.io"]["serviceaccount"]["name"] == "default"


@pytest.mark.node
def test_pod_finds_the_api_server(cluster: Cluster, namespace: str) -> None:
    """With hostNetwork and two variables, a program in a pod reaches the API server as its service account."""
    environment = in_cluster_environment(cluster)
    pod = host_pod(
        "caller", ["python", "-c", CALL_API_SERVER], container={"env": environment}, hostNetwork=True
    )

    assert run_pod(cluster, namespace, pod) == f"system:serviceaccount:{namespace}:default\n"


@pytest.mark.node
def test_package_under_test_is_importable_in_a_pod(cluster: Cluster, namespace: str) -> None:
    """A pod runs the checkout, not some installed copy of it."""
    pod = host_pod("importer", ["python", "-c", "import airflow_sa_binding as p; print(p.__path__[0])"])

    assert run_pod(cluster, namespace, pod) == f"{REPOSITORY}/airflow_sa_binding\n"


@pytest.mark.node
def test_logs_and_exec_work(cluster: Cluster, namespace: str) -> None:
    """`kubectl logs`, `kubectl exec` and the Python client's stream reach into a running container."""
    core = cluster.core()
    core.create_namespaced_pod(namespace, host_pod("talker", ["sh", "-c", "echo hello; exec sleep infinity"]))
    wait_for_phase(core, namespace, "talker", {"Running"})
    wait_for(
        lambda: read_log(core, namespace, "talker", container="base") != "", what="the first line of the log"
    )

    logs = cluster.kubectl("logs", "-n", namespace, "talker").stdout
    executed = cluster.kubectl("exec", "-n", namespace, "talker", "--", "id", "-u").stdout
    streamed = exec_in_pod(core, namespace, "talker", ["id", "-g"])
    with pytest.raises(PodFailedError, match=r"exited 3: no$"):
        exec_in_pod(core, namespace, "talker", ["sh", "-c", "echo no >&2; exit 3"])

    assert (logs, executed, streamed) == ("hello\n", "50000\n", "0\n")


@pytest.mark.node
def test_changed_secret_reaches_a_running_pod(cluster: Cluster, namespace: str) -> None:
    """The kubelet syncs volumes every few seconds, so that tests of rotation need no minute."""
    core = cluster.core()
    core.create_namespaced_secret(namespace, {"metadata": {"name": "key"}, "stringData": {"key.json": "old"}})
    pod = host_pod(
        "holder",
        ["sleep", "infinity"],
        container={"volumeMounts": [{"name": "key", "mountPath": "/key", "readOnly": True}]},
        volumes=[{"name": "key", "secret": {"secretName": "key"}}],
    )
    core.create_namespaced_pod(namespace, pod)
    wait_for_phase(core, namespace, "holder", {"Running"})

    core.patch_namespaced_secret("key", namespace, {"stringData": {"key.json": "new"}})

    def read() -> str:
        return exec_in_pod(core, namespace, "holder", ["cat", "/key/key.json"])

    wait_for(lambda: read() == "new", what="the new key in the pod", timeout_seconds=30)


@pytest.mark.node
def test_ctr_sees_the_pods_containers(node: Node) -> None:
    """The node's own containerd answers, with the images of the tests."""
    assert "test.local/host:1" in node.ctr("images", "list", "--quiet").stdout


@pytest.mark.node
def test_killed_cluster_hurts_nobody(node: Node) -> None:
    """Servers die with a run that is killed -9; the next run removes its containers, mounts, network and files."""
    with killable_cluster() as (owner, folder, bridge):
        assert len(list(processes_of(folder, SERVERS))) == 6
        assert len(list(processes_of(folder, SHIMS))) == 1
        bridge_index = interface_index(bridge)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        wait_for(
            lambda: not list(processes_of(folder, SERVERS)), what="the servers to die", timeout_seconds=10
        )

        with running_control_plane() as next_plane, running_node(next_plane):
            assert traces_of(folder) == []
            assert interface_index(bridge) != bridge_index
            assert run_pod(next_plane, "default", host_pod("hello", ["echo", "hello"])) == "hello\n"
    assert "test.local/host:1" in node.ctr("images", "list", "--quiet").stdout


@contextmanager
def killable_cluster() -> Iterator[tuple[subprocess.Popen[str], Path, str]]:
    """Start a cluster with a running pod in a process of its own."""
    command = [sys.executable, "-c", CLUSTER_WITH_POD]
    owner = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        folder, bridge = owner.stdout.readline().split()
        yield owner, Path(folder), bridge
    finally:
        owner.kill()
        owner.wait()
        if owner.stdout is not None:
            owner.stdout.close()


def interface_index(bridge: str) -> int | None:
    """Return what tells an interface from a later one of the same name."""
    index = Path("/sys/class/net", bridge, "ifindex")
    return int(index.read_text()) if index.exists() else None


def traces_of(folder: Path) -> list[str]:
    """Return everything of a run that is still on the machine."""
    text = f"{folder}/"
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if text in line]
    links = [str(link) for link in CONTAINER_LOG_LINKS.iterdir() if text in str(link.readlink())]
    results = [str(result) for result in CNI_RESULTS.iterdir() if text in result.read_text()]
    processes = [f"process {process}" for process in processes_of(folder)]
    files = [str(folder)] if folder.exists() else []
    return [*mounts, *links, *results, *processes, *files]
