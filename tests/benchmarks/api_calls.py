"""Calls to the API server for each pod, as the API server logs them: the stock executor and ours."""

from __future__ import annotations

from collections import Counter

from tests.benchmarks.bench import Bench, options
from tests.benchmarks.report import Check, Section, Table
from tests.cluster.access import create_namespace
from tests.integration.executor_fixtures import OURS, STOCK, TEMPLATE, load_class
from tests.integration.executor_harness import Driver, started
from tests.keys import ETL, write_key

PODS = 20

_METHOD = f"""
Each executor is started against a real API server as a user of its own, and given {PODS} tasks that ask for an
identity. Counted is, in the API server's audit log, what that user asks until the last pod is there; watches, which
time ends and not pods, are left out. What our executor does when it starts and once per `sync_interval_seconds` does
not depend on pods: see the next measurement.
"""


def measure(bench: Bench) -> Section:
    """Count for both executors."""
    cluster = bench.cluster()
    namespace = "api-calls"
    create_namespace(cluster.core(), namespace)
    write_key(bench.folder / "etl.json", ETL)
    counts = {}
    with options(
        core__executor=OURS,
        kubernetes__gcp_service_accounts=f"{ETL}={bench.folder}/etl.json",
        kubernetes_executor__pod_template_file=TEMPLATE,
        kubernetes_executor__namespace=namespace,
        kubernetes_executor__in_cluster=False,
        kubernetes_executor__worker_pods_creation_batch_size=8,
        # A round of its own accord would be counted as well.
        sa_binding__sync_interval_seconds=3600,
    ):
        for name, path in (("stock", STOCK), ("ours", OURS)):
            user = cluster.as_user(f"{name}-executor", ["system:masters"])
            with options(kubernetes_executor__config_file=user.kubeconfig):
                executor = load_class(path)(parallelism=PODS)
                with started(executor, job_id=name):
                    driver = Driver(executor=executor, cluster=cluster, namespace=namespace)
                    counts[name] = _count(driver, name)
            bench.say(f"  {name}: {_show(counts[name])}")
    return Section(
        title="API calls for each pod",
        method=_METHOD,
        table=Table(
            header=("executor", f"calls for {PODS} pods", "for each pod"),
            rows=tuple(
                (name, _show(asked), f"{sum(asked.values()) / PODS:g}") for name, asked in counts.items()
            ),
        ),
        checks=(
            Check(
                what=f"calls for {PODS} pods",
                measured=_show(counts["ours"]),
                limit=f"as stock: {_show(counts['stock'])}",
                is_kept=counts["ours"] == counts["stock"],
            ),
        ),
    )


def _count(driver: Driver, name: str) -> Counter[str]:
    task_ids = [f"{name}-{number}" for number in range(PODS)]
    # What an executor does first of all is not for a pod.
    driver.beat()
    mark = driver.cluster.audit_log.mark()
    for task_id in task_ids:
        driver.submit(task_id, {"gcp-service-account": ETL})
    driver.beat_until(lambda: all(driver.pods(task_id) for task_id in task_ids))
    return Counter(
        f"{request.verb} {request.resource}"
        for request in driver.cluster.audit_log.requests_since(mark)
        if request.user == f"{name}-executor" and request.verb != "watch"
    )


def _show(asked: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(asked.items())) or "none"
