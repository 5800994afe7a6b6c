"""Reads small files that somebody else writes: bounded, whole, and without ever waiting for one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from airflow_sa_binding.binding.errors import Refused


def read_file(path: Path, *, field: str, limit_bytes: int) -> bytes:
    """Read a whole regular file, following links: Kubernetes mounts the files of a Secret as links.

    Raises:
        Refused: The file is missing, not readable, not a regular file, or longer than `limit_bytes`.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO waits for somebody to write to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            mode = os.fstat(descriptor).st_mode
            content = _read(descriptor, limit_bytes + 1) if stat.S_ISREG(mode) else b""
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        raise Refused(field, "does not exist", remedy="put it there or correct the path") from None
    except PermissionError:
        problem = f"cannot be read: permission denied for uid {os.geteuid()}"
        raise Refused(field, problem, remedy="let that user read it") from None
    except (OSError, ValueError) as error:
        # open() raises ValueError for a path that holds a NUL.
        reason = error.strerror if isinstance(error, OSError) else "the path holds a NUL"
        remedy = "mend the file or correct the path"
        raise Refused(field, f"cannot be read: {reason}", remedy=remedy) from None
    if stat.S_ISDIR(mode):
        raise Refused(field, "is a folder", remedy="write the path of the file in it")
    if not stat.S_ISREG(mode):
        raise Refused(field, "is not a regular file", remedy="put a regular file there or correct the path")
    if len(content) > limit_bytes:
        raise Refused(field, f"is longer than {limit_bytes} bytes", remedy="shorten it or correct the path")
    return content


def _read(descriptor: int, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    while limit_bytes > 0 and (part := os.read(descriptor, limit_bytes)):
        parts.append(part)
        limit_bytes -= len(part)
    return b"".join(parts)
