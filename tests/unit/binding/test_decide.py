"""The whole way from what was asked for to the bound pod, by both entrances."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import models as k8s

from airflow_sa_binding.binding.decide import BoundPod, bind_operator_pod, bind_task_pod
from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.identity import Settings
from airflow_sa_binding.binding.resolve import Binding
from tests.unit.binding.samples import (
    ADS,
    BOTH,
    ETL,
    ETL_IDENTITY,
    ETL_PATH,
    ETL_SECRET,
    TASK,
    manifest,
    override,
    pod,
)

ANNOTATION = "iam.cloud.google.com/service-account"
CONTAINERS = "airflow-sa-binding/containers"
FIELD = f'pod_override.metadata.annotations["{ANNOTATION}"]'


def bind(
    executor_config: object, author: k8s.V1Pod | None = None, template: k8s.V1Pod | None = None
) -> BoundPod:
    """Bind a task's pod as the executor does, with Airflow's own merge of the override."""
    merged = PodGenerator.reconcile_pods(template or pod("base", "sidecar"), author)
    return bind_task_pod(merged, override=author, executor_config=executor_config, task=TASK, settings=BOTH)


def refusal(
    executor_config: object, author: k8s.V1Pod | None = None, template: k8s.V1Pod | None = None
) -> str:
    """Return the message with which a task's pod is refused."""
    with pytest.raises(Refused) as caught:
        bind(executor_config, author, template)
    return str(caught.value)


def operator_refusal(given: k8s.V1Pod, settings: Settings = BOTH) -> str:
    """Return the message with which an operator's pod is refused."""
    with pytest.raises(Refused) as caught:
        bind_operator_pod(given, settings)
    return str(caught.value)


def annotated(given: k8s.V1Pod, **annotations: str) -> k8s.V1Pod:
    """Give a pod these annotations."""
    given.metadata.annotations = annotations
    return given


def test_task_that_asks_for_nothing_keeps_its_pod() -> None:
    """Without a request the pod is as the executor built it."""
    given = pod()

    bound = bind_task_pod(given, override=None, executor_config={}, task=TASK, settings=BOTH)

    assert bound == BoundPod(pod=given, bindings=())
    assert bound.pod is given


def test_task_that_asks_is_bound() -> None:
    """The bound pod comes with what it was given."""
    bound = bind({"gcp-service-account": ETL})

    assert bound.bindings == (Binding(identity=ETL_IDENTITY, containers=("base",), field="x"),)
    assert bound.pod.metadata.annotations[ANNOTATION] == ETL


def test_account_of_the_template_is_for_tasks_without_a_wish() -> None:
    """A template may give all tasks an identity."""
    template = annotated(pod(), **{ANNOTATION: ADS})

    assert bind({}, None, template).bindings[0].identity.name == ADS


def test_executor_config_wins_over_the_template() -> None:
    """A task's own wish replaces the template's, its containers included."""
    template = annotated(pod("base", "sidecar"), **{ANNOTATION: ADS, CONTAINERS: "sidecar"})

    bound = bind({"gcp-service-account": ETL}, None, template)

    assert [(one.identity.name, one.containers) for one in bound.bindings] == [(ETL, ("base",))]
    assert ANNOTATION in bound.pod.metadata.annotations
    assert CONTAINERS not in bound.pod.metadata.annotations


def test_annotation_of_the_override_asks_as_well() -> None:
    """An author may ask with annotations in `pod_override` alone."""
    assert bind({}, override(annotations={ANNOTATION: ETL})).bindings[0].identity.name == ETL


@pytest.mark.parametrize(
    ("config", "annotations"),
    [
        (ETL, {ANNOTATION: ETL}),
        ({"name": ETL, "containers": ["sidecar"]}, {ANNOTATION: ETL}),
        ({"name": ETL, "containers": ["sidecar"]}, {ANNOTATION: ETL, CONTAINERS: "sidecar"}),
        (ETL, {ANNOTATION: f'{{"name": "{ETL}"}}'}),
    ],
)
def test_annotation_that_agrees(config: object, annotations: dict[str, str]) -> None:
    """The same wish in both places is one wish; the account alone says nothing of containers."""
    bound = bind({"gcp-service-account": config}, override(annotations=annotations))

    assert [one.identity.name for one in bound.bindings] == [ETL]


@pytest.mark.parametrize(
    ("config", "annotations", "got"),
    [
        (ETL, {ANNOTATION: ADS}, "'ads@acme.iam.gserviceaccount.com'"),
        (ETL, {ANNOTATION: ETL, CONTAINERS: "sidecar"}, "'etl@acme.iam.gserviceaccount.com'"),
        (
            ETL,
            {ANNOTATION: f'{{"name":"{ETL}","containers":["sidecar"]}}'},
            """'{"name":"etl@acme.iam.gserviceaccount.com","containers":["sidecar"]}'""",
        ),
        (
            [ETL, {"name": ADS, "containers": ["sidecar"]}],
            {ANNOTATION: ETL},
            "'etl@acme.iam.gserviceaccount.com'",
        ),
    ],
)
def test_annotation_and_executor_config_disagree(
    config: object, annotations: dict[str, str], got: str
) -> None:
    """Two different wishes of one author are refused: neither silently wins."""
    assert refusal({"gcp-service-account": config}, override(annotations=annotations)) == (
        f'{FIELD}: asks for something else than executor_config["gcp-service-account"], got {got};'
        " keep one of the two"
    )


def test_forgery_is_found_before_anything_else() -> None:
    """Whose pod it is comes first, even where nothing is asked for."""
    assert refusal({}, override(annotations={"dag_id": "other"})) == (
        "pod_override.metadata.annotations[\"dag_id\"]: says whose pod this is, got 'other';"
        " drop it: the executor sets it"
    )


def test_override_that_contradicts() -> None:
    """An author's own variable is refused after Airflow's merge as well."""
    author = override(env=[k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value="/mine.json")])

    assert refusal({"gcp-service-account": ETL}, author) == (
        "pod_override.spec.containers[0].env[0]: sets GOOGLE_APPLICATION_CREDENTIALS,"
        " which etl@acme.iam.gserviceaccount.com needs for itself, got '/mine.json';"
        " drop the variable or drop the identity"
    )


def test_template_that_presets_the_same_yields() -> None:
    """What the platform engineer's template sets is replaced."""
    template = pod()
    template.spec.containers[0].env = [
        k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value="/template.json")
    ]

    bound = bind({"gcp-service-account": ETL}, override(), template)

    assert bound.pod.spec.containers[0].env[0].value == f"{ETL_PATH}/key.json"


def test_container_that_the_override_renamed() -> None:
    """A second container called base would get the identity, while the task runs without in the first one."""
    author = k8s.V1Pod(
        spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="main"), k8s.V1Container(name="base")])
    )

    assert refusal({"gcp-service-account": ETL}, author, pod("base")) == (
        "executor_config[\"gcp-service-account\"]: is for the container 'base', but"
        " pod_override.spec.containers[0] renames the one that runs the task, got 'main';"
        " call it 'base', or name it in containers"
    )


def test_renamed_container_that_is_named() -> None:
    """Whoever renames the container that runs the task can ask for it by its new name."""
    author = k8s.V1Pod(spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="main")]))

    bound = bind({"gcp-service-account": {"name": ETL, "containers": ["main"]}}, author, pod("base"))

    assert [(one.name, bool(one.env)) for one in bound.pod.spec.containers] == [("main", True)]


def test_template_that_claims_another_map_index() -> None:
    """An author may choose the template, which is merged first; what it forges is seen in the finished pod."""
    template = annotated(pod(), map_index="7")

    assert refusal({}, None, template) == (
        "metadata.annotations[\"map_index\"]: says whose pod this is, got '7'; drop it: the executor sets it"
    )


def test_container_that_the_override_added() -> None:
    """A container that the author adds can be named."""
    author = k8s.V1Pod(
        spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base"), k8s.V1Container(name="helper")])
    )

    bound = bind({"gcp-service-account": {"name": ETL, "containers": ["helper"]}}, author, pod("base"))

    assert [bool(one.env) for one in bound.pod.spec.containers] == [False, True]


@pytest.mark.parametrize(
    "config", [{}, {"gcp-service-account": ADS}], ids=["nothing asked", "another account"]
)
def test_override_that_reaches_for_a_secret(config: dict[str, Any]) -> None:
    """No request makes it right to name a managed Secret oneself."""
    author = override()
    author.spec.volumes = [k8s.V1Volume(name="v", secret=k8s.V1SecretVolumeSource(secret_name=ETL_SECRET))]

    assert refusal(config, author) == (
        "spec.volumes[0].secret.secretName: names a Secret that holds an identity, got 'gcp-sa-etl-fd6d6038';"
        ' ask for the identity with executor_config={"gcp-service-account": ...} instead'
    )


def test_nothing_that_came_in_is_changed() -> None:
    """Neither the pod, nor the override, nor the executor_config is changed."""
    config = {"gcp-service-account": [{"name": ETL, "containers": ["base"]}]}
    author = override(env=[k8s.V1EnvVar(name="A", value="1")], annotations={ANNOTATION: ETL})
    merged = PodGenerator.reconcile_pods(pod("base", "sidecar"), author)
    before = copy.deepcopy((config, author, merged))

    bind_task_pod(merged, override=author, executor_config=config, task=TASK, settings=BOTH)

    assert (config, author, merged) == before


# --- pods that an operator built


def test_operator_pod_is_bound_by_its_annotation() -> None:
    """A pod asks with its annotation."""
    bound = bind_operator_pod(annotated(pod(), **{ANNOTATION: ETL}), BOTH)

    assert [(one.identity.name, one.containers) for one in bound.bindings] == [(ETL, ("base",))]


def test_operator_pod_without_annotations_is_handed_back() -> None:
    """A pod that asks for nothing is not touched."""
    given = pod()

    assert bind_operator_pod(given, BOTH).pod is given


def test_operator_pod_without_metadata_or_spec_is_handed_back() -> None:
    """Nor is one that has nothing at all."""
    given = k8s.V1Pod()

    assert bind_operator_pod(given, BOTH).pod is given


def test_operator_pod_without_a_spec_cannot_have_an_identity() -> None:
    """An identity needs a container."""
    assert operator_refusal(k8s.V1Pod(metadata=k8s.V1ObjectMeta(annotations={ANNOTATION: ETL}))) == (
        f"metadata.annotations[\"{ANNOTATION}\"].containers: the pod has no such container, got 'base';"
        " the pod has none"
    )


def test_operator_pod_is_its_authors_throughout() -> None:
    """What an operator's author writes into the pod contradicts, wherever it stands."""
    given = annotated(pod(), **{ANNOTATION: ETL})
    given.spec.containers[0].env = [k8s.V1EnvVar(name="GOOGLE_APPLICATION_CREDENTIALS", value="/mine.json")]

    assert operator_refusal(given) == (
        "pod.spec.containers[0].env[0]: sets GOOGLE_APPLICATION_CREDENTIALS,"
        " which etl@acme.iam.gserviceaccount.com needs for itself, got '/mine.json';"
        " drop the variable or drop the identity"
    )


def test_operator_pod_is_bound_twice_without_change() -> None:
    """As a plug-in and from the local settings, the hook's second call changes nothing."""
    text = f'[{{"name": "{ETL}", "containers": ["base"]}}, {{"name": "{ADS}", "containers": ["sidecar"]}}]'
    once = bind_operator_pod(annotated(pod("base", "sidecar"), **{ANNOTATION: text}), BOTH)

    twice = bind_operator_pod(once.pod, BOTH)

    assert manifest(twice.pod) == manifest(once.pod)


def test_operator_pod_with_an_unlisted_account() -> None:
    """An account that is not listed is refused by the annotation's name."""
    assert operator_refusal(annotated(pod(), **{ANNOTATION: ETL}), Settings()) == (
        f'metadata.annotations["{ANNOTATION}"]: account is not listed in [kubernetes] gcp_service_accounts,'
        " got 'etl@acme.iam.gserviceaccount.com'; ask your platform engineer to list it"
    )
