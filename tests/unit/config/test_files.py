"""Files are read whole, bounded, and without waiting."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.config.files import read_file


def refusal(path: Path, limit_bytes: int = 100) -> str:
    with pytest.raises(Refused) as caught:
        read_file(path, field="bindings file", limit_bytes=limit_bytes)
    return str(caught.value)


@pytest.fixture
def unprivileged_uid() -> Iterator[int]:
    """Act as a user whom file permissions bind, which they do not do to root."""
    if os.geteuid():
        yield os.geteuid()
        return
    os.seteuid(65534)
    try:
        yield 65534
    finally:
        os.seteuid(0)


def test_whole_content(tmp_path: Path) -> None:
    """A file up to the limit is returned byte by byte."""
    path = tmp_path / "file"
    path.write_bytes(b"\xff\0\r\n" * 25)

    assert read_file(path, field="x", limit_bytes=100) == b"\xff\0\r\n" * 25


def test_empty_file(tmp_path: Path) -> None:
    """Whether an empty file is wrong is for the caller to say."""
    path = tmp_path / "file"
    path.touch()

    assert read_file(path, field="x", limit_bytes=100) == b""


def test_links_are_followed(tmp_path: Path) -> None:
    """Kubernetes mounts a Secret's files as links to a folder that it swaps."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "key.json").write_text("{}")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "key.json").symlink_to("..data/key.json")

    assert read_file(tmp_path / "key.json", field="x", limit_bytes=100) == b"{}"


def test_longer_than_the_limit(tmp_path: Path) -> None:
    """A longer file is refused, and no more than the limit is read of it."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 101)

    assert refusal(path) == "bindings file: is longer than 100 bytes; shorten it or correct the path"


def test_huge_file(tmp_path: Path) -> None:
    """A file that does not fit into memory is refused as quickly."""
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, 1 << 40)

    assert refusal(path) == "bindings file: is longer than 100 bytes; shorten it or correct the path"


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is missing, also where a part of its path is a file or a link to nowhere."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")

    expected = "bindings file: does not exist; put it there or correct the path"
    assert refusal(tmp_path / "missing") == expected
    assert refusal(tmp_path / "file" / "below") == expected
    assert refusal(tmp_path / "link") == expected


def test_folder(tmp_path: Path) -> None:
    """A folder is no file."""
    assert refusal(tmp_path) == "bindings file: is a folder; write the path of the file in it"


def test_unreadable_file(unprivileged_uid: int) -> None:
    """A file that this process may not read names the user that needs it."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0)
        assert refusal(Path(file.name)) == (
            f"bindings file: cannot be read: permission denied for uid {unprivileged_uid}; let that user read it"
        )


def test_fifo(tmp_path: Path) -> None:
    """A FIFO to which nobody writes is refused instead of waited for."""
    os.mkfifo(tmp_path / "fifo")

    assert refusal(tmp_path / "fifo") == (
        "bindings file: is not a regular file; put a regular file there or correct the path"
    )


def test_device() -> None:
    """A device that never ends is refused."""
    assert refusal(Path("/dev/zero")) == (
        "bindings file: is not a regular file; put a regular file there or correct the path"
    )


def test_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket is refused with the system's reason."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert refusal(tmp_path / "socket") == (
            "bindings file: cannot be read: No such device or address; mend the file or correct the path"
        )


def test_loop_of_links(tmp_path: Path) -> None:
    """Links in a circle are refused with the system's reason."""
    (tmp_path / "loop").symlink_to("loop")

    assert refusal(tmp_path / "loop") == (
        "bindings file: cannot be read: Too many levels of symbolic links; mend the file or correct the path"
    )


def test_path_that_no_system_takes(tmp_path: Path) -> None:
    """Paths that cannot exist are refused like any other."""
    assert refusal(tmp_path / "a\0b") == (
        "bindings file: cannot be read: the path holds a NUL; mend the file or correct the path"
    )
    assert refusal(tmp_path / ("a" * 300)) == (
        "bindings file: cannot be read: File name too long; mend the file or correct the path"
    )


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Refusing does not leak what was opened to look at."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        refusal(tmp_path)

    assert len(list(Path("/proc/self/fd").iterdir())) == before
