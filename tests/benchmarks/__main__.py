"""The benchmark's command line. See `--help`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench
    from tests.benchmarks.report import Section
    from tests.cluster.control_plane import ControlPlane

# By name: the modules are imported late, since Airflow reads its environment when it is imported.
PARTS: Mapping[str, tuple[str, str]] = {
    "pods": ("pod_building", "from a request to the pod object"),
    "calls": ("api_calls", "API calls for each pod"),
    "sync": ("secret_sync", "synchronising 1,000 identities in 5 namespaces"),
    "import": ("importing", "importing the hook; --help"),
}

_EXAMPLES = """\
examples:
  python -m tests.benchmarks --write docs/reference/benchmarks.md    measure everything, about 8 minutes
  python -m tests.benchmarks pods import                             these two, without a cluster
  python -m tests.benchmarks --quick sync                            try the benchmark itself

exit status: 0 all limits are kept, 1 one is missed, 2 wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show the results, and return the exit status."""
    parser = _build_parser()
    parsed = parser.parse_args(arguments)
    unknown = [part for part in parsed.parts if part not in PARTS]
    if unknown:
        parser.error(f"PART: there is no {unknown[0]!r}; choose from {', '.join(PARTS)}")
    parts = [part for part in PARTS if part in (parsed.parts or PARTS)]
    if parsed.write is not None and (parsed.quick or len(parts) < len(PARTS)):
        parser.error("--write: a page of a part of the results, or of quick ones, would mislead")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sa-binding-benchmark-")))
        _give_airflow_a_home(home / "airflow")
        stack.enter_context(_logs_in(home / "log"))
        from tests.benchmarks.page import look_around, render_checks, write_page

        surroundings = look_around()
        sections = _measure(parts, home, is_quick=parsed.quick)
    checks = [check for section in sections for check in section.checks]
    print(render_checks(checks), end="", flush=True)
    if parsed.write is not None:
        write_page(parsed.write, surroundings, sections)
        print(f"written to {parsed.write}", file=sys.stderr)
    return 0 if all(check.is_kept for check in checks) else 1


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measures what binding costs next to the stock executor, and checks the limits.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    described = "; ".join(f"{part}: {what}" for part, (_, what) in PARTS.items())
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{described}; all without")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page with the results")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: numbers mean little")
    return parser


def _measure(parts: Sequence[str], home: Path, *, is_quick: bool) -> list[Section]:
    from tests.benchmarks.bench import Bench

    with ExitStack() as stack:
        cluster = _on_demand(stack)
        sections = []
        for number, part in enumerate(parts, start=1):
            module, what = PARTS[part]
            folder = home / part
            folder.mkdir()
            bench = Bench(folder=folder, is_quick=is_quick, cluster=cluster)
            bench.say(f"[{number}/{len(parts)}] {what} (load {os.getloadavg()[0]:.1f})")
            measure: Callable[[Bench], Section] = import_module(f"tests.benchmarks.{module}").measure
            section = measure(bench)
            for check in section.checks:
                verdict = "kept" if check.is_kept else "MISSED"
                bench.say(f"  {verdict}: {check.what}: {check.measured}, limit {check.limit}")
            sections.append(section)
    return sections


def _on_demand(stack: ExitStack) -> Callable[[], ControlPlane]:
    @lru_cache(maxsize=1)
    def cluster() -> ControlPlane:
        from tests.cluster.control_plane import running_control_plane

        print("  starting a Kubernetes control plane", file=sys.stderr, flush=True)
        return stack.enter_context(running_control_plane())

    return cluster


def _give_airflow_a_home(folder: Path) -> None:
    """Let no configuration of the caller's change what is measured."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    os.environ["AIRFLOW_HOME"] = str(folder)


@contextmanager
def _logs_in(path: Path) -> Iterator[None]:
    """Let standard output, where Airflow logs, go to a file for a while."""
    sys.stdout.flush()
    kept = os.dup(1)
    with path.open("w") as file:
        os.dup2(file.fileno(), 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


if __name__ == "__main__":
    sys.exit(main())
