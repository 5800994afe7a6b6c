"""How tests talk to a cluster: kubeconfig files, the Python client and kubectl.

Knows nothing of how the cluster came to be, so that it serves for a cluster that somebody else runs.
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

from kubernetes import config
from kubernetes.client import ApiClient, CoreV1Api

from tests.cluster.build import binaries_folder, is_built
from tests.cluster.pki import KeyPair, write_private
from tests.cluster.servers import wait_for


class KubectlError(RuntimeError):
    """kubectl ended with another status than 0."""


def build_kubeconfig(server: str, ca: bytes, user: dict[str, Any]) -> str:
    """Return a kubeconfig with one cluster and one user; JSON, which is YAML."""
    cluster = {"server": server, "certificate-authority-data": _base64(ca)}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        },
        indent=1,
    )


def build_certificate_user(pair: KeyPair) -> dict[str, Any]:
    """Return the `user` of a kubeconfig that shows a client certificate."""
    return {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Access:
    """A cluster, seen through one kubeconfig file."""

    def __init__(self, kubeconfig: Path, *, scratch: Path) -> None:
        """Use `kubeconfig`; kubeconfig files for others are written into the folder `scratch`."""
        self.kubeconfig = kubeconfig
        self._scratch = scratch

    def client(self) -> ApiClient:
        """Return a new client of the official Python library."""
        return config.new_client_from_config(str(self.kubeconfig))

    def core(self) -> CoreV1Api:
        """Return a client for pods, Secrets and the like."""
        return CoreV1Api(self.client())

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - named as in subprocess.run
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and capture what it prints.

        Raises:
            KubectlError: it failed, unless `check` is false.
        """
        command = [str(find_kubectl()), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise KubectlError(
                f"kubectl {' '.join(arguments)}: exit status {done.returncode}: {done.stderr.strip()}"
            )
        return done

    def service_account_token(
        self, namespace: str, name: str, *, audiences: tuple[str, ...] = (), expiration_seconds: int = 3600
    ) -> str:
        """Ask the API server for a token of a service account, by default one for the API server itself."""
        spec: dict[str, Any] = {"expirationSeconds": expiration_seconds, "audiences": list(audiences)}
        answer = self.core().create_namespaced_service_account_token(name, namespace, {"spec": spec})
        token: str = answer.status.token
        return token

    def as_service_account(self, namespace: str, name: str) -> Access:
        """Return the access of a service account, by a token of one hour."""
        user = {"token": self.service_account_token(namespace, name)}
        return self._access_of(f"{namespace}.{name}", user)

    def _access_of(self, name: str, user: dict[str, Any]) -> Access:
        # kubectl reads our own kubeconfig: the Python library tells nobody what it read.
        view = self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json").stdout
        cluster = json.loads(view)["clusters"][0]["cluster"]
        ca = base64.b64decode(cluster["certificate-authority-data"])
        self._scratch.mkdir(mode=0o700, exist_ok=True)
        path = self._scratch / f"{name}-{secrets.token_hex(4)}.kubeconfig".replace("/", "_")
        write_private(path, build_kubeconfig(cluster["server"], ca, user).encode())
        return Access(path, scratch=self._scratch)


def find_kubectl() -> Path:
    """Return the kubectl that was built here, else the one on PATH.

    Raises:
        FileNotFoundError: there is neither.
    """
    if is_built():
        return binaries_folder() / "kubectl"
    on_path = shutil.which("kubectl")
    if on_path is None:
        raise FileNotFoundError("kubectl: not on PATH; install it or run `python -m tests.cluster build`")
    return Path(on_path)


def is_namespace_ready(core: CoreV1Api, namespace: str) -> bool:
    """Tell whether pods can be created: the controllers have made the service account and the CA bundle."""
    accounts = {item.metadata.name for item in core.list_namespaced_service_account(namespace).items}
    maps = {item.metadata.name for item in core.list_namespaced_config_map(namespace).items}
    return "default" in accounts and "kube-root-ca.crt" in maps


def create_namespace(core: CoreV1Api, name: str) -> None:
    """Create a namespace and wait until pods can be created in it."""
    core.create_namespace({"metadata": {"name": name}})
    wait_for(
        lambda: is_namespace_ready(core, name), what=f"service account and CA bundle of namespace {name}"
    )
