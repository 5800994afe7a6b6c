"""What importing the hook adds to importing Airflow, and how soon the command line answers: whole processes."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence

from tests.benchmarks.bench import Bench
from tests.benchmarks.pairs import percentile_95
from tests.benchmarks.report import Section, Table, at_most
from tests.markdown import ROOT

IMPORTS = 20
HELPS = 20

# Airflow imports the plug-in of an installed package itself; an empty one in its place leaves Airflow alone.
_IMPORTS = """
import sys, time, types
stand_in = sys.modules["airflow_sa_binding.policy"] = types.ModuleType("airflow_sa_binding.policy")
start = time.process_time_ns()
import airflow
alone = time.process_time_ns()
assert "airflow_sa_binding.binding" not in sys.modules
del sys.modules[stand_in.__name__]
import airflow_sa_binding.policy, airflow_sa_binding.hook
print(alone - start, time.process_time_ns() - alone)
"""
_HELP = """
import sys
from airflow_sa_binding.cli.main import main
try:
    main(["--help"])
finally:
    assert "airflow" not in sys.modules
"""

_METHOD = """
New Python processes import Airflow, and then the plug-in and the hook. Both are timed in the same process: two processes
differ by more than what is looked for. `--help` is a whole process, from the start of Python on. All is processor time.
"""


def measure(bench: Bench) -> Section:
    """Time processes."""
    count, helps = bench.count(IMPORTS), bench.count(HELPS)
    _run(_IMPORTS)
    told = bench.progress("imports", count)
    airflow: list[float] = []
    hook: list[float] = []
    for number in range(count):
        alone, added = (int(each) / 1e6 for each in _run(_IMPORTS)[1].split())
        airflow.append(alone)
        hook.append(added)
        told(number + 1)
    _run(_HELP)
    answers = [_run(_HELP)[0] for _ in range(helps)]
    bench.say(f"  --help: {helps} of {helps}")
    return Section(
        title="Starting",
        method=_METHOD,
        table=Table(
            header=("what", "median (p95)"),
            rows=(
                ("importing Airflow", _show(airflow)),
                ("importing the hook after it", _show(hook)),
                ("`airflow-sa-binding --help`", _show(answers)),
            ),
        ),
        checks=(
            at_most("time that importing the hook adds", statistics.median(hook), 20, " ms", digits=1),
            at_most("`airflow-sa-binding --help`", statistics.median(answers), 500, " ms"),
        ),
    )


def _run(code: str) -> tuple[float, str]:
    """Run Python in a process of its own; return its processor time in milliseconds, and what it printed."""
    # Compiled modules have to be kept, or each process would compile them anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(ROOT)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), done.stdout


def _show(samples: Sequence[float]) -> str:
    return f"{statistics.median(samples):,.1f} ms ({percentile_95(samples):,.1f} ms)"
