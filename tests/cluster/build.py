"""Builds the Kubernetes binaries from `go/` once per machine and keeps them in a cache folder.

Knows how to build, not how to run them. The cache is keyed by the sources, so a changed version is a new
folder and an old checkout still finds its own.
"""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import platformdirs

from tests.cluster.toolchain import Progress, find_go

KUBERNETES_VERSION = "1.35.4"
CACHE_VARIABLE = "SA_BINDING_TEST_CACHE"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")

SOURCES = Path(__file__).parent / "go"
_KEYED = ("go.mod", "go.sum", "main.go", "pause/main.go")
# Without it the version prints as a template, and some clients refuse such a server.
_VERSION_FLAG = f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES_VERSION}"
_LDFLAGS = f"-s -w {_VERSION_FLAG}"
_HEARTBEAT_SECONDS = 15


class BuildError(RuntimeError):
    """Go could not build the binaries."""


def say_on_stderr(line: str) -> None:
    """Print one line of progress where pytest's capture does not hide it."""
    print(f"[test cluster] {line}", file=sys.__stderr__, flush=True)


def cache_folder() -> Path:
    """Return the folder that keeps what is built: `SA_BINDING_TEST_CACHE`, else the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen or platformdirs.user_cache_dir("airflow-sa-binding-testcluster")).resolve()


def binaries_folder() -> Path:
    """Return where the binaries of these sources are, or will be."""
    digest = hashlib.sha256(_LDFLAGS.encode())
    for name in _KEYED:
        content = (SOURCES / name).read_bytes()
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return cache_folder() / f"kubernetes-{KUBERNETES_VERSION}-{digest.hexdigest()[:16]}"


def is_built() -> bool:
    """Tell whether `build_binaries` would return at once."""
    return (binaries_folder() / "testcluster").exists()


def build_binaries(progress: Progress = say_on_stderr) -> Path:
    """Return the folder with `pause` and one command per component, building them if need be.

    Parallel calls on one machine build once: the others wait. A build that dies leaves no half folder.

    Raises:
        BuildError: Go failed.
        GoNotFoundError: there is no Go to build with.
    """
    folder = binaries_folder()
    if is_built():
        return folder
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with _only_builder(cache / "build.lock", progress):
        if not is_built():
            go = find_go(cache, progress)
            progress(
                f"builds Kubernetes {KUBERNETES_VERSION} from source once, about 7 minutes on 2 cores, into {folder}"
            )
            _build_into(folder, go, progress)
    return folder


@contextmanager
def _only_builder(lock: Path, progress: Progress) -> Iterator[None]:
    held = filelock.FileLock(lock)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        progress(f"waits for another build on this machine ({lock})")
        held.acquire()
    try:
        yield
    finally:
        held.release()


def _build_into(folder: Path, go: Path, progress: Progress) -> None:
    for abandoned in folder.parent.glob(f"{folder.name}.*"):  # by a build that was killed: we hold the lock
        shutil.rmtree(abandoned, ignore_errors=True)
    # A neighbour of the final folder, so that the rename stays on one file system and is atomic.
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        _compile(go, "./pause", unfinished / "pause", progress)
        _compile(go, ".", unfinished / "testcluster", progress)
        for component in COMPONENTS:
            (unfinished / component).symlink_to("testcluster")
        unfinished.chmod(0o755)  # mkdtemp makes it private; a node's containers are other users
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _compile(go: Path, package: str, output: Path, progress: Progress) -> None:
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    total = _count_packages(go, package, environment)
    # -buildvcs=false: the checkout may belong to another user, whose repository git refuses to read.
    flags = ["-v", "-trimpath", "-buildvcs=false", "-ldflags", _LDFLAGS, "-o", str(output)]
    process = subprocess.Popen(
        [str(go), "build", *flags, package],
        cwd=SOURCES,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        printed = _watch(process, f"{output.name}: %s of at most {total} packages compiled", progress)
    except BaseException:
        process.terminate()  # Ctrl-C, say: go ends its compilers
        raise
    finally:
        process.wait()
    if process.returncode:
        raise BuildError(f"go build {package}: exit status {process.returncode}:\n" + "".join(printed[-30:]))


def _count_packages(go: Path, package: str, environment: dict[str, str]) -> int:
    # Downloads the modules too, which is why this comes first.
    listed = subprocess.run(
        [go, "list", "-deps", package],
        cwd=SOURCES,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        raise BuildError(f"go list {package}: exit status {listed.returncode}:\n{listed.stderr[-2000:]}")
    return len(listed.stdout.splitlines())


def _watch(process: subprocess.Popen[str], message: str, progress: Progress) -> list[str]:
    """Read what `go build -v` says, one line per package, with a sign of life every few seconds."""
    assert process.stderr is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    stream = process.stderr

    def read() -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    started = last_sign = time.monotonic()
    printed: list[str] = []
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            line = ""
        if line is None:
            return printed
        if line:
            printed.append(line)
        now = time.monotonic()
        if now - last_sign >= _HEARTBEAT_SECONDS:
            last_sign = now
            progress(f"{int(now - started) // 60}:{int(now - started) % 60:02d}  " + message % len(printed))
