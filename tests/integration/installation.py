"""What the tests of managed Secrets share: an installation with its key files, and a look at the cluster."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient

from airflow_sa_binding.binding.identity import Identity, KeySecret, Settings
from airflow_sa_binding.cluster.api import SecretApi
from airflow_sa_binding.cluster.plan import Action
from airflow_sa_binding.cluster.report import Report
from airflow_sa_binding.cluster.state import SecretStates
from airflow_sa_binding.cluster.sync import sync_secrets
from airflow_sa_binding.config.key_files import Key
from airflow_sa_binding.config.load import Configuration, load_keys
from tests.cluster.cluster import Cluster
from tests.keys import ADS, ETL, write_key

ETL_SECRET = "gcp-sa-etl-fd6d6038"
ADS_SECRET = "gcp-sa-ads-a2a90470"


class Installation:
    """The key files and the configuration of a platform engineer, and the rounds of a scheduler."""

    def __init__(self, folder: Path, cluster: Cluster, *namespaces: str) -> None:
        self.cluster = cluster
        self.folder = folder
        self.states = SecretStates()
        self.configuration = Configuration(
            settings=Settings(namespaces=namespaces), sync_interval_seconds=1000
        )

    def path(self, account: str) -> Path:
        """Return where the key of an account is."""
        return self.folder / f"{account.partition('@')[0]}.json"

    def list_accounts(self, *accounts: str) -> None:
        """List these accounts and write the keys that are missing."""
        identities = {
            name: Identity(name=name, delivery=KeySecret(secret_name=secret, managed=True))
            for name, secret in ((ETL, ETL_SECRET), (ADS, ADS_SECRET))
            if name in accounts
        }
        for account in accounts:
            if not self.path(account).exists():
                write_key(self.path(account), account)
        self.configuration = replace(
            self.configuration,
            settings=replace(self.configuration.settings, identities=identities),
            key_paths={name: self.path(name) for name in accounts},
        )

    def sync(self, *, client: ApiClient | None = None, **options: Any) -> Report:
        """Do one round."""
        keys, refusals = load_keys(self.configuration)
        api = SecretApi(client or self.cluster.client())
        return sync_secrets(api, self.configuration, keys, refusals, states=self.states, **options)


def actions(report: Report) -> list[tuple[str, Action]]:
    """Show what became of each account's Secret."""
    return [(outcome.account, outcome.action) for outcome in report.outcomes]


def read(cluster: Cluster, namespace: str, name: str = ETL_SECRET) -> dict[str, Any]:
    """Return a Secret as it is stored, with its managed fields."""
    shown = cluster.kubectl("get", "secret", name, "-n", namespace, "-o", "json", "--show-managed-fields")
    secret: dict[str, Any] = json.loads(shown.stdout)
    return secret


def key_in(cluster: Cluster, namespace: str, name: str = ETL_SECRET) -> str:
    """Return the key in a Secret."""
    return base64.b64decode(read(cluster, namespace, name)["data"]["key.json"]).decode()


def names_in(cluster: Cluster, namespace: str) -> set[str]:
    """Return the names of a namespace's Secrets."""
    return {secret.metadata.name for secret in cluster.core().list_namespaced_secret(namespace).items}


def eventually(is_so: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def make_secret(cluster: Cluster, namespace: str, data: Mapping[str, str], **metadata: Any) -> None:
    """Make a Secret of our name, as somebody else would."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": ETL_SECRET, **metadata},
        "stringData": dict(data),
    }
    cluster.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(manifest))


def allow(cluster: Cluster, namespace: str, *verbs: str) -> ApiClient:
    """Return the client of a new user who may do these things with the namespace's Secrets."""
    user = f"user-{secrets.token_hex(4)}"
    if verbs:
        flags = [f"--verb={verb}" for verb in verbs]
        cluster.kubectl("create", "role", user, "-n", namespace, "--resource=secrets", *flags)
        cluster.kubectl("create", "rolebinding", user, "-n", namespace, f"--role={user}", f"--user={user}")
    return cluster.as_user(user).client()


def our_calls(cluster: Cluster, mark: int) -> list[tuple[str, str, str]]:
    """Return what we asked the API server, from its audit log."""
    time.sleep(0.3)  # it is written after the answer is sent
    return [
        (request.verb, request.resource, request.namespace)
        for request in cluster.audit_log.requests_since(mark)
        if request.user_agent.startswith("airflow-sa-binding/")
    ]


def many_accounts(installation: Installation, number: int) -> dict[str, Key]:
    """Make keys of many accounts, which need not be on disk."""
    keys, _ = load_keys(installation.configuration)
    return {
        account: replace(keys[ETL], account=account)
        for account in (f"sa{index}@acme.iam.gserviceaccount.com" for index in range(number))
    }
