"""A node: containerd and a kubelet that runs the pods of one control plane, for root.

Knows how the kubelet is configured. The node is named 127.0.0.1, as in Kubernetes' own local-up-cluster.sh:
its InternalIP is then the loopback address, which the kubelet refuses as --node-ip, and `kubectl logs` and
`kubectl exec` reach it there. Like every kubelet it sets vm.overcommit_memory, vm.panic_on_oom, kernel.panic and
kernel.panic_on_oops of the machine; it has no option that leaves them alone.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import client

from tests.cluster.access import build_certificate_user, build_kubeconfig
from tests.cluster.containerd import Containerd
from tests.cluster.control_plane import ControlPlane
from tests.cluster.images import HOST
from tests.cluster.install import find_cni_plugins
from tests.cluster.leftovers import remove_containers
from tests.cluster.pki import write_private
from tests.cluster.servers import LOCALHOST, Server, ServerError, find_free_port

_PORT_ATTEMPTS = 5


@contextmanager
def running_node(plane: ControlPlane) -> Iterator[Node]:
    """Give a Ready node of `plane`; its containers end with it."""
    node = Node(plane)
    try:
        node.start()
        yield node
    finally:
        node.kill()


class Node:
    """The one node of a control plane."""

    name = LOCALHOST

    def __init__(self, plane: ControlPlane) -> None:
        """Write the configuration; `start` starts the servers."""
        cni_plugins = find_cni_plugins()
        if cni_plugins is None:
            raise FileNotFoundError("CNI plugins: not found; apt-get install containernetworking-plugins")
        self._plane = plane
        self._folder = plane.run.folder
        self._containerd = Containerd(plane.run, cni_plugins=cni_plugins)
        self._write_credentials()
        self._kubelet = Server(
            "kubelet", self._kubelet_command(), log=self._folder / "kubelet.log", starter=plane.run.starter
        )

    def start(self) -> None:
        """Start containerd and the kubelet and wait until the node is Ready."""
        self._containerd.start(self._plane.binaries / "pause")
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._write_kubelet_config(find_free_port())
            self._kubelet.start()
            try:
                self._kubelet.wait_until(self._is_ready, timeout_seconds=120)
            except ServerError:
                # Only a lost race for the port is worth another try.
                if attempt == _PORT_ATTEMPTS or not self._kubelet.has_logged("address already in use"):
                    raise
            else:
                return

    def kill(self) -> None:
        """End the kubelet, containerd and all containers."""
        self._kubelet.kill()
        self._containerd.kill()
        remove_containers(self._folder, self._plane.run.bridge)

    def ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run containerd's own client against this node: `node.ctr("containers", "list")`."""
        return self._containerd.ctr(*arguments)

    def _is_ready(self) -> bool:
        try:
            node = self._plane.core().read_node(self.name)
        except client.ApiException as error:
            if error.status == 404:  # not registered yet
                return False
            raise
        # NotReady's taint goes a moment after the condition comes, and pods wait for it.
        return is_node_ready(node) and not node.spec.taints

    def _write_credentials(self) -> None:
        authority, pki = self._plane.authority, self._plane.pki
        authority.issue_server("kubelet", [LOCALHOST]).write(pki, "kubelet-server")
        user = build_certificate_user(authority.issue_client(f"system:node:{self.name}", ["system:nodes"]))
        content = build_kubeconfig(self._plane.server_url, authority.pair.certificate, user)
        write_private(self._folder / "kubelet.kubeconfig", content.encode())

    def _kubelet_command(self) -> list[str]:
        return [
            str(self._plane.binaries / "kubelet"),
            f"--config={self._folder}/kubelet.yaml",
            f"--kubeconfig={self._folder}/kubelet.kubeconfig",
            f"--root-dir={self._folder}/kubelet",
            f"--cert-dir={self._folder}/kubelet-pki",
            f"--hostname-override={self.name}",
        ]

    def _write_kubelet_config(self, port: int) -> None:
        (self._folder / "kubelet.yaml").write_text(json.dumps(self._build_kubelet_config(port)))

    def _build_kubelet_config(self, port: int) -> dict[str, Any]:
        pki = self._plane.pki
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": LOCALHOST,
            "port": port,
            "healthzPort": 0,
            "tlsCertFile": f"{pki}/kubelet-server.crt",
            "tlsPrivateKeyFile": f"{pki}/kubelet-server.key",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{pki}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{self._containerd.socket}",
            "podLogsDir": f"{self._folder}/pod-logs",
            "volumePluginDir": f"{self._folder}/volume-plugins",
            # The machine may have any cgroups, any swap and no systemd, and is not ours to limit.
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "localStorageCapacityIsolation": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            # A full disk or little memory must neither evict pods nor delete images that no registry has.
            "evictionHard": {"memory.available": "10Mi"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "syncFrequency": "3s",  # how soon a changed Secret reaches a running pod; by default a minute
        }


def is_node_ready(node: client.V1Node) -> bool:
    """Tell whether the kubelet says so."""
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions or ())


def has_host_image(node: client.V1Node) -> bool:
    """Tell whether the node has the image that runs the machine's own Python: so it is one of ours."""
    return any(HOST in (image.names or ()) for image in node.status.images or ())
