"""The command `sync`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.cli.output import format_json, format_table, format_yaml
from airflow_sa_binding.cli.streams import only_our_words, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from kubernetes.client import ApiClient

    from airflow_sa_binding.cluster.report import Report

_HEADINGS = {
    "namespace": "NAMESPACE",
    "account": "ACCOUNT",
    "secretName": "SECRET",
    "action": "ACTION",
    "message": "MESSAGE",
}
_SILENT_SECONDS = 5.0


def run(arguments: argparse.Namespace) -> int:
    """Do one round and show what it did."""
    try:
        with only_our_words(verbose=arguments.verbose):
            report, config_problems = _sync(dry_run=arguments.dry_run, prune=arguments.prune)
    except Refused as refused:
        say(f"error: {refused}")
        return 1
    from airflow_sa_binding.cluster.plan import Action

    problems = (*config_problems, *report.problems.values())
    # Each once: what is wrong with the configuration may be why a key cannot be had.
    for problem in dict.fromkeys(problems):
        say(f"error: {problem}")
    if not report.outcomes and not problems:
        say("nothing to do: no account that needs a Secret is listed")
    sys.stdout.write(format_report(report, arguments.output, dry_run=arguments.dry_run))
    failed = report.count(Action.FAILED, Action.FOREIGN, Action.UNKNOWN)
    return 1 if problems or failed else 0


def format_report(report: Report, output: str, *, dry_run: bool) -> str:
    """Return what a round did, as `table`, `yaml` or `json`."""
    rows = [
        {
            "namespace": outcome.namespace,
            "account": outcome.account,
            "secretName": outcome.secret_name,
            "action": outcome.action.value,
            "message": outcome.message,
        }
        for outcome in report.outcomes
    ]
    if output == "json":
        return format_json(rows)
    if output == "yaml":
        return format_yaml(rows)
    if not rows:
        return ""
    from airflow_sa_binding.cluster.plan import Action

    counts = ((action, report.count(action)) for action in Action)
    summary = ", ".join(f"{count} {action.value}" for action, count in counts if count)
    table = format_table([{_HEADINGS[name]: cell for name, cell in row.items()} for row in rows])
    return f"{table}\n{'dry run, nothing was written: ' if dry_run else ''}{summary}\n"


def _sync(*, dry_run: bool, prune: bool) -> tuple[Report, tuple[str, ...]]:
    from airflow.configuration import conf

    from airflow_sa_binding.cluster.api import SecretApi
    from airflow_sa_binding.cluster.sync import sync_secrets
    from airflow_sa_binding.config.load import load_configuration, load_keys

    configuration = load_configuration(conf)
    keys, refusals = load_keys(configuration)
    report = sync_secrets(
        SecretApi(_connect()),
        configuration,
        keys,
        refusals,
        # Without the flag, as configured: what schedulers prune is pruned here too.
        prune=True if prune else None,
        dry_run=dry_run,
        is_stopped=_tell_progress(),
    )
    return report, tuple(str(problem) for problem in configuration.problems)


def _connect() -> ApiClient:
    from airflow.exceptions import AirflowConfigException
    from airflow.providers.cncf.kubernetes.kube_client import get_kube_client
    from kubernetes.config import ConfigException

    try:
        return get_kube_client().api_client
    except (ConfigException, AirflowConfigException, OSError, ValueError) as error:
        raise Refused(
            "Kubernetes client",
            f"cannot be set up: {' '.join(str(error).split()).rstrip('.')}",
            remedy="set in_cluster or config_file in [kubernetes_executor]",
        ) from None


def _tell_progress() -> Callable[[], bool]:
    """Return a function that is asked before each call whether to stop: never, but it tells how far things are."""
    calls = 0
    told = time.monotonic()

    def is_stopped() -> bool:
        nonlocal calls, told
        if time.monotonic() - told > _SILENT_SECONDS:
            say(f"{calls} calls done, going on")
            told = time.monotonic()
        calls += 1
        return False

    return is_stopped
