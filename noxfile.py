"""Every check of this project, its demonstration and its benchmark; `make help` lists what people need of it.

There is one virtual environment per Airflow version, `.nox/airflow-<version>`, with exactly the versions in
`constraints/airflow-<version>.txt` and this project's wheel. The sessions share it and bring it up to date only when
the versions or the project changed, so that a second run starts at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

ROOT = Path(__file__).parent
AIRFLOWS = ("2.11", "3.1", "3.2", "3.3")
NEWEST = AIRFLOWS[-1]
END_TO_END = ("2.11", NEWEST)  # the last of the old architecture, and the newest
NEWEST_PYTHON = {"2.11": (3, 12)}  # where Airflow itself stops before the project does

# 10.23 is the last version of the provider for Python 3.10.
PROVIDER = """
apache-airflow-providers-cncf-kubernetes==10.25.0 ; python_version >= "3.11"
apache-airflow-providers-cncf-kubernetes==10.23.0 ; python_version < "3.11"
"""

# Airflow allows newer versions than it was written for, and then uses what those have deprecated.
ALONGSIDE = {"3.1": "sqlalchemy<2", "3.2": "sqlalchemy<2.1"}

REFUSED = {"not_listed"}  # the examples that the demonstration shows being refused
ACCOUNTS = ("etl@acme.iam.gserviceaccount.com", "ads@acme.iam.gserviceaccount.com")

LARGEST_SOURCE_BYTES = 500_000

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

# Of the caller's environment, what would change what Airflow does, and what would make every import compile anew.
UNSET = dict.fromkeys(
    [name for name in os.environ if name.startswith("AIRFLOW_")] + ["PYTHONDONTWRITEBYTECODE"]
)

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "none"
nox.options.sessions = [
    *("lint", "types", "imports", "docs", "demo"),
    *(f"{name}({NEWEST})" for name in ("package", "unit", "integration", "e2e")),
]

each_airflow = nox.parametrize("airflow", [nox.param(airflow, id=airflow) for airflow in AIRFLOWS])


@nox.session(tags=["checks"])
def lint(session: nox.Session) -> None:
    """Check style and format."""
    environment = project_environment(session, NEWEST)
    environment.run("ruff", "check")
    environment.run("ruff", "format", "--check")


@nox.session(tags=["checks"])
def types(session: nox.Session) -> None:
    """Check types, for the oldest Python and the newest."""
    environment = project_environment(session, NEWEST)
    for python in ("3.10", "3.13"):
        environment.run("mypy", "--python-version", python, "airflow_sa_binding", "tests")


@nox.session(tags=["checks"])
def imports(session: nox.Session) -> None:
    """Check which module may import which."""
    project_environment(session, NEWEST).run("lint-imports", "--no-logo")


@nox.session(tags=["checks"])
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning or a reference to nowhere is an error."""
    environment = project_environment(session, NEWEST)
    output = ROOT / "docs" / "_build" / "html"
    with scratch_home() as home:
        environment.run(
            "sphinx-build",
            "-W",
            "--keep-going",
            "-n",
            "-b",
            "html",
            "docs",
            output,
            *session.posargs,
            home=home,
        )
    session.log(f"see {output / 'index.html'}")


@nox.session(tags=["checks"])
@each_airflow
def unit(session: nox.Session, airflow: str) -> None:
    """Run the tests that need no cluster; the properties, which know no Airflow, with the newest only."""
    properties = ["tests/property"] if airflow == NEWEST else []
    run_tests(session, airflow, "-m", "not cluster", "tests/unit", *properties)


@nox.session(tags=["cluster"])
@each_airflow
def integration(session: nox.Session, airflow: str) -> None:
    """Run the tests against a real Kubernetes; those that know no Airflow with the newest only."""
    if airflow == NEWEST:
        # Apart from the others, whose pods must not find the node that these start.
        run_tests(session, airflow, "tests/cluster", "tests/property/test_api_server_accepts.py")
        run_tests(session, airflow, "tests/integration")
        return
    about_airflow = [*sorted(ROOT.glob("tests/integration/test_[!s]*.py"))]
    run_tests(session, airflow, *map(str, about_airflow), "tests/integration/test_sync_command.py")


@nox.session(tags=["cluster"])
@nox.parametrize("airflow", [nox.param(airflow, id=airflow) for airflow in END_TO_END])
def e2e(session: nox.Session, airflow: str) -> None:
    """Run a whole Airflow, with task pods on a real Kubernetes node."""
    run_tests(session, airflow, "tests/e2e")


@nox.session(tags=["checks"])
@each_airflow
def package(session: nox.Session, airflow: str) -> None:
    """Build the distributions, install the wheel as a user would, and see that Airflow finds it."""
    environment = Environment(session, ROOT / ".nox" / f"package-{airflow}")
    environment.create()
    with tempfile.TemporaryDirectory(prefix="sa-binding-dist-") as folder, scratch_home() as home:
        # This builds the wheel from the source distribution, which therefore holds what it must.
        uv(session, "build", "--build-constraints", pins(airflow), "--out-dir", folder, ROOT)
        [source], [wheel] = Path(folder).glob("*.tar.gz"), Path(folder).glob("*.whl")
        refuse_junk(session, source)
        environment.install("--constraints", pins(airflow), wheel)
        environment.run("python", "-I", ROOT / "tests" / "installed.py", home=home)
        environment.run("airflow-sa-binding", "--help", home=home)
        for command, expected in (
            ("airflow providers list --output plain", "airflow-sa-binding"),
            ("airflow config list --section sa_binding", "bindings_file"),
        ):
            if expected not in environment.output(*command.split(), home=home):
                session.error(f"`{command}` does not show {expected}")


@nox.session(tags=["checks"])
def demo(session: nox.Session) -> None:
    """Print what the pods of each example DAG get, and what a refusal looks like; needs no cluster."""
    environment = project_environment(session, NEWEST)
    examples = ROOT / "dags_examples"
    with scratch_home() as home:
        environment.run("python", "-m", "tests.keys", home / "sa", *ACCOUNTS, home=home)
        configuration = (examples / "airflow.cfg").read_text(encoding="utf-8")
        for in_image, here in (("/opt/airflow/sa/", home / "sa"), ("/opt/airflow/config/", examples)):
            configuration = configuration.replace(in_image, f"{here}/")
        (home / "airflow.cfg").write_text(configuration, encoding="utf-8")
        for dag_file in sorted(examples.glob("*.py"), key=lambda file: (file.stem in REFUSED, file.name)):
            environment.run(
                "airflow-sa-binding", "render", dag_file.relative_to(ROOT), "--output", "diff", home=home,
                success_codes=[1 if dag_file.stem == "not_listed" else 0],
            )  # fmt: skip


@nox.session
def benchmark(session: nox.Session) -> None:
    """Measure what binding costs next to the stock executor."""
    environment = project_environment(session, NEWEST)
    with scratch_home() as home:
        arguments = session.posargs or ["--write", "docs/reference/benchmarks.md"]
        environment.run("python", "-m", "tests.benchmarks", *arguments, home=home)


@nox.session
def constraints(session: nox.Session) -> None:
    """Pin the newest versions that fit together: for each Airflow on Python 3.10 to 3.13, and for the tools."""
    compile_pins = (
        "pip", "compile", "--quiet", "--universal", "--python-version", "3.10", "--upgrade", "--no-annotate",
        "--custom-compile-command", "nox -s constraints",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="sa-binding-constraints-") as folder:
        wanted = Path(folder) / "wanted.txt"
        for airflow in AIRFLOWS:
            requirements = f"apache-airflow=={airflow}.*\n{PROVIDER}{ALONGSIDE.get(airflow, '')}\n"
            wanted.write_text(requirements, encoding="utf-8")
            uv(
                session,
                *compile_pins,
                "--group",
                "dev",
                "--output-file",
                pins(airflow),
                "pyproject.toml",
                wanted,
            )
        wanted.write_text("nox\nuv\n", encoding="utf-8")
        uv(session, *compile_pins, "--output-file", ROOT / "constraints" / "tools.txt", wanted)


class Environment:
    """A virtual environment, the programs in it, and a session to run them for."""

    def __init__(self, session: nox.Session, folder: Path) -> None:
        self.session = session
        self.folder = folder

    def create(self) -> None:
        """Make the environment anew, empty, with the Python that runs nox."""
        uv(self.session, "venv", "--quiet", "--clear", "--python", sys.executable, self.folder)

    def install(self, *arguments: str | Path) -> None:
        """Install packages, compiled, since the first import would otherwise be measured by some test."""
        uv(
            self.session,
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            self.folder,
            *arguments,
        )

    def sync(self, requirements: Path) -> None:
        """Install exactly the packages of a file and remove all others."""
        uv(
            self.session,
            "pip",
            "sync",
            "--quiet",
            "--compile-bytecode",
            "--python",
            self.folder,
            requirements,
        )

    def run(
        self, program: str, *arguments: str | Path, home: Path | None = None, **options: object
    ) -> object:
        """Run one of the environment's programs, with `home` as its AIRFLOW_HOME."""
        programs = self.folder / "bin"
        variables: dict[str, str | None] = {
            **UNSET,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.folder),
            "AIRFLOW_HOME": str(home) if home else None,
            "HYPOTHESIS_PROFILE": "full" if IN_CI else None,
        }
        return self.session.run(
            str(programs / program), *map(str, arguments), env=variables, external=True, **options
        )

    def output(self, program: str, *arguments: str, home: Path) -> str:
        """Run one of the environment's programs and return what it printed."""
        return str(self.run(program, *arguments, home=home, silent=True))


def project_environment(session: nox.Session, airflow: str) -> Environment:
    """Return the environment that the sessions of an Airflow version share, up to date."""
    newest = NEWEST_PYTHON.get(airflow, sys.version_info[:2])
    if sys.version_info[:2] > newest:
        session.error(
            f"Airflow {airflow} needs Python {'.'.join(map(str, newest))} or older; set PYTHON for make"
        )
    environment = Environment(session, ROOT / ".nox" / f"airflow-{airflow}")
    environment.folder.parent.mkdir(exist_ok=True)
    with locked(environment.folder.with_suffix(".lock")):
        versions = environment.folder / "versions"
        wanted = digest(pins(airflow), f"{ROOT} {sys.version}")
        if stamp_of(versions) != wanted:
            session.log(f"installing {pins(airflow).relative_to(ROOT)}, once")
            environment.create()
            environment.sync(pins(airflow))
            versions.write_text(wanted, encoding="utf-8")
        project = environment.folder / "project"
        files = (ROOT / "airflow_sa_binding").rglob("*")
        sources = sorted(file for file in files if file.is_file() and file.suffix != ".pyc")
        wanted = digest(*sources, ROOT / "pyproject.toml")
        if stamp_of(project) != wanted:
            environment.install("--no-deps", "--reinstall", "--build-constraints", pins(airflow), ROOT)
            project.write_text(wanted, encoding="utf-8")
    return environment


def run_tests(session: nox.Session, airflow: str, *paths: str) -> None:
    """Run pytest; that nothing was collected is an error, as is any skip in CI (see tests/conftest.py)."""
    environment = project_environment(session, airflow)
    with scratch_home() as home:
        environment.run("python", "-m", "pytest", *(session.posargs or paths), home=home)


def uv(session: nox.Session, *arguments: str | Path) -> None:
    """Run the uv that is installed next to nox; it never downloads a Python."""
    variables = {"UV_PYTHON_DOWNLOADS": "never", "VIRTUAL_ENV": None}
    session.run(sys.executable, "-m", "uv", *map(str, arguments), env=variables, external=True)


def pins(airflow: str) -> Path:
    """Return the file with the exact versions for an Airflow version."""
    return ROOT / "constraints" / f"airflow-{airflow}.txt"


def refuse_junk(session: nox.Session, source: Path) -> None:
    """Stop if the source distribution holds what some run has left behind."""
    left_behind = re.compile(r"/(__pycache__|_build|node_modules|\.(?!ci/)[^/]+)/|\.(db|log|pyc|whl)$")
    with tarfile.open(source) as archive:
        members = archive.getmembers()
    junk = [
        member.name
        for member in members
        if left_behind.search(member.name) or member.size > LARGEST_SOURCE_BYTES
    ]
    if junk:
        session.error(f"{source.name} holds {', '.join(junk)}")


@contextmanager
def scratch_home() -> Iterator[Path]:
    """Make an AIRFLOW_HOME and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="airflow-home-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one nox at a time change an environment."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def digest(*parts: Path | str) -> str:
    """Return a hash over texts and over files with their names."""
    total = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        total.update(f"{part}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def stamp_of(path: Path) -> str:
    """Return what an earlier run has written to a stamp file."""
    return path.read_text(encoding="utf-8") if path.exists() else ""
