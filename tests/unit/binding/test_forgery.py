"""A `pod_override` cannot change whose pod it is."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.forgery import refuse_forged_pod, refuse_forgeries
from airflow_sa_binding.binding.identity import Settings
from tests.unit.binding.samples import TASK, override, pod

ANNOTATIONS = "pod_override.metadata.annotations"
LABELS = "pod_override.metadata.labels"
REMEDY = "drop it: the executor sets it"
TRUE_ANNOTATIONS = {"dag_id": "sales", "task_id": "load", "run_id": "manual__2026-01-01", "try_number": "1"}


def refusal(settings: Settings | None = None, **metadata: Any) -> str:
    """Return the message with which an override with this metadata is refused."""
    with pytest.raises(Refused) as caught:
        refuse_forgeries(override(**metadata), TASK, settings or Settings())
    return str(caught.value)


@pytest.mark.parametrize(
    "metadata", [{}, {"annotations": {}}, {"labels": {"team": "sales"}, "annotations": {"a": "b"}}]
)
def test_override_with_metadata_of_its_own(metadata: dict[str, Any]) -> None:
    """Annotations and labels that are not reserved are the author's own business."""
    refuse_forgeries(override(**metadata), TASK, Settings())


def test_no_override() -> None:
    """A task without `pod_override` forges nothing."""
    refuse_forgeries(None, TASK, Settings())


def test_truth_may_be_repeated() -> None:
    """Saying what the executor says anyway is no forgery."""
    refuse_forgeries(
        override(annotations=TRUE_ANNOTATIONS, labels={**TRUE_ANNOTATIONS, "kubernetes_executor": "True"}),
        TASK,
        Settings(),
    )


def test_map_index_of_a_mapped_task_may_be_repeated() -> None:
    """A mapped task may say its own index."""
    refuse_forgeries(override(annotations={"map_index": "3"}), TASK._replace(map_index=3), Settings())


@pytest.mark.parametrize(
    "name",
    [
        "dag_id",
        "task_id",
        "run_id",
        "try_number",
        "map_index",
        "task_instance_id",
        "logical_date",
        "execution_date",
        "airflow-sa-binding/applied",
    ],
)
@pytest.mark.parametrize(
    ("value", "got"), [("other", "'other'"), ("", "''"), (None, "None"), (7, "7"), ({"a"}, "set")]
)
def test_forged_annotation(name: str, value: object, got: str) -> None:
    """Each reserved annotation is refused, with any value, None included, which would empty it."""
    assert refusal(annotations={"mine": "x", name: value}) == (
        f'{ANNOTATIONS}["{name}"]: says whose pod this is, got {got}; {REMEDY}'
    )


@pytest.mark.parametrize(
    "name",
    [
        "dag_id",
        "task_id",
        "run_id",
        "try_number",
        "map_index",
        "logical_date",
        "execution_date",
        "airflow-worker",
        "airflow_executor_done",
        "airflow_pod_revoked",
        "kubernetes_executor",
        "ti_id",
    ],
)
@pytest.mark.parametrize(("value", "got"), [("other", "'other'"), ("", "''"), (None, "None"), (True, "True")])
def test_forged_label(name: str, value: object, got: str) -> None:
    """Each reserved label is refused, with any value, None included, which would hide the pod from its executor."""
    assert refusal(labels={"mine": "x", name: value}) == (
        f'{LABELS}["{name}"]: says whose pod this is, got {got}; {REMEDY}'
    )


def test_map_index_of_another_mapped_task() -> None:
    """A mapped task cannot claim to be its neighbour."""
    with pytest.raises(Refused) as caught:
        refuse_forgeries(override(annotations={"map_index": "4"}), TASK._replace(map_index=3), Settings())

    assert str(caught.value) == f"{ANNOTATIONS}[\"map_index\"]: says whose pod this is, got '4'; {REMEDY}"


def test_str_that_equals_everything() -> None:
    """A str subclass that calls itself equal to the truth is compared by what it holds."""

    class Chameleon(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = str.__hash__

    assert refusal(annotations={"dag_id": Chameleon("other")}) == (
        f"{ANNOTATIONS}[\"dag_id\"]: says whose pod this is, got 'other'; {REMEDY}"
    )


def test_dict_that_hides_its_entries() -> None:
    """A dict subclass that iterates over nothing is read all the same."""

    class Hiding(dict[str, str]):
        def __iter__(self) -> Any:
            return iter(())

        def __bool__(self) -> bool:
            return False

    assert refusal(labels=Hiding({"dag_id": "other"})) == (
        f"{LABELS}[\"dag_id\"]: says whose pod this is, got 'other'; {REMEDY}"
    )


@pytest.mark.parametrize(
    ("given", "got"), [(["dag_id"], "list"), ("dag_id=x", "'dag_id=x'"), ({"dag_id"}, "set"), ((), "tuple")]
)
def test_metadata_that_is_no_dict(given: object, got: str) -> None:
    """What cannot be read is not believed to be harmless."""
    assert refusal(annotations=given) == f"{ANNOTATIONS}: must be a dict, got {got}; write a dict of strings"
    assert refusal(labels=given) == f"{LABELS}: must be a dict, got {got}; write a dict of strings"


def test_namespace_of_somebody_else() -> None:
    """A pod cannot move to where task pods do not run."""
    assert refusal(Settings(namespaces=("airflow", "airflow-tasks")), namespace="kube-system") == (
        "pod_override.metadata.namespace: task pods do not run there, got 'kube-system';"
        " use one of 'airflow', 'airflow-tasks', or have it added to [sa_binding] namespaces"
    )


def test_long_list_of_namespaces_is_cut() -> None:
    """A message names the first eight namespaces."""
    settings = Settings(namespaces=tuple(f"team-{number}" for number in range(60)))

    assert refusal(settings, namespace="x") == (
        "pod_override.metadata.namespace: task pods do not run there, got 'x'; use one of"
        " 'team-0', 'team-1', 'team-2', 'team-3', 'team-4', 'team-5', 'team-6', 'team-7' and 52 more,"
        " or have it added to [sa_binding] namespaces"
    )


@pytest.mark.parametrize("namespace", [None, "airflow", "airflow-tasks"])
def test_namespace_of_task_pods(namespace: str | None) -> None:
    """A pod may say where task pods run."""
    refuse_forgeries(override(namespace=namespace), TASK, Settings(namespaces=("airflow", "airflow-tasks")))


def test_any_namespace() -> None:
    """Where the executor watches every namespace, a pod may run in any."""
    refuse_forgeries(override(namespace="anywhere"), TASK, Settings(any_namespace=True))


@pytest.mark.parametrize(
    ("field", "metadata", "got"),
    [
        (
            "name",
            {"name": "p\nINFO sa_binding.bound dag_id=finance"},
            "'p\\nINFO sa_binding.bound dag_id=finance'",
        ),
        ("name", {"name": "Sales"}, "'Sales'"),
        ("name", {"name": 7}, "7"),
        ("generateName", {"generate_name": "a b-"}, "'a b-'"),
    ],
)
def test_name_that_is_none(field: str, metadata: dict[str, Any], got: str) -> None:
    """A name is in log lines before the API server sees it, so it must be one."""
    author = override()
    for name, value in metadata.items():
        setattr(author.metadata, name, value)

    with pytest.raises(Refused) as caught:
        refuse_forgeries(author, TASK, Settings())

    assert str(caught.value) == (
        f"pod_override.metadata.{field}: is not a pod's name, got {got}; use a-z, 0-9, '-' and '.'"
    )


def test_names_that_are_some() -> None:
    """A pod may have a name of its author's choice, or the beginning of one."""
    author = override()
    author.metadata.name, author.metadata.generate_name = "sales.load-1", "sales-"

    refuse_forgeries(author, TASK, Settings())


def finished_refusal(annotations: dict[str, Any] | None = None, labels: dict[str, Any] | None = None) -> str:
    """Return the message with which a finished pod with this metadata is refused."""
    given = pod()
    given.metadata.annotations, given.metadata.labels = annotations, labels
    with pytest.raises(Refused) as caught:
        refuse_forged_pod(given, TASK)
    return str(caught.value)


@pytest.mark.parametrize(
    "annotations",
    [
        {"dag_id": "finance"},
        {"task_id": "pay"},
        {"run_id": "other"},
        {"try_number": "2"},
        {"map_index": "7"},
        {"map_index": "abc"},
        {"logical_date": "2026-01-01"},
        {"execution_date": "2026-01-01"},
    ],
)
def test_finished_pod_with_annotations_of_another(annotations: dict[str, str]) -> None:
    """The executor's watcher goes by these annotations, whoever wrote them."""
    ((name, value),) = annotations.items()

    assert finished_refusal({"team": "sales", **annotations}) == (
        f"metadata.annotations[\"{name}\"]: says whose pod this is, got '{value}'; {REMEDY}"
    )


@pytest.mark.parametrize(
    "labels",
    [{"airflow_executor_done": "True"}, {"airflow_pod_revoked": "True"}, {"kubernetes_executor": "no"}],
)
def test_finished_pod_that_hides(labels: dict[str, str]) -> None:
    """The executor's watcher looks past pods with these labels, and the task would never end."""
    ((name, value),) = labels.items()

    assert finished_refusal(labels=labels) == (
        f"metadata.labels[\"{name}\"]: says whose pod this is, got '{value}'; {REMEDY}"
    )


def test_finished_pod_of_the_task() -> None:
    """What the executor writes, with labels that it shortens, is no forgery."""
    given = pod()
    given.metadata.annotations = dict(TRUE_ANNOTATIONS)
    given.metadata.labels = {"dag_id": "sales-1a2b3c", "kubernetes_executor": "True", "airflow-worker": "7"}

    refuse_forged_pod(given, TASK)
