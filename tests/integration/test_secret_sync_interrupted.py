"""Many schedulers at once, killed schedulers, and an API server that is away."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from airflow_sa_binding.cluster.api import SecretApi
from airflow_sa_binding.cluster.background import BackgroundSync
from airflow_sa_binding.cluster.plan import Action
from airflow_sa_binding.cluster.state import Ready, Unknown
from airflow_sa_binding.cluster.sync import sync_secrets
from tests.cluster.cluster import Cluster
from tests.integration.installation import (
    ETL_SECRET,
    Installation,
    eventually,
    key_in,
    many_accounts,
    names_in,
)
from tests.keys import ETL, key_json, write_key

pytestmark = pytest.mark.cluster


def test_many_schedulers_at_once(installation: Installation, control_plane: Cluster, namespace: str) -> None:
    """Schedulers that start at the same moment share the work: each Secret is created once, and none fails."""
    keys = many_accounts(installation, 40)
    apis = [SecretApi(control_plane.client()) for _ in range(4)]
    with ThreadPoolExecutor(len(apis)) as pool:
        reports = list(pool.map(lambda api: sync_secrets(api, installation.configuration, keys, {}), apis))

    assert sum(report.count(Action.CREATED) for report in reports) == 40
    assert sum(report.count(Action.UNCHANGED) for report in reports) == 120
    assert [report.problems for report in reports] == [{}] * 4
    assert len(names_in(control_plane, namespace)) == 40


_ENDLESS_ROUND = """
import sys
from kubernetes import config
from tests.integration.installation import Installation, many_accounts
from airflow_sa_binding.cluster.api import SecretApi
from airflow_sa_binding.cluster.sync import sync_secrets
from pathlib import Path
from tests.keys import ETL
installation = Installation(Path(sys.argv[2]), None, sys.argv[3])
installation.list_accounts(ETL)
api = SecretApi(config.new_client_from_config(sys.argv[1]))
sync_secrets(api, installation.configuration, many_accounts(installation, 200), {})
"""


def test_scheduler_that_is_killed_half_way_is_completed_by_the_next(
    installation: Installation, control_plane: Cluster, namespace: str
) -> None:
    """A kill -9 in the middle of a round leaves whole Secrets, and the next round makes the others."""
    arguments = [str(control_plane.kubeconfig), str(installation.folder), namespace]
    scheduler = subprocess.Popen([sys.executable, "-c", _ENDLESS_ROUND, *arguments])
    eventually(lambda: len(names_in(control_plane, namespace)) > 20, seconds=60)
    scheduler.send_signal(signal.SIGKILL)
    scheduler.wait()
    keys = many_accounts(installation, 200)
    report = sync_secrets(SecretApi(control_plane.client()), installation.configuration, keys, {})

    assert report.count(Action.UNCHANGED) > 20
    assert report.count(Action.CREATED) > 0
    assert report.count(Action.UNCHANGED, Action.CREATED) == 200


@pytest.fixture
def background(installation: Installation) -> Iterator[BackgroundSync]:
    """Give a scheduler's thread, not started."""
    sync = BackgroundSync(
        reload=lambda: installation.configuration,
        api_client=installation.cluster.client(),
        states=installation.states,
        on_configuration=lambda _: None,
    )
    yield sync
    sync.stop()


def test_api_server_that_is_away_at_the_start(
    installation: Installation, control_plane: Cluster, namespace: str, background: BackgroundSync
) -> None:
    """A scheduler starts without the API server, tells its tasks to wait, and recovers by itself."""
    with control_plane.api_server_outage():
        began = time.monotonic()
        background.start(first_round_seconds=30)
        taken = time.monotonic() - began
        state = installation.states.state_of(namespace, ETL_SECRET)
    eventually(lambda: installation.states.state_of(namespace, ETL_SECRET) == Ready())

    assert taken < 5
    assert isinstance(state, Unknown)
    assert "cannot be reached (Connection refused)" in state.message
    assert key_in(control_plane, namespace) == key_json(ETL)


def test_api_server_that_goes_away_later(
    installation: Installation,
    control_plane: Cluster,
    namespace: str,
    background: BackgroundSync,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An outage leaves what was ready, is said once, and a key that was rotated meanwhile arrives after it."""
    caplog.set_level(logging.INFO)
    background.start(first_round_seconds=30)
    with control_plane.api_server_outage():
        write_key(installation.path(ETL), ETL, generation=1)
        background.wake()
        eventually(lambda: any("cannot be reached" in message for message in caplog.messages))
        for _ in range(3):
            background.wake()
            time.sleep(0.2)
        state = installation.states.state_of(namespace, ETL_SECRET)
    eventually(lambda: "sa_binding.recovered API server" in caplog.messages)

    assert state == Ready()
    assert len([message for message in caplog.messages if "cannot be reached" in message]) == 1
    assert key_in(control_plane, namespace) == key_json(ETL, generation=1)


def test_bad_key_is_said_once_and_so_is_its_end(
    installation: Installation, namespace: str, background: BackgroundSync, caplog: pytest.LogCaptureFixture
) -> None:
    """A key file that stays bad for hours is one line in the log, and one more when it is whole again."""
    caplog.set_level(logging.INFO)
    installation.configuration = replace(installation.configuration, sync_interval_seconds=0)
    background.start(first_round_seconds=30)
    draft = installation.folder / "draft"
    draft.write_text("{")
    draft.replace(installation.path(ETL))
    eventually(lambda: any("sa_binding.problem" in message for message in caplog.messages))
    time.sleep(0.5)
    write_key(installation.path(ETL), ETL)
    eventually(lambda: any("sa_binding.recovered" in message for message in caplog.messages))
    background.stop()

    said = [one for one in caplog.messages if one.startswith(("sa_binding.problem", "sa_binding.recovered"))]
    problem = (
        f"sa_binding.problem key file {installation.path(ETL)} of {ETL}: is not JSON, or not all of it (line 1, "
        "column 2); write the whole key file, and replace it in one step when you rotate it"
    )
    assert said == [problem, f"sa_binding.recovered key of {ETL}"]
    assert installation.states.state_of(namespace, ETL_SECRET) == Ready()
