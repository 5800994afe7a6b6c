"""Synchronisation of many Secrets with a real API server, next to a bare loop of the same writes."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import urllib3

from airflow_sa_binding.binding import names
from airflow_sa_binding.binding.identity import Identity, KeySecret, Settings
from airflow_sa_binding.cluster.api import CONNECT_SECONDS, READ_SECONDS, SecretApi
from airflow_sa_binding.cluster.manifests import build_secret
from airflow_sa_binding.cluster.plan import Action
from airflow_sa_binding.cluster.sync import sync_secrets
from airflow_sa_binding.config.key_files import Key
from airflow_sa_binding.config.load import Configuration, load_keys
from tests.benchmarks.bench import Bench
from tests.benchmarks.pairs import measure_pairs
from tests.benchmarks.report import Check, Section, Table, at_most
from tests.cluster.control_plane import ControlPlane
from tests.keys import write_key

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

IDENTITIES = 1000
NAMESPACES = 5
ROUNDS = 4
UNCHANGED_ROUNDS = 5

_USER = "sync"

_METHOD = """
Identities with a key each, in {namespaces} namespaces: a first round writes {secrets} Secrets. The bare loop sends the
same requests, built beforehand, over the same connection pool of the same Kubernetes client, and reads no answer but
its status. Each round has fresh namespaces; the two take turns, {rounds} rounds each. The *ratio* is the median of the
ratios of rounds that followed each other. A round with nothing to do is counted in the API server's audit log.
"""


def measure(bench: Bench) -> Section:
    """Time first rounds, and rounds with nothing to do."""
    cluster = bench.cluster()
    count = bench.count(IDENTITIES)
    configuration = _write_keys(bench, count)
    start = time.perf_counter()
    keys, refusals = load_keys(configuration)
    loading = time.perf_counter() - start
    start = time.perf_counter()
    load_keys(configuration, keys)
    loading_again = time.perf_counter() - start
    client = cluster.as_user(_USER, ["system:masters"]).client()
    api = SecretApi(client)
    first_rounds = _FirstRounds(bench, cluster, client, api, configuration, keys)
    rounds = bench.count(ROUNDS)
    pairs = measure_pairs(first_rounds.bare, first_rounds.ours, rounds, warm_up=False)
    synced = first_rounds.synced
    assert synced is not None
    unchanged: list[float] = []
    asked: set[str] = set()
    for _ in range(UNCHANGED_ROUNDS):
        mark = cluster.audit_log.mark()
        start = time.perf_counter()
        report = sync_secrets(api, synced, keys, refusals)
        unchanged.append(time.perf_counter() - start)
        assert report.count(Action.UNCHANGED) == count * NAMESPACES, report.problems
        calls = Counter(
            f"{request.verb} {request.resource}"
            for request in cluster.audit_log.requests_since(mark)
            if request.user == _USER
        )
        asked.add(", ".join(f"{number} {what}" for what, number in sorted(calls.items())))
    calls_shown = " or ".join(sorted(asked))
    writes = count * NAMESPACES
    return Section(
        title=f"{count:,} identities in {NAMESPACES} namespaces",
        method=_METHOD.format(namespaces=NAMESPACES, secrets=f"{writes:,}", rounds=rounds),
        table=Table(
            header=("", "median", "for each Secret"),
            rows=(
                _row("bare loop", statistics.median(pairs.first), writes),
                _row("first round", statistics.median(pairs.second), writes),
                _row("round with nothing to do", statistics.median(unchanged), writes),
                _row("reading the key files, first", loading, count),
                _row("reading the key files, unchanged", loading_again, count),
            ),
        ),
        checks=(
            at_most("first round, in terms of the bare loop", pairs.ratio, 1.2, "", digits=3),
            Check(
                what="calls in a round with nothing to do",
                measured=calls_shown,
                limit=f"{NAMESPACES} list secrets",
                is_kept=asked == {f"{NAMESPACES} list secrets"},
            ),
        ),
    )


def _write_keys(bench: Bench, count: int) -> Configuration:
    """Write the key files of that many accounts, and return the configuration that lists them."""
    accounts = [f"account-{number:04}@acme.iam.gserviceaccount.com" for number in range(count)]
    paths = {account: bench.folder / f"{account.partition('@')[0]}.json" for account in accounts}
    for account, path in paths.items():
        write_key(path, account)
    identities = {
        account: Identity(
            name=account, delivery=KeySecret(secret_name=names.secret_name(account), managed=True)
        )
        for account in accounts
    }
    return Configuration(settings=Settings(identities=identities), key_paths=paths)


class _FirstRounds:
    """Does first rounds, each in namespaces of its own."""

    def __init__(
        self,
        bench: Bench,
        cluster: ControlPlane,
        client: ApiClient,
        api: SecretApi,
        configuration: Configuration,
        keys: Mapping[str, Key],
    ) -> None:
        self.bench = bench
        self.core = cluster.core()
        self.client = client
        self.api = api
        self.configuration = configuration
        self.keys = keys
        self.number = 0
        self.synced: Configuration | None = None
        """For the namespaces of our latest round."""

    def ours(self) -> float:
        """Return the seconds of a first round of ours."""
        settings = Settings(identities=self.configuration.settings.identities, namespaces=self._namespaces())
        configuration = Configuration(settings=settings, key_paths=self.configuration.key_paths)
        start = time.perf_counter()
        report = sync_secrets(self.api, configuration, self.keys, {})
        seconds = time.perf_counter() - start
        assert report.count(Action.CREATED) == len(self.keys) * NAMESPACES, report.problems
        self.synced = configuration
        self._tell("ours", seconds)
        return seconds

    def bare(self) -> float:
        """Return the seconds of the same writes in a bare loop."""
        requests = self._requests(self._namespaces())
        headers = {
            **self.client.default_headers,
            "Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            "Content-Type": "application/apply-patch+yaml",
        }
        pool = self.client.rest_client.pool_manager
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        start = time.perf_counter()
        for url, body in requests:
            answer = pool.request(
                "PATCH", url, headers=headers, body=body, timeout=timeout, retries=False, redirect=False
            )
            assert answer.status == 201, answer.status
        seconds = time.perf_counter() - start
        self._tell("bare loop", seconds)
        return seconds

    def _requests(self, namespaces: Sequence[str]) -> list[tuple[str, bytes]]:
        requests = []
        for namespace in namespaces:
            version = self.api.list_secrets(namespace).resource_version
            for key in self.keys.values():
                body = build_secret(key, namespace=namespace, resource_version=version)
                path = f"/api/v1/namespaces/{namespace}/secrets/{names.secret_name(key.account)}"
                url = f"{self.api.server}{path}?fieldManager={names.MANAGER}&force=true"
                requests.append((url, json.dumps(body).encode()))
        return requests

    def _namespaces(self) -> tuple[str, ...]:
        self.number += 1
        created = tuple(f"sync-{self.number}-{letter}" for letter in "abcdefgh"[:NAMESPACES])
        for name in created:
            self.core.create_namespace({"metadata": {"name": name}})
        return created

    def _tell(self, what: str, seconds: float) -> None:
        self.bench.say(f"  round {self.number}, {what}: {seconds:.2f} s")


def _row(what: str, seconds: float, items: int) -> tuple[str, str, str]:
    return what, f"{seconds:,.3f} s", f"{1e6 * seconds / items:,.0f} µs"
