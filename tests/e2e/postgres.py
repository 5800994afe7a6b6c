"""A PostgreSQL of our own on 127.0.0.1, from Debian's package, beside whatever the machine runs."""

from __future__ import annotations

import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.install import MissingPartError, install_packages, is_ci
from tests.cluster.servers import LOCALHOST, Server, find_free_port

# PostgreSQL refuses to run as root.
_ACCOUNT = "postgres"


@contextmanager
def running_postgres(starter: ThreadPoolExecutor, log: Path) -> Iterator[str]:
    """Give the SQLAlchemy URL of an empty database."""
    programs = _find_programs()
    # Outside pytest's folders, which only their owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="sabind-postgres-"))
    try:
        shutil.chown(folder, _ACCOUNT)
        password, port = secrets.token_hex(8), find_free_port()
        _create(programs, folder, password)
        server = Server("postgres", _server_command(programs, folder, port), log=log, starter=starter)
        server.start()
        try:
            server.wait_until(lambda: _is_ready(programs, port), timeout_seconds=30)
            yield f"postgresql+psycopg2://airflow:{password}@{LOCALHOST}:{port}/postgres"
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find_programs() -> Path:
    found = _installed_programs()
    if not found and is_ci():
        install_packages(["postgresql"])
        found = _installed_programs()
        if not found:
            raise MissingPartError("CI=true, and PostgreSQL is missing; apt-get install postgresql")
    if not found:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    return found[-1].parent


def _installed_programs() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))


def _as_account(command: list[str | Path]) -> list[str | Path]:
    group = str(pwd.getpwnam(_ACCOUNT).pw_gid)
    return [
        "setpriv",
        "--reuid",
        _ACCOUNT,
        "--regid",
        group,
        "--clear-groups",
        "--pdeathsig",
        "KILL",
        *command,
    ]


def _create(programs: Path, folder: Path, password: str) -> None:
    password_file = folder / "password"
    password_file.write_text(password)
    shutil.chown(password_file, _ACCOUNT)
    command: list[str | Path] = [
        programs / "initdb",
        "-D",
        folder / "data",
        "-U",
        "airflow",
        "-A",
        "scram-sha-256",
    ]
    command += [f"--pwfile={password_file}", "--no-sync", "--locale=C", "-E", "UTF8"]
    done = subprocess.run(_as_account(command), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"initdb: exit status {done.returncode}: {done.stderr}")
    password_file.unlink()


def _server_command(programs: Path, folder: Path, port: int) -> list[str | Path]:
    command: list[str | Path] = [programs / "postgres", "-D", folder / "data"]
    options = {"listen_addresses": LOCALHOST, "port": port, "fsync": "off", "unix_socket_directories": folder}
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    return _as_account(command)


def _is_ready(programs: Path, port: int) -> bool:
    command: list[str | Path] = [programs / "pg_isready", "-q", "-h", LOCALHOST, "-p", str(port)]
    return subprocess.run(command, check=False).returncode == 0
