"""From a request to the pod object: the stock executor and ours, on the same tasks, in the same process.

What `start()` would set up without a cluster is set up by hand; everything that is timed is the executors' own code.
"""

from __future__ import annotations

import pickle
import statistics
import time
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pluggy

from tests.benchmarks.bench import Bench, options
from tests.benchmarks.pairs import Pairs, measure_pairs, percentile_95
from tests.benchmarks.report import Section, Table, at_most
from tests.integration.executor_fixtures import OURS, STOCK, load_class
from tests.integration.executor_harness import queue_task
from tests.keys import ETL, write_key

PAIRS = 2000
BINDINGS = 500
ACCOUNTS = 500
"""As many as are listed, so that what grows with them would show."""

_NAMESPACE = "airflow"
_TASKS: Mapping[str, Any] = {"with an identity": {"gcp-service-account": ETL}, "without": {}}
_TEMPLATE = Path(__file__).with_name("pod_template.yaml")

_METHOD = f"""
A task is handed to an executor as the scheduler does it, its job is pickled as on its way through the queue, and the
pod is built from a template like that of the official Helm chart; {ACCOUNTS} accounts are listed. Both executors write
their log lines, formatted as Airflow does it, to a file. Timed is the processor time of the thread, so that what else
the machine does counts for little; stock and ours take turns. *Added* is the median of the differences within the pairs,
with its 95 % confidence interval. The stock executor is timed without this package's `pod_mutation_hook`.

*Binding* is the step that our executor does after the stock code, timed by itself: first in its place, where building
the pod has left little of it in the processor's caches, then *again* on the same pod, with warm ones.
"""


def measure(bench: Bench) -> Section:
    """Time pods with an identity and without."""
    accounts = [ETL, *(f"account-{number:04}@acme.iam.gserviceaccount.com" for number in range(1, ACCOUNTS))]
    paths = {account: bench.folder / f"{account.partition('@')[0]}.json" for account in accounts}
    for account, path in paths.items():
        write_key(path, account)
    with options(
        core__executor=OURS,
        kubernetes__gcp_service_accounts=",".join(f"{account}={path}" for account, path in paths.items()),
        kubernetes_executor__pod_template_file=_TEMPLATE,
        kubernetes_executor__namespace=_NAMESPACE,
    ):
        stock, ours = _make_builders()
        count = bench.count(PAIRS)
        paired = {
            what: measure_pairs(
                partial(stock, config),
                partial(ours, config),
                count,
                on_pair=bench.progress(f"pods {what}", count),
            )
            for what, config in _TASKS.items()
        }
        bindings = {
            what: _time_binding(ours, config, bench.count(BINDINGS)) for what, config in _TASKS.items()
        }
    bound, unbound = paired["with an identity"], paired["without"]
    return Section(
        title="From a request to the pod object",
        method=_METHOD,
        table=Table(
            header=(
                *("task", "stock, median (p95)", "ours, median (p95)", "added", "share of stock"),
                *("binding", "again"),
            ),
            rows=tuple(_row(what, pairs, bindings[what]) for what, pairs in paired.items()),
        ),
        checks=(
            at_most("time added to a pod with an identity", bound.added, 100, " µs"),
            at_most("the same, in terms of stock", 100 * _share(bound), 1.5, " %", digits=2),
            at_most("time added to a pod without", unbound.added, 20, " µs"),
        ),
    )


def _make_builders() -> tuple[_Builder, _Builder]:
    from airflow_sa_binding.cluster.state import Ready
    from airflow_sa_binding.config.load import load_configuration, load_keys, with_projects
    from airflow_sa_binding.pod_requests import BindingKubernetesScheduler

    stock = load_class(STOCK)(parallelism=32)
    _set_up(stock)
    ours = load_class(OURS)(parallelism=32)
    _set_up(ours)
    BindingKubernetesScheduler.take_over(ours.kube_scheduler, ours._bind)
    configuration = load_configuration(ours.conf)
    keys, _ = load_keys(configuration)
    configuration = with_projects(configuration, keys)
    ours._configure(configuration)
    for identity in configuration.settings.identities.values():
        ours._secrets.record(_NAMESPACE, identity.delivery.secret_name, Ready())
    without, with_ours = _plugin_managers()
    return _Builder(stock, without), _Builder(ours, with_ours)


def _set_up(executor: Any) -> None:
    """Give an executor what the stock `start()` gives it, but for processes and connections."""
    from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_utils import (
        AirflowKubernetesScheduler,
    )

    scheduler = AirflowKubernetesScheduler.__new__(AirflowKubernetesScheduler)
    scheduler.kube_config = executor.kube_config
    scheduler.namespace = executor.kube_config.kube_namespace
    scheduler.scheduler_job_id = executor.scheduler_job_id = "1"
    scheduler.team_name = None
    scheduler.supports_task_instance_uuid = False
    executor.kube_scheduler = scheduler
    executor.task_queue = _Jobs()


class _Jobs(list[Any]):
    """A queue that pickles jobs, as that between the processes of a scheduler does."""

    def put(self, job: Any) -> None:
        self.append(pickle.loads(pickle.dumps(job)))  # noqa: S301 - our own bytes


class _Builder:
    """Builds pods with one executor, and tells what that took."""

    def __init__(self, executor: Any, plugins: pluggy.PluginManager) -> None:
        self.executor = executor
        self.plugins = plugins

    def __call__(self, executor_config: Any) -> float:
        """Return the time in microseconds."""
        settings: Any = import_module("airflow.settings")
        executor = self.executor
        # Registering a plug-in and taking it away each time would leave other caches to the one than to the other.
        settings.get_policy_plugin_manager = lambda: self.plugins
        key = queue_task(executor, "a_task", executor_config)
        workload = executor.queued_tasks[key]
        start = time.thread_time_ns()
        executor._process_workloads([workload])
        executor.kube_scheduler._build_pod_request(executor.task_queue.pop())
        nanoseconds = time.thread_time_ns() - start
        for kept in (executor.running, executor.event_buffer, getattr(executor, "pod_launch_attempts", {})):
            kept.clear()
        return nanoseconds / 1000


def _plugin_managers() -> tuple[pluggy.PluginManager, pluggy.PluginManager]:
    """Return Airflow's policy plug-ins without the one of this package, and with it."""
    from airflow.settings import get_policy_plugin_manager

    from airflow_sa_binding import policy

    without, with_ours = _copy(get_policy_plugin_manager()), _copy(get_policy_plugin_manager())
    with_ours.register(policy)
    return without, with_ours


def _copy(plugins: pluggy.PluginManager) -> pluggy.PluginManager:
    """Copy a plugin manager, but for the plug-in of this package, which is there where the package is installed."""
    from airflow import policies

    from airflow_sa_binding import policy

    copied = pluggy.PluginManager(plugins.project_name)
    copied.add_hookspecs(policies)
    for name, plugin in plugins.list_name_plugin():
        if plugin is not policy and plugin is not None:
            copied.register(plugin, name)
    return copied


def _time_binding(ours: _Builder, executor_config: Any, count: int) -> tuple[float, float]:
    """Return the median times of the binding in microseconds: within the building of a pod, and repeated."""
    scheduler = ours.executor.kube_scheduler
    bind = scheduler.bind
    in_place: list[float] = []
    again: list[float] = []

    def timed(pod: Any, job: Any) -> Any:
        for samples in (in_place, again, again, again):
            start = time.thread_time_ns()
            bound = bind(pod, job)
            samples.append((time.thread_time_ns() - start) / 1000)
        return bound

    scheduler.bind = timed
    for _ in range(count):
        ours(executor_config)
    scheduler.bind = bind
    return statistics.median(in_place), statistics.median(again)


def _share(pairs: Pairs) -> float:
    return pairs.added / statistics.median(pairs.first)


def _row(what: str, pairs: Pairs, binding: tuple[float, float]) -> tuple[str, ...]:
    low, high = pairs.added_interval
    return (
        what,
        *(
            f"{statistics.median(each):,.0f} µs ({percentile_95(each):,.0f} µs)"
            for each in (pairs.first, pairs.second)
        ),
        f"{pairs.added:,.0f} µs ({low:,.0f} to {high:,.0f})",
        f"{100 * _share(pairs):.2f} %",
        *(f"{each:,.0f} µs" for each in binding),
    )
