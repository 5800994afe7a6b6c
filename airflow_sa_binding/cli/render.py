"""The command `render`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.cli.commands import WrongUsage
from airflow_sa_binding.cli.output import format_pods
from airflow_sa_binding.cli.streams import only_our_words, say

if TYPE_CHECKING:
    import argparse

    from airflow_sa_binding.cli.rendered import RenderedPod


def run(arguments: argparse.Namespace) -> int:
    """Render the pods of a DAG file or of a file with pods."""
    try:
        _check_usage(arguments)
        with only_our_words(verbose=arguments.verbose):
            pods = _render(arguments)
    except WrongUsage as wrong:
        say(f"error: {wrong}")
        return 2
    except Refused as refused:
        say(f"error: {refused}")
        return 1
    for pod in pods:
        if pod.refusal is not None:
            say(f"{pod.title}: {pod.refusal}")
    sys.stdout.write(format_pods(pods, arguments.output))
    if arguments.output == "diff":
        for pod in pods:
            if pod.bound is not None and pod.bound == pod.stock:
                say(f"{pod.title}: nothing changes")
    return 1 if any(pod.refusal is not None for pod in pods) else 0


def _check_usage(arguments: argparse.Namespace) -> None:
    if (arguments.dag_file is None) == (arguments.pod is None):
        raise WrongUsage("give either a DAG_FILE or --pod POD_FILE")
    if arguments.pod is not None and (arguments.dag_id is not None or arguments.task_id is not None):
        raise WrongUsage("--dag-id and --task-id choose from a DAG_FILE; they do not go with --pod")
    if arguments.map_index < 0:
        raise WrongUsage(f"--map-index must be 0 or more, got {arguments.map_index}")


def _render(arguments: argparse.Namespace) -> list[RenderedPod]:
    from airflow.configuration import conf

    from airflow_sa_binding.config.load import load_configuration

    configuration = load_configuration(conf)
    for problem in configuration.problems:
        say(f"warning: {problem}")
    if arguments.pod is not None:
        from airflow_sa_binding.cli.pod_files import render_pod_file

        return render_pod_file(arguments.pod)
    path = Path(arguments.dag_file)
    if not path.is_file():
        raise WrongUsage(
            f"DAG_FILE: {'is a folder' if path.is_dir() else 'does not exist'}, got {str(path)!r}"
        )
    from airflow_sa_binding.cli.dag_pods import render_dag_file

    return render_dag_file(
        path,
        configuration,
        dag_id=arguments.dag_id,
        task_id=arguments.task_id,
        map_index=arguments.map_index,
        trace=say if arguments.verbose else None,
    )
