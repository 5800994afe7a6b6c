"""Checks an installed wheel from the outside; run by the packaging session as `python -I tests/installed.py`."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from importlib.metadata import distribution

LIGHT = "import sys, airflow_sa_binding; sys.exit(any(name.partition('.')[0] == 'airflow' for name in sys.modules))"


def main() -> None:
    """Import every module, load every entry point, and look for the marker of a typed package."""
    installed = distribution("airflow-sa-binding")
    assert any(file.name == "py.typed" for file in installed.files or ()), "py.typed is not in the wheel"
    subprocess.run([sys.executable, "-I", "-c", LIGHT], check=True)

    project = importlib.import_module("airflow_sa_binding")
    assert project.__version__ == installed.version, f"{project.__version__} was built as {installed.version}"
    modules = [found.name for found in pkgutil.walk_packages(project.__path__, "airflow_sa_binding.")]
    for name in modules:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    groups = {entry.group for entry in installed.entry_points}
    assert groups == {"airflow.policy", "apache_airflow_provider", "console_scripts"}, groups
    for entry in installed.entry_points:
        entry.load()
    print(
        f"airflow-sa-binding {installed.version}: {len(modules)} modules, {len(installed.entry_points)} entry points"
    )


if __name__ == "__main__":
    main()
