"""A containerd of our own: its configuration, its network and the images in it.

Keeps to the run's folder, so that a containerd of the machine is left alone.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cluster.images import PAUSE, write_host_image, write_pause_image
from tests.cluster.leftovers import CONTAINERD_CONFIG
from tests.cluster.runs import Run
from tests.cluster.servers import Server

# Of 198.18.0.0/15, which is set aside for tests of network devices: nobody's real network.
_POD_NETWORK = "198.18.{slot}.0/24"


class ContainerdError(RuntimeError):
    """`ctr` failed."""


class Containerd:
    """The container runtime of one node."""

    def __init__(self, run: Run, *, cni_plugins: Path) -> None:
        """Write the configuration; `start` starts the server."""
        self._run = run
        self.socket = run.folder / "containerd.sock"
        cni = run.folder / "cni"
        config = run.folder / CONTAINERD_CONFIG
        config.write_text(_build_config(run.folder, self.socket, cni, cni_plugins))
        cni.mkdir()
        (cni / "10-pods.conflist").write_text(json.dumps(_build_network(run)))
        self._server = Server(
            "containerd",
            ["containerd", "--config", config],
            log=run.folder / "containerd.log",
            starter=run.starter,
        )

    def start(self, pause_program: Path) -> None:
        """Start containerd, wait until it answers and load the images."""
        self._server.start()
        self._server.wait_until(self._is_ready, timeout_seconds=60)
        for write, name in (
            (lambda path: write_pause_image(path, pause_program), "pause"),
            (write_host_image, "host"),
        ):
            archive = self._run.folder / f"{name}.tar"
            write(archive)
            self.ctr("images", "import", "--snapshotter", "native", str(archive))

    def kill(self) -> None:
        """End containerd; containers go on without it."""
        self._server.kill()

    def ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run containerd's own client in the namespace of the kubelet's containers.

        Raises:
            ContainerdError: it failed.
        """
        done = self._ctr(*arguments)
        if done.returncode:
            raise ContainerdError(
                f"ctr {' '.join(arguments)}: exit status {done.returncode}: {done.stderr.strip()}"
            )
        return done

    def _ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def _is_ready(self) -> bool:
        # The socket exists before all plugins are loaded, and ctr itself waits long for a socket.
        return self.socket.exists() and self._ctr("version").returncode == 0


def _build_network(run: Run) -> dict[str, object]:
    # No gateway: nothing of the host is on this network, and the plugin would turn on IP forwarding for the
    # whole machine. A pod that talks to a server on 127.0.0.1 uses hostNetwork.
    return {
        "cniVersion": "0.4.0",
        "name": run.bridge,  # names the plugins' files too, which lets `leftovers` find them
        "plugins": [
            {
                "type": "bridge",
                "bridge": run.bridge,
                "isGateway": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(run.folder / "cni-addresses"),
                    "ranges": [[{"subnet": _POD_NETWORK.format(slot=run.slot)}]],
                },
            }
        ],
    }


def _build_config(folder: Path, socket: Path, cni: Path, cni_plugins: Path) -> str:
    # - restrict_oom_score_adj: without CAP_SYS_RESOURCE, runc may not lower a score and dies saying
    #   "can't get final child's PID from pipe: EOF".
    # - the native snapshotter copies: the images are tiny, and overlayfs cannot lie on overlayfs.
    # - netns_mounts_under_state_dir, runc's Root: below the run's folder, where `leftovers` finds them.
    # - the opt plugin would make /opt/containerd.
    return f"""\
version = 2
root = "{folder}/containerd-root"
state = "{folder}/containerd-state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  stream_server_address = "127.0.0.1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{folder}/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "{cni}"
"""
