"""Airflow's processes, each with all that it starts in a PID namespace of its own.

A scheduler starts watchers and managers that outlive it when it is killed. In a PID namespace they die with it, as
they do in the container that a scheduler runs in elsewhere.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_TAIL_LINES = 60


class Process:
    """One program with its log file; it dies with the thread of `starter`, and so with the test run."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        log: Path,
        starter: ThreadPoolExecutor,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self._starter = starter
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program; what it prints is appended to the log."""
        self._process = self._starter.submit(self._spawn).result()

    def _spawn(self) -> subprocess.Popen[bytes]:
        # setsid: a program that finds itself in nobody's process group would signal group 0, its own.
        contained = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child", "setsid", *self._command]
        with self.log.open("ab") as output:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *contained],
                env=dict(self._environment),
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End the program and its children at once, as an eviction or a lost machine does."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self, *, timeout_seconds: float = 60) -> int:
        """Ask the program to end, as Kubernetes does, and return its exit status.

        Raises:
            subprocess.TimeoutExpired: It did not end, and was killed.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name}: was not started")
        self._signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def _signal(self, number: signal.Signals) -> None:
        # To the first process of the namespace, not to unshare, which would pass nothing on.
        for child in self._children():
            try:
                os.kill(child, number)
            except ProcessLookupError:
                continue

    def _children(self) -> list[int]:
        if self._process is None or self._process.poll() is not None:
            return []
        pid = self._process.pid
        # Between fork and exec there is no child yet.
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and self._process.poll() is None:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if children:
                return [int(child) for child in children]
            time.sleep(0.05)
        return []

    def tail(self) -> str:
        """Return the end of the log, for failures."""
        if not self.log.exists():
            return f"--- {self.name}: no log"
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"--- {self.name}, end of {self.log}:", *lines])
