"""The thread that keeps the managed Secrets what the configuration says, for as long as a scheduler runs.

A process that is forked from the scheduler has no such thread, and nothing in it waits for one.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from airflow_sa_binding.cluster.api import SecretApi
from airflow_sa_binding.cluster.plan import Action
from airflow_sa_binding.cluster.problem_log import ProblemLog
from airflow_sa_binding.cluster.report import Metrics, Report
from airflow_sa_binding.cluster.state import SecretStates
from airflow_sa_binding.cluster.sync import sync_secrets
from airflow_sa_binding.config.key_files import Key
from airflow_sa_binding.config.load import Configuration, load_keys, with_projects

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 1.0
_STOP_SECONDS = 1.0
_RELOADING, _SYNCHRONISING = "reading the configuration", "synchronising Secrets"


class BackgroundSync:
    """Rounds of synchronisation: one at the start, then one per interval, sooner while the API server is away."""

    def __init__(
        self,
        *,
        reload: Callable[[], Configuration],
        api_client: ApiClient,
        states: SecretStates,
        on_configuration: Callable[[Configuration], None],
        metrics: Metrics | None = None,
    ) -> None:
        """Start nothing yet.

        Arguments:
            reload: Reads the configuration; asked before every round.
            api_client: The cluster, and the credentials for it.
            states: Told the state of every Secret.
            on_configuration: Given what was read, before each round and at the start in the caller's thread.
            metrics: Where to count.
        """
        self._reload = reload
        self._api = SecretApi(api_client)
        self._states = states
        self._on_configuration = on_configuration
        self._metrics = metrics
        self._problems = ProblemLog(_log)
        self._crashes = ProblemLog(_log)
        self._configuration: Configuration | None = None
        self._keys: Mapping[str, Key] = {}
        self._refusals: Mapping[str, str] = {}
        # A bad key file does not take an account's project from it.
        self._last_good_keys: Mapping[str, Key] = {}
        self._failures = 0
        self._pid = 0
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._first_round_done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sa-binding-sync", daemon=True)

    def start(self, *, first_round_seconds: float) -> None:
        """Read the configuration and do the first round; what has not been done in time goes on in the background.

        Nothing is raised: a scheduler whose configuration or API server is broken still runs its other tasks.
        """
        self._pid = os.getpid()
        self._try_to(_RELOADING, self._read_configuration)
        self._thread.start()
        if not self._first_round_done.wait(first_round_seconds):
            _log.warning(
                "sa_binding.sync is not done after %g seconds and goes on in the background; "
                "tasks with an identity wait for its Secret",
                first_round_seconds,
            )

    def stop(self) -> None:
        """Do no further call; returns within a second, even if the API server hangs."""
        # In a process that was forked from the scheduler, the events' locks may be held by nobody.
        if self._pid != os.getpid():
            return
        self._stopping.set()
        self._wake.set()
        self._thread.join(_STOP_SECONDS)

    def wake(self) -> None:
        """Do the next round now."""
        if self._pid == os.getpid():
            self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            is_done = self._try_to(_SYNCHRONISING, self._sync)
            self._first_round_done.set()
            self._failures = 0 if is_done else self._failures + 1
            self._wake.wait(self._pause_seconds())
            self._wake.clear()
            if not self._stopping.is_set():
                self._try_to(_RELOADING, self._read_configuration)

    def _try_to(self, what: str, do: Callable[[], bool]) -> bool:
        """Do a part of a round; return whether it succeeded. The thread survives whatever goes wrong in it."""
        try:
            is_done = do()
        except Exception as error:  # noqa: BLE001 - logged in full, and no later round may be lost
            message = f"{what} failed: {type(error).__name__}: {error}"
            self._crashes.say(what, message, with_traceback=True)
            return False
        self._crashes.end(what)
        return is_done

    def _read_configuration(self) -> bool:
        configuration = self._reload()
        keys, refusals = load_keys(configuration, self._last_good_keys)
        known = {account: self._last_good_keys.get(account) for account in refusals}
        self._last_good_keys = {**{name: key for name, key in known.items() if key}, **keys}
        self._configuration = with_projects(configuration, self._last_good_keys)
        self._keys, self._refusals = keys, refusals
        self._on_configuration(self._configuration)
        return True

    def _sync(self) -> bool:
        configuration = self._configuration
        if configuration is None:
            return False
        report = sync_secrets(
            self._api,
            configuration,
            self._keys,
            self._refusals,
            states=self._states,
            is_stopped=self._stopping.is_set,
        )
        named = {f"configuration, {problem.field}": str(problem) for problem in configuration.problems}
        self._problems.update({**named, **report.problems}, is_complete=report.is_complete)
        _log_changes(report)
        if self._metrics is not None:
            report.send(self._metrics)
        return report.is_complete

    def _pause_seconds(self) -> float:
        """Return how long to wait, with jitter, so that schedulers that started together do not call together."""
        interval = float(
            self._configuration.sync_interval_seconds if self._configuration else FIRST_RETRY_SECONDS
        )
        if not self._failures:
            return interval * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        backoff = FIRST_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 16)
        return min(interval, backoff) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _log_changes(report: Report) -> None:
    for outcome in report.outcomes:
        if outcome.action is Action.UPDATED and outcome.message:
            _log.warning("sa_binding.repaired %s", outcome.message)
    counts = [(action, report.count(action)) for action in (Action.CREATED, Action.UPDATED, Action.PRUNED)]
    if any(count for _, count in counts):
        _log.info("sa_binding.synced %s", " ".join(f"{action.value}={count}" for action, count in counts))
