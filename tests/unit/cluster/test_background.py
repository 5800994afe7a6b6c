"""The thread: that it starts, goes on whatever happens, and stops."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_sa_binding.binding.errors import Problem
from airflow_sa_binding.cluster.background import BackgroundSync
from airflow_sa_binding.cluster.state import Ready, SecretStates, Unknown
from airflow_sa_binding.config.load import Configuration
from tests.keys import key_json, write_key
from tests.unit.cluster.fake_api_server import Answer, FakeApiServer, Request, fake_api_server, secret_list
from tests.unit.cluster.samples import ETL, ETL_SECRET, configuration


class Scene:
    """A scheduler's part: the configuration on disk, and what was told."""

    def __init__(self, folder: Path, server: FakeApiServer) -> None:
        self.path = folder / "etl.json"
        write_key(self.path, ETL)
        self.configuration = replace(
            configuration(ETL), key_paths={ETL: self.path}, sync_interval_seconds=1000
        )
        self.reload: Callable[[], Configuration] = lambda: self.configuration
        self.states = SecretStates()
        self.told: list[Configuration] = []
        self.sync = BackgroundSync(
            reload=self._read,
            api_client=server.client(),
            states=self.states,
            on_configuration=self.told.append,
        )

    def _read(self) -> Configuration:
        return self.reload()


@contextlib.contextmanager
def running(scene: Scene) -> Iterator[None]:
    """Run the thread."""
    scene.sync.start(first_round_seconds=5)
    try:
        yield
    finally:
        scene.sync.stop()


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def healthy(request: Request) -> Answer:
    """Answer like an API server without Secrets that takes every write."""
    return secret_list() if request.method == "GET" else Answer(201, "{}")


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    """Give an API server."""
    with fake_api_server(healthy) as fake:
        yield fake


@pytest.fixture
def scene(tmp_path: Path, server: FakeApiServer) -> Scene:
    """Give a scheduler's part."""
    return Scene(tmp_path, server)


def test_first_round_is_done_when_start_returns(scene: Scene) -> None:
    """A scheduler that has started finds its Secrets in place, and knows the accounts' projects from their keys."""
    with running(scene):
        assert scene.states.state_of("team-a", ETL_SECRET) == Ready()
        assert scene.told[0].settings.identities[ETL].project == "acme"


def test_api_server_that_hangs_does_not_hold_up_the_start(scene: Scene, server: FakeApiServer) -> None:
    """After the given time, the start returns and the round goes on in the background."""
    server.decide = lambda request: replace(healthy(request), after_seconds=0.5)
    began = time.monotonic()
    scene.sync.start(first_round_seconds=0.1)
    taken = time.monotonic() - began
    settings_known = len(scene.told)
    state_then = scene.states.state_of("team-a", ETL_SECRET)
    eventually(lambda: scene.states.state_of("team-a", ETL_SECRET) == Ready())
    scene.sync.stop()

    assert taken < 0.45
    assert settings_known == 1
    assert isinstance(state_then, Unknown)


def test_stop_does_not_wait_for_a_server_that_hangs(scene: Scene, server: FakeApiServer) -> None:
    """A scheduler ends within about a second, whatever the API server does."""
    server.decide = lambda request: replace(healthy(request), after_seconds=3)
    scene.sync.start(first_round_seconds=0.05)
    began = time.monotonic()
    scene.sync.stop()

    assert time.monotonic() - began < 1.5


def test_stop_ends_the_thread(scene: Scene) -> None:
    """Nothing goes on after stop."""
    before = set(threading.enumerate())
    with running(scene):
        during = {thread.name for thread in set(threading.enumerate()) - before}
    after = {thread.name for thread in set(threading.enumerate()) - before}

    assert "sa-binding-sync" in during
    assert "sa-binding-sync" not in after


def test_stop_without_start_and_twice(scene: Scene) -> None:
    """A scheduler that ends before it started, or ends twice, does no harm."""
    scene.sync.stop()
    scene.sync.start(first_round_seconds=5)
    scene.sync.stop()
    scene.sync.stop()


def test_interval_is_that_of_the_newest_configuration(scene: Scene, server: FakeApiServer) -> None:
    """A shorter interval that is read in one round holds for the next."""
    with running(scene):
        scene.configuration = replace(scene.configuration, sync_interval_seconds=0)
        scene.sync.wake()
        eventually(lambda: len(server.requests) > 20)


def test_recovers_soon_after_the_api_server_does(scene: Scene, server: FakeApiServer) -> None:
    """While the API server is away, rounds follow each other within seconds, however long the interval."""
    server.decide = lambda _: Answer(503, "{}")
    with running(scene):
        server.decide = healthy
        began = time.monotonic()
        eventually(lambda: scene.states.state_of("team-a", ETL_SECRET) == Ready())

        assert time.monotonic() - began < 3


def test_configuration_that_cannot_be_read_any_more_leaves_the_last_one(
    scene: Scene, caplog: pytest.LogCaptureFixture, server: FakeApiServer
) -> None:
    """A reload that crashes is logged once with its traceback; rounds go on with what was read before."""
    with running(scene):

        def crash() -> Configuration:
            raise RuntimeError("boom")

        scene.reload = crash
        for _ in range(3):
            before = len(server.requests)
            scene.sync.wake()
            eventually(lambda before=before: len(server.requests) >= before + 2)  # type: ignore[misc]

    crashes = [one for one in caplog.records if "boom" in one.getMessage()]
    assert [one.getMessage() for one in crashes] == [
        "sa_binding.problem reading the configuration failed: RuntimeError: boom"
    ]
    assert crashes[0].exc_info is not None
    assert scene.states.state_of("team-a", ETL_SECRET) == Ready()


def test_configuration_that_crashes_at_first_does_not_keep_the_scheduler_from_starting(
    scene: Scene, server: FakeApiServer
) -> None:
    """Without any configuration nothing is written; once there is one, rounds begin."""

    def crash() -> Configuration:
        raise RuntimeError("boom")

    read = scene.reload
    scene.reload = crash
    with running(scene):
        assert (server.requests, scene.told) == ([], [])
        scene.reload = read
        eventually(lambda: scene.states.state_of("team-a", ETL_SECRET) == Ready())


def test_thread_survives_an_error_of_its_own(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody thought of ends a round, not the thread."""
    healed = scene.configuration
    broken = replace(healed.settings, namespaces=(3,))  # type: ignore[arg-type]
    scene.configuration = replace(healed, settings=broken)
    with running(scene):
        scene.configuration = healed
        eventually(lambda: scene.states.state_of("team-a", ETL_SECRET) == Ready())

    assert any("synchronising Secrets failed: TypeError" in message for message in caplog.messages)


def test_half_written_key_is_never_sent_and_said_once(
    scene: Scene, server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A file caught half-way is not applied; the account keeps its project; the problem is one line, then its end."""
    caplog.set_level(logging.INFO)
    whole = key_json(ETL)
    with running(scene):
        scene.path.write_text(whole[: len(whole) // 2])
        for _ in range(3):
            told = len(scene.told)
            scene.sync.wake()
            eventually(lambda told=told: len(scene.told) > told)  # type: ignore[misc]
        requests = len(server.requests)
        eventually(lambda: any("sa_binding.problem" in one for one in caplog.messages))
        scene.path.write_text(whole)
        scene.sync.wake()
        eventually(lambda: any("sa_binding.recovered" in one for one in caplog.messages))

    assert requests >= 3
    assert scene.told[-2].settings.identities[ETL].project == "acme"
    problems = [
        one for one in caplog.messages if one.startswith(("sa_binding.problem", "sa_binding.recovered"))
    ]
    assert len(problems) == 2
    assert problems[0].startswith(f"sa_binding.problem key file {scene.path} of {ETL}: ")
    assert problems[1] == f"sa_binding.recovered key of {ETL}"
    assert "PRIVATE KEY" not in caplog.text
    sent = [one.body for one in server.requests if one.method == "PATCH"]
    assert len(set(sent)) == 1


def test_problems_of_the_configuration_are_said_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong with airflow.cfg or the bindings file reaches the scheduler's log."""
    problem = Problem("[kubernetes] gcp_service_accounts, entry 2", "is empty", "drop the extra comma")
    scene.configuration = replace(scene.configuration, problems=(problem,))
    with running(scene):
        for _ in range(2):
            told = len(scene.told)
            scene.sync.wake()
            eventually(lambda told=told: len(scene.told) > told)  # type: ignore[misc]

    assert [one for one in caplog.messages if "entry 2" in one] == [
        "sa_binding.problem [kubernetes] gcp_service_accounts, entry 2: is empty; drop the extra comma"
    ]


def _in_child(scene: Scene, done: multiprocessing.SimpleQueue[str]) -> None:
    scene.sync.wake()
    scene.sync.stop()
    done.put(type(scene.states.state_of("team-a", ETL_SECRET)).__name__)


def test_forked_child_neither_hangs_nor_stops_the_parents_thread(scene: Scene, server: FakeApiServer) -> None:
    """The executor forks watchers while the thread runs: they may read states, stop, and end."""
    context = multiprocessing.get_context("fork")
    done = context.SimpleQueue()
    with running(scene):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork with threads
            children = [context.Process(target=_in_child, args=(scene, done)) for _ in range(5)]
            for child in children:
                child.start()
        for child in children:
            child.join(10)
        before = len(server.requests)
        scene.sync.wake()
        eventually(lambda: len(server.requests) > before)

    assert [child.exitcode for child in children] == [0] * 5
    assert [done.get() for _ in children] == ["Ready"] * 5
