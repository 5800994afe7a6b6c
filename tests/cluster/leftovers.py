"""Removes everything that a cluster leaves on the machine, given nothing but its run folder.

The same code ends a cluster in order and clears one whose owner was killed. It touches only what carries the
run folder's path or the run's bridge name; nothing of the machine's own containerd or kubelet. Empty folders
that every containerd and kubelet of a machine share stay: /run/containerd/s, /var/lib/cni/results,
/var/log/containers, /var/lib/kubelet/device-plugins and the cgroup k8s.io.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

SERVERS = frozenset({"testcluster", "containerd"})
SHIMS = frozenset({"containerd-shim-runc-v2"})  # one per pod, containerd's, and living on without it
CONTAINERD_CONFIG = "containerd.toml"  # the first file of a node in a run's folder
CONTAINER_LOG_LINKS = Path("/var/log/containers")  # kubelet's own, it cannot be moved
CNI_RESULTS = Path("/var/lib/cni/results")  # libcni's own, containerd cannot move it

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCBRDELBR, _IFF_UP = 0x8913, 0x8914, 0x89A1, 0x1


class LeftoverError(RuntimeError):
    """Something of a run cannot be removed."""


def remove_leftovers(folder: Path, bridge: str | None) -> None:
    """Remove the processes, containers, mounts, links, network and files of the run in `folder`.

    Raises:
        LeftoverError: something is still mounted, so that deleting files would reach through the mount.
    """
    _kill_processes(folder, SERVERS)
    if (folder / CONTAINERD_CONFIG).exists():  # else it had no node, and perhaps no right to look
        remove_containers(folder, bridge)
    still_mounted = next(_mounts_below(folder), None)
    if still_mounted is not None:
        raise LeftoverError(f"{folder}: {still_mounted} is still mounted; unmount it and remove {folder}")
    shutil.rmtree(folder, ignore_errors=True)


def remove_containers(folder: Path, bridge: str | None) -> None:
    """Remove the containers of a node whose servers have ended, and what they need of the machine."""
    _delete_containers(folder / "runc")
    _kill_processes(folder, SHIMS)
    _remove_shim_sockets(folder / "containerd-state")
    _unmount_below(folder)
    _remove_log_links(folder)
    _remove_network_results(folder)
    if bridge is not None:
        _remove_bridge(bridge)


def processes_of(folder: Path, programs: frozenset[str] = SERVERS | SHIMS) -> Iterator[int]:
    """Yield the processes that run one of `programs` with a path below `folder` among its arguments."""
    needle = os.fsencode(f"{folder}/")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
            program = (entry / "exe").readlink().name.removesuffix(" (deleted)")
            if program in programs and needle in (entry / "cmdline").read_bytes():
                yield int(entry.name)


def _kill_processes(folder: Path, programs: frozenset[str]) -> None:
    deadline = time.monotonic() + 10
    while found := list(processes_of(folder, programs)):
        if time.monotonic() > deadline:
            raise LeftoverError(f"{folder}: processes {found} do not die")
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


def _delete_containers(runc_root: Path) -> None:
    for state in runc_root.glob("*/*/state.json"):
        namespace, container = state.parent.parent, state.parent.name
        command = ["runc", "--root", str(namespace), "delete", "--force", container]
        subprocess.run(command, capture_output=True, check=False)


def _remove_shim_sockets(containerd_state: Path) -> None:
    # Each container's bundle names its shim's socket, in a folder that all containerds of a machine share.
    for address in containerd_state.glob("io.containerd.runtime.v2.task/*/*/address"):
        socket_path = address.read_text().strip().removeprefix("unix://")
        if socket_path.startswith("/run/containerd/s/"):
            Path(socket_path).unlink(missing_ok=True)


def _mounts_below(folder: Path) -> Iterator[Path]:
    """Yield the mount points below `folder`, the last mounted first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for line in reversed(lines):
        mount_point = Path(line.split(" ")[4].encode().decode("unicode_escape"))
        if mount_point.is_relative_to(folder):
            yield mount_point


def _unmount_below(folder: Path) -> None:
    for mount_point in _mounts_below(folder):
        # Lazily: a dying process may hold it for a moment. What is left is found by the caller.
        subprocess.run(["umount", "--lazy", mount_point], capture_output=True, check=False)


def _remove_log_links(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for link in CONTAINER_LOG_LINKS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(folder):
                link.unlink(missing_ok=True)


def _remove_network_results(folder: Path) -> None:
    # Each names the pod's network namespace, which is a mount below the run's folder.
    for result in CNI_RESULTS.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if f"{folder}/" in result.read_text(errors="replace"):
                result.unlink()


def _remove_bridge(bridge: str) -> None:
    # The cables went with the pods' network namespaces.
    if not Path("/sys/class/net", bridge).exists():
        return
    # By ioctl, since iproute2 need not be installed: down (a bridge that is up cannot be deleted), then away.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        name = bridge.encode()
        flags = struct.unpack_from(
            "H", fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sH22x", name, 0)), 16
        )[0]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", name, flags & ~_IFF_UP))
        fcntl.ioctl(control, _SIOCBRDELBR, struct.pack("16s24x", name))
