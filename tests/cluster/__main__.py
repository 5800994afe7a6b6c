"""The test cluster for people: build it, keep one running, talk to it. See `--help`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from tests.cluster.access import find_kubectl
from tests.cluster.build import KUBERNETES_VERSION, build_binaries
from tests.cluster.control_plane import running_control_plane
from tests.cluster.foreign import KUBECONFIG_VARIABLE
from tests.cluster.install import install_packages, is_ci, missing_packages, missing_parts
from tests.cluster.node import running_node
from tests.cluster.runs import is_alive, run_folders

_DONE, _FAILED = 0, 1
_STAYS = "stays"  # marks the runs of `up`, so that `down` ends no test run's cluster

_EXAMPLES = f"""\
examples:
  python -m tests.cluster build            build Kubernetes {KUBERNETES_VERSION} once, about 7 minutes on 2 cores
  python -m tests.cluster up               a control plane until Ctrl-C, for any user
  python -m tests.cluster up --node        ... with a node that runs pods, for root
  python -m tests.cluster kubectl get pods -A
  python -m tests.cluster down             end what `up` started elsewhere

  Tests use the cluster of `up` instead of their own, which saves its start, with the variable that it prints:
  {KUBECONFIG_VARIABLE}=/tmp/.../admin.kubeconfig python -m pytest tests/cluster
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status."""
    parsed = _build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    return command(parsed)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster",
        description="A real Kubernetes on 127.0.0.1 for the tests.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="build the binaries and print their folder")
    build.set_defaults(command=_build)
    up = commands.add_parser("up", help="start a cluster that stays until Ctrl-C, and print its KUBECONFIG")
    up.add_argument(
        "--node", action="store_true", help="with a node that runs pods (needs root and containerd)"
    )
    up.set_defaults(command=_up)
    down = commands.add_parser("down", help="end the clusters that `up` started")
    down.set_defaults(command=_down)
    kubectl = commands.add_parser("kubectl", help="run kubectl against the cluster of `up`", add_help=False)
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)
    kubectl.set_defaults(command=_kubectl)
    return parser


def _build(_: argparse.Namespace) -> int:
    print(build_binaries())
    return _DONE


def _up(parsed: argparse.Namespace) -> int:
    if is_ci() and parsed.node:
        install_packages(missing_packages())
    missing = missing_parts(node=parsed.node)
    for part in missing:
        _say(f"missing: {part}")
    if missing:
        return _FAILED
    # As Ctrl-C: whatever is being started or runs then ends in order.
    signal.signal(signal.SIGTERM, _interrupt)
    with ExitStack() as stack:
        try:
            plane = stack.enter_context(running_control_plane())
            if parsed.node:
                stack.enter_context(running_node(plane))
            (plane.run.folder / _STAYS).touch()
            print(f"export KUBECONFIG={plane.kubeconfig}", flush=True)
            print(f"export {KUBECONFIG_VARIABLE}={plane.kubeconfig}", flush=True)
            _say(f"Kubernetes {KUBERNETES_VERSION} is up, its logs are in {plane.run.folder}; Ctrl-C ends it")
            signal.pause()
        except KeyboardInterrupt:
            _say("ends")
    return _DONE


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _down(_: argparse.Namespace) -> int:
    folders = _staying()
    for folder in folders:
        # Its owner lives, since it holds the run's lock: the process id is not somebody else's by now.
        os.kill(int((folder / "owner.pid").read_text()), signal.SIGTERM)
        _say(f"ends {folder}")
    if not folders:
        _say("no cluster of `up` is running")
    return _DONE


def _kubectl(parsed: argparse.Namespace) -> int:
    folders = _staying()
    if not folders:
        _say("no cluster of `up` is running; start one with `python -m tests.cluster up`")
        return _FAILED
    command = [find_kubectl(), f"--kubeconfig={folders[-1]}/admin.kubeconfig", *parsed.arguments]
    return subprocess.run(command, check=False).returncode


def _staying() -> list[Path]:
    """Return the clusters of `up` that run now, the latest last."""
    marks = [folder / _STAYS for folder in run_folders() if (folder / _STAYS).exists() and is_alive(folder)]
    return [mark.parent for mark in sorted(marks, key=lambda mark: mark.stat().st_mtime)]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
