"""A Kubernetes control plane on 127.0.0.1: etcd, API server, controller manager, scheduler.

Runs as any user. Knows how the servers are configured and which of them waits for which.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests.cluster.access import Access, build_certificate_user, build_kubeconfig, is_namespace_ready
from tests.cluster.audit_log import POLICY, AuditLog
from tests.cluster.build import build_binaries
from tests.cluster.cluster import Cluster
from tests.cluster.pki import Authority, create_signing_key, write_private
from tests.cluster.runs import Run, new_run
from tests.cluster.servers import LOCALHOST, ReservedPort, Server

ISSUER = "https://kubernetes.default.svc"  # also the API server's own audience
SERVICE_RANGE, SERVICE_ADDRESS = "10.0.0.0/24", "10.0.0.1"

# What pods, their service accounts and the guard's policies need; the other thirty only cost time.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "taint-eviction-controller",
    "validatingadmissionpolicy-status-controller",
)


@contextmanager
def running_control_plane() -> Iterator[ControlPlane]:
    """Give a control plane that is ready for pods to be created, and end it afterwards."""
    binaries = build_binaries()
    with new_run() as run, closing(ReservedPort()) as port:
        plane = ControlPlane(run, binaries, port.number)
        try:
            plane.start()
            yield plane
        finally:
            plane.kill()


class ControlPlane(Cluster):
    """A control plane of our own."""

    def __init__(self, run: Run, binaries: Path, port: int) -> None:
        """Write keys, certificates and configuration; `start` starts the servers."""
        super().__init__(run.folder / "admin.kubeconfig", scratch=run.folder / "users")
        self.run = run
        self.binaries = binaries
        self.port = port
        self.pki = run.folder / "pki"
        self._write_pki()
        (run.folder / "audit-policy.yaml").write_text(json.dumps(POLICY))
        self._tls = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        self._etcd = self._server("etcd", self._etcd_flags())
        self._api_server = self._server("kube-apiserver", self._api_server_flags())
        self._controller_manager = self._server("kube-controller-manager", self._controller_manager_flags())
        self._scheduler = self._server("kube-scheduler", self._scheduler_flags())

    def start(self) -> None:
        """Start all servers and wait until a pod can be created in namespace `default`."""
        self._etcd.start()
        self._etcd.wait_until((self.run.folder / "etcd.sock").exists, timeout_seconds=30)
        self.start_api_server()
        self._controller_manager.start()
        self._scheduler.start()
        core = self.core()
        self._controller_manager.wait_until(lambda: is_namespace_ready(core, "default"), timeout_seconds=90)

    def kill(self) -> None:
        """End all servers."""
        for server in (self._scheduler, self._controller_manager, self._api_server, self._etcd):
            server.kill()

    def as_user(self, name: str, groups: Sequence[str] = ()) -> Access:
        """Return the access of any user, by a client certificate."""
        return self._access_of(name, build_certificate_user(self.authority.issue_client(name, groups)))

    @property
    def authority(self) -> Authority:
        """The authority that the API server trusts for its clients."""
        return Authority.load(self.pki, "ca")

    @property
    def audit_log(self) -> AuditLog:
        """What the API server was asked since the cluster was started."""
        return AuditLog(self.run.folder / "audit.log")

    @property
    def api_server_log(self) -> Path:
        """What the API server says."""
        return self._api_server.log

    @property
    def server_url(self) -> str:
        """Where the API server is."""
        return f"https://{LOCALHOST}:{self.port}"

    def stop_api_server(self) -> None:
        """Kill the API server."""
        self._api_server.kill()

    def start_api_server(self) -> None:
        """Start the API server, on the port that stays reserved for it, and wait until it is ready."""
        self._api_server.start()
        self._api_server.wait_until(self._is_api_server_ready, timeout_seconds=90)

    def _is_api_server_ready(self) -> bool:
        connection = http.client.HTTPSConnection(LOCALHOST, self.port, timeout=5, context=self._tls)
        with closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK

    def _write_pki(self) -> None:
        self.pki.mkdir()
        authority = Authority.create("test-cluster-ca")
        authority.pair.write(self.pki, "ca")
        write_private(self.pki / "service-accounts.key", create_signing_key())
        addresses = [LOCALHOST, SERVICE_ADDRESS, "localhost", "kubernetes.default.svc"]
        authority.issue_server("kube-apiserver", addresses).write(self.pki, "server")
        # The API server shows the kubelet the administrator's certificate, so that logs and exec work.
        admin = authority.issue_client("admin", ["system:masters"])
        admin.write(self.pki, "admin")
        users = {
            "admin": admin,
            "kube-controller-manager": authority.issue_client("system:kube-controller-manager"),
            "kube-scheduler": authority.issue_client("system:kube-scheduler"),
        }
        for name, pair in users.items():
            content = build_kubeconfig(
                self.server_url, authority.pair.certificate, build_certificate_user(pair)
            )
            write_private(self.run.folder / f"{name}.kubeconfig", content.encode())

    def _server(self, component: str, flags: dict[str, str | Path]) -> Server:
        return Server(
            component,
            [self.binaries / component, *(f"--{name}={value}" for name, value in flags.items())],
            log=self.run.folder / f"{component}.log",
            starter=self.run.starter,
        )

    @property
    def _etcd_url(self) -> str:
        # A socket in the run's private folder: no port to lose to somebody, no certificates.
        return f"unix://{self.run.folder}/etcd.sock"

    def _etcd_flags(self) -> dict[str, str | Path]:
        # What it advertises must be host:port, and is used by nobody: there is one member, and one client.
        nobody = f"http://{LOCALHOST}:1"
        return {
            "data-dir": self.run.folder / "etcd",
            "listen-client-urls": self._etcd_url,
            "advertise-client-urls": nobody,
            "listen-peer-urls": "unix://etcd-peer.sock",  # of peers' sockets it takes the "host" only: relative
            "initial-advertise-peer-urls": nobody,
            "initial-cluster": f"default={nobody}",
            "unsafe-no-fsync": "true",  # nobody keeps these data through a power cut
            "log-level": "warn",
        }

    def _api_server_flags(self) -> dict[str, str | Path]:
        return {
            "etcd-servers": self._etcd_url,
            "bind-address": LOCALHOST,
            "advertise-address": LOCALHOST,
            "secure-port": str(self.port),
            "permit-port-sharing": "true",  # with the socket that reserves the port
            "tls-cert-file": self.pki / "server.crt",
            "tls-private-key-file": self.pki / "server.key",
            "client-ca-file": self.pki / "ca.crt",
            "kubelet-client-certificate": self.pki / "admin.crt",
            "kubelet-client-key": self.pki / "admin.key",
            "kubelet-certificate-authority": self.pki / "ca.crt",
            "kubelet-preferred-address-types": "InternalIP",
            "service-account-issuer": ISSUER,
            "api-audiences": ISSUER,
            "service-account-key-file": self.pki / "service-accounts.key",
            "service-account-signing-key-file": self.pki / "service-accounts.key",
            "service-cluster-ip-range": SERVICE_RANGE,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "endpoint-reconciler-type": "none",  # it refuses a loopback address
            "allow-privileged": "true",
            "profiling": "false",
            "audit-policy-file": self.run.folder / "audit-policy.yaml",
            "audit-log-path": self.run.folder / "audit.log",
            "audit-log-maxsize": "10000",  # megabytes: a rotation would hide what was counted
        }

    def _controller_manager_flags(self) -> dict[str, str | Path]:
        return self._client_flags("kube-controller-manager") | {
            "controllers": ",".join(CONTROLLERS),
            "service-account-private-key-file": self.pki / "service-accounts.key",
            "root-ca-file": self.pki / "ca.crt",
            "use-service-account-credentials": "true",
        }

    def _scheduler_flags(self) -> dict[str, str | Path]:
        return self._client_flags("kube-scheduler")

    def _client_flags(self, component: str) -> dict[str, str | Path]:
        return {
            "kubeconfig": self.run.folder / f"{component}.kubeconfig",
            "leader-elect": "false",
            "secure-port": "0",  # nobody asks them anything
            "profiling": "false",
        }
