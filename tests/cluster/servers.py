"""Starts and ends servers that cannot outlive whoever started them.

Knows processes, ports and waiting; not what the servers are.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

LOCALHOST = "127.0.0.1"


class ServerError(RuntimeError):
    """A server ended, or did not become ready; the message ends with what it logged last."""


class Server:
    """One server process with its log file, whose folder is its working directory.

    The kernel kills it when the starting *thread* ends (PR_SET_PDEATHSIG counts threads, not processes), so
    all servers of a run are started by the one thread of `starter`, which lives as long as the run.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], *, log: Path, starter: ThreadPoolExecutor
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._starter = starter
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; its output is appended to the log."""
        with self.log.open("ab") as output:
            self._process = self._starter.submit(self._spawn, output).result()

    def _spawn(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        # setpriv (util-linux) sets the death signal and becomes the server: no code between fork and exec.
        # A session of its own, so that Ctrl-C reaches the harness, which then ends the servers in order.
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *self._command],
            cwd=self.log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End the process as a crash would; harmless when it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wait_until(self, is_ready: Callable[[], bool], *, timeout_seconds: float) -> None:
        """Wait for `is_ready`; OSError means "not yet".

        Raises:
            ServerError: the process ended, or time ran out.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._probe(is_ready):
            if not self.is_running:
                status = self._process.returncode if self._process else None
                raise ServerError(
                    f"{self.name} ended with exit status {status}; {self.log} ends:\n{self._tail()}"
                )
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{self.name} was not ready after {timeout_seconds} s; {self.log} ends:\n{self._tail()}"
                )
            time.sleep(0.1)

    @staticmethod
    def _probe(is_ready: Callable[[], bool]) -> bool:
        try:
            return is_ready()
        except OSError:
            return False

    def has_logged(self, text: str) -> bool:
        """Tell whether the log contains `text`."""
        return text in self.log.read_text(errors="replace")

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])


def new_starter() -> ThreadPoolExecutor:
    """Return the single thread that starts all servers of a run; shutting it down kills what is left."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="test-cluster-starter")


def wait_for(condition: Callable[[], bool], *, what: str, timeout_seconds: float = 60) -> None:
    """Wait until `condition` holds.

    Raises:
        TimeoutError: it did not, and `what` says what was waited for.
    """
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_seconds} s in vain for {what}")
        time.sleep(0.1)


class ReservedPort:
    """A TCP port of 127.0.0.1 that stays ours while the server on it is down.

    The reserving socket is bound with SO_REUSEPORT and never listens, so clients are refused; a server that
    binds with SO_REUSEPORT too (kube-apiserver --permit-port-sharing) shares the port, nobody else gets it.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((LOCALHOST, 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


def find_free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now; another process may take it before it is used."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port
