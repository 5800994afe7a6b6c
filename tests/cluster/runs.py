"""One folder per running test cluster, and the sweeping of those whose owner died.

Knows folders, locks and slots, and that `leftovers` knows how to clear what is not a file. A run is alive
while its owner holds the run's lock: the kernel drops the lock when the owner dies, however it dies, so
neither a reused process id nor a reboot can mislead the sweeper.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import filelock

from tests.cluster.leftovers import LeftoverError, remove_leftovers
from tests.cluster.servers import new_starter

SLOTS = 256

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A folder of our own, a slot that no other live run has, and the thread that starts the servers."""

    folder: Path
    slot: int
    starter: ThreadPoolExecutor

    @property
    def bridge(self) -> str:
        """Name of the network bridge that this run may create (at most 15 characters)."""
        return bridge_name(self.slot)


def bridge_name(slot: int) -> str:
    """Return the bridge of a slot."""
    return f"sabind{slot}"


def runs_folder() -> Path:
    """Return the parent of all runs of this user.

    Not below TMPDIR: every run must find all others, and a socket's path may have 107 bytes only.
    """
    return Path("/tmp", f"sabind-{os.getuid()}")  # guessable: see `_own_folder`


@contextlib.contextmanager
def new_run() -> Iterator[Run]:
    """Sweep dead runs, then give a run that is swept itself at the end, or after this process has died."""
    parent = _own_folder(runs_folder())
    with _lock(parent / "lock"):
        sweep(parent)
        slot = min(set(range(SLOTS)) - set(_slots(parent)))
        folder = parent / secrets.token_hex(3)
        folder.mkdir(mode=0o700)
        owner = _lock(folder / "owner.lock")
        owner.acquire(timeout=10)  # `is_alive` may be having a look
        (folder / "slot").write_text(str(slot))
        (folder / "owner.pid").write_text(str(os.getpid()))  # for people; the lock is what counts
    starter = new_starter()
    try:
        yield Run(folder=folder, slot=slot, starter=starter)
    finally:
        starter.shutdown()  # its end kills the servers that still run
        try:
            with _lock(parent / "lock"):
                remove_leftovers(folder, bridge_name(slot))
        finally:
            owner.release()


def sweep(parent: Path) -> None:
    """Remove the runs below `parent` whose owner is gone; the caller holds the parent's lock."""
    for folder in _run_folders(parent):
        owner = _lock(folder / "owner.lock")
        try:
            owner.acquire(timeout=0)
        except filelock.Timeout:
            continue
        try:
            slot = _slot(folder)
            remove_leftovers(folder, None if slot is None else bridge_name(slot))
        except LeftoverError as error:
            _log.warning("%s", error)  # it keeps its slot, and must not keep the next run from starting
        finally:
            owner.release()


def is_alive(folder: Path) -> bool:
    """Tell whether the run in `folder` has an owner."""
    owner = _lock(folder / "owner.lock")
    try:
        with owner.acquire(timeout=0):
            return False
    except filelock.Timeout:
        return True


def run_folders() -> list[Path]:
    """Return the folders of all runs of this user, alive or not."""
    parent = runs_folder()
    return _run_folders(parent) if parent.is_dir() else []


def _lock(path: Path) -> filelock.BaseFileLock:
    return filelock.FileLock(path, thread_local=False)


def _own_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    # The name can be guessed and /tmp is everybody's: never work in a folder that somebody else prepared.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder}: must be a folder that only uid {os.getuid()} may write; remove it")
    return folder


def _run_folders(parent: Path) -> list[Path]:
    return [entry for entry in parent.iterdir() if entry.is_dir() and not entry.is_symlink()]


def _slots(parent: Path) -> Iterator[int]:
    for folder in _run_folders(parent):
        slot = _slot(folder)
        if slot is not None:
            yield slot


def _slot(folder: Path) -> int | None:
    try:
        return int((folder / "slot").read_text())
    except (FileNotFoundError, ValueError):
        return None  # died between two lines of `new_run`: before anything was started
