"""The page that shows the results, and the machine that they are from."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from airflow_sa_binding import __version__
from tests.benchmarks.report import Check, Section, Table
from tests.cluster.build import KUBERNETES_VERSION

_OPENING = """\
# Benchmarks

What this package costs, next to what the stock executor or a bare loop costs in the same run. `make benchmark` measures
it anew, writes this page, and fails if a limit is not kept.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """When and on what something was measured; nothing that names the machine."""

    date: str
    processor: str
    cores: int
    memory_gib: float
    load: float
    """How many processes wanted to run in the minute before."""

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what to show, with names."""
        packages = ("apache-airflow", "apache-airflow-providers-cncf-kubernetes", "kubernetes")
        return (
            ("date", self.date),
            ("processor", f"{self.processor}, {self.cores} cores"),
            ("memory", f"{self.memory_gib:.0f} GiB"),
            ("load before the run", f"{self.load:.1f} processes"),
            ("Python", f"{platform.python_version()} on {platform.system()}"),
            ("airflow-sa-binding", __version__),
            *((package, version(package)) for package in packages),
            ("Kubernetes", KUBERNETES_VERSION),
        )


def look_around() -> Surroundings:
    """Describe this machine as it is now."""
    return Surroundings(
        date=datetime.now(timezone.utc).date().isoformat(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        load=os.getloadavg()[0],
    )


def write_page(path: Path, surroundings: Surroundings, sections: Sequence[Section]) -> None:
    """Write the page, in one step."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(render_page(surroundings, sections), encoding="utf-8")
    draft.replace(path)


def render_page(surroundings: Surroundings, sections: Sequence[Section]) -> str:
    """Return the page in Markdown."""
    parts = [
        _OPENING,
        "## Limits\n",
        render_checks([check for section in sections for check in section.checks]),
        "## Machine\n",
        _render(Table(header=("", ""), rows=surroundings.facts())),
    ]
    for section in sections:
        parts += [f"## {section.title}\n", _render(section.table), section.method.strip("\n") + "\n"]
    return "\n".join(parts)


def render_checks(checks: Sequence[Check]) -> str:
    """Return all limits in one table."""
    rows = tuple(
        (check.what, check.measured, check.limit, "kept" if check.is_kept else "**missed**")
        for check in checks
    )
    return _render(Table(header=("what", "measured", "limit", ""), rows=rows))


def _render(table: Table) -> str:
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()
