"""Writes the container images of the tests by hand: no registry is reached and no image builder is needed.

Knows the OCI image layout. Two images exist: `PAUSE` holds a pod's namespaces; `HOST` is empty, and its
containers mount the machine's own programs and Python (see `pods`).
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAUSE = "test.local/pause:1"
HOST = "test.local/host:1"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MOUNT_POINTS = ("bin", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sys", "usr", "var", "work")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def write_pause_image(path: Path, program: Path) -> None:
    """Write the image whose only file is the static `program`."""
    _write_image(path, PAUSE, _layer({"pause": program.read_bytes()}), entrypoint=["/pause"])


def write_host_image(path: Path) -> None:
    """Write the image with no file at all; its entrypoint is empty, so a container has to name a command."""
    _write_image(path, HOST, _layer({}), entrypoint=[])


def _layer(programs: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in _MOUNT_POINTS:
            tar.addfile(_folder(name, 0o755))
        tar.addfile(_folder("tmp", 0o1777))
        for name, content in programs.items():
            _add_file(tar, name, content, mode=0o755)
    return buffer.getvalue()


def _write_image(path: Path, reference: str, layer: bytes, *, entrypoint: list[str]) -> None:
    config = _json(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": entrypoint, "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            "history": [],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": "latest"}
    index = _json(
        {"schemaVersion": 2, "manifests": [_descriptor(_MANIFEST, manifest) | {"annotations": names}]}
    )
    with tarfile.open(path, "w") as tar:
        _add_file(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add_file(tar, "index.json", index)
        for blob in (config, layer, manifest):
            _add_file(tar, f"blobs/{_digest(blob).replace(':', '/')}", blob)


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


def _folder(name: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry


def _add_file(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
