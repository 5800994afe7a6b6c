"""What every test run shares: a scratch AIRFLOW_HOME, deselection by Airflow version, and no silent skips in CI."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from importlib.metadata import version
from importlib.util import find_spec

import pytest
from hypothesis import settings
from packaging.specifiers import SpecifierSet

pytest_plugins = ["tests.cluster.fixtures"] if find_spec("tests.cluster.fixtures") else []

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

# A deadline measures the machine, not the code. The printed blob lets a failure be repeated elsewhere.
settings.register_profile("project", deadline=None, print_blob=True)
settings.load_profile("project")


def pytest_configure(config: pytest.Config) -> None:
    """Give Airflow a home of its own before any test imports it, unless the caller chose one."""
    if "AIRFLOW_HOME" not in os.environ:
        home = tempfile.mkdtemp(prefix="airflow-home-")
        os.environ["AIRFLOW_HOME"] = home
        config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests whose `airflow(">=3.1")` marker rules out the installed Airflow: they are no skips."""
    installed = version("apache-airflow")
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        wanted = [SpecifierSet(mark.args[0], prereleases=True) for mark in item.iter_markers("airflow")]
        (kept if all(installed in each for each in wanted) else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI, where every part must be there, unless `may_skip` says why it may."""
    report = yield
    if (
        IN_CI
        and report.skipped
        and not hasattr(report, "wasxfail")
        and not item.get_closest_marker("may_skip")
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure in CI."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {_reason(report.longrepr)}"
    return report


def _reason(longrepr: object) -> str:
    """Return the reason of a skip, which pytest reports as (path, line, reason)."""
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)
