"""The formats of `--output`, as whole texts."""

from __future__ import annotations

from typing import Any

from airflow_sa_binding.cli.output import format_pods, format_table, format_yaml
from airflow_sa_binding.cli.rendered import RenderedPod, with_steady_name

STOCK: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "sales-load", "annotations": {"dag_id": "sales"}},
    "spec": {"containers": [{"name": "base", "args": ["run", "a: b"]}]},
}
APPLIED = (
    '{"version":"0.1.0","bindings":['
    '{"gcpServiceAccount":"etl@acme.iam.gserviceaccount.com","delivery":"key","secretName":"gcp-sa-etl-fd6d6038",'
    '"containers":["base","proxy"],"mountPath":"/var/run/secrets/gcp/etl-fd6d6038"}]}'
)
BOUND = {
    **STOCK,
    "metadata": {
        "name": "sales-load",
        "annotations": {"dag_id": "sales", "airflow-sa-binding/applied": APPLIED},
    },
}
LOAD = RenderedPod(subject={"DAG": "sales", "TASK": "load"}, stock=STOCK, bound=BOUND)
TIDY_UP = RenderedPod(subject={"DAG": "sales", "TASK": "tidy_up"}, stock=STOCK, bound=STOCK)
REFUSED = RenderedPod(subject={"DAG": "sales", "TASK": "pay"}, refusal="no")

LOAD_YAML = f"""\
# sales.load
apiVersion: v1
kind: Pod
metadata:
  name: sales-load
  annotations:
    dag_id: sales
    airflow-sa-binding/applied: '{APPLIED}'
spec:
  containers:
    - name: base
      args:
        - run
        - 'a: b'
"""


def test_yaml_is_a_document_per_pod_that_is_created() -> None:
    """Each pod that would be created is a document headed by its name; refused ones are left out."""
    text = format_pods([LOAD, REFUSED, TIDY_UP], "yaml")

    assert text == (
        LOAD_YAML
        + """\
---
# sales.tidy_up
apiVersion: v1
kind: Pod
metadata:
  name: sales-load
  annotations:
    dag_id: sales
spec:
  containers:
    - name: base
      args:
        - run
        - 'a: b'
"""
    )


def test_nothing_to_show_is_empty_in_yaml_and_a_list_in_json() -> None:
    """With every pod refused, what reads the output still gets something that it can read."""
    assert format_pods([REFUSED], "yaml") == ""
    assert format_pods([REFUSED], "diff") == ""
    assert format_pods([REFUSED], "json") == '{\n  "apiVersion": "v1",\n  "kind": "List",\n  "items": []\n}\n'


def test_json_is_a_list_that_kubectl_takes() -> None:
    """`json` is one Kubernetes List, even of one pod."""
    pod = RenderedPod(subject={"POD": "a"}, stock={"kind": "Pod"}, bound={"kind": "Pod"})

    assert format_pods([pod], "json") == (
        '{\n  "apiVersion": "v1",\n  "kind": "List",\n  "items": [\n    {\n      "kind": "Pod"\n    }\n  ]\n}\n'
    )


def test_diff_compares_stock_with_bound() -> None:
    """`diff` shows what binding changes, and nothing for a pod that it leaves alone."""
    assert format_pods([LOAD, TIDY_UP, REFUSED], "diff") == (
        "--- stock/sales.load\n"
        "+++ bound/sales.load\n"
        "@@ -4,6 +4,7 @@\n"
        "   name: sales-load\n"
        "   annotations:\n"
        "     dag_id: sales\n"
        f"+    airflow-sa-binding/applied: '{APPLIED}'\n"
        " spec:\n"
        "   containers:\n"
        "     - name: base\n"
    )


def test_table_has_a_line_per_binding() -> None:
    """`table` shows every pod: its bindings, none, or that it was refused."""
    assert format_pods([LOAD, TIDY_UP, REFUSED], "table") == (
        "DAG     TASK      IDENTITY                           CONTAINERS    DELIVERY   SECRET                MOUNT PATH\n"
        f"{'─' * 133}\n"
        "sales   load      etl@acme.iam.gserviceaccount.com   base, proxy   key        gcp-sa-etl-fd6d6038   "
        "/var/run/secrets/gcp/etl-fd6d6038\n"
        "sales   tidy_up   -                                  -             -          -                     -\n"
        "sales   pay       refused                            -             -          -                     -\n"
    )


def test_a_table_shows_markup_as_it_is() -> None:
    """What looks like markup of the table's library is text like any other."""
    assert format_table([{"A": "[red]x[/red]"}]) == "A\n────────────\n[red]x[/red]\n"


def test_yaml_repeats_shared_values() -> None:
    """A value that is there twice is written twice: no anchors, which people take for something else."""
    shared = {"a": [1]}

    assert format_yaml({"x": shared, "y": shared}) == "x:\n  a:\n    - 1\ny:\n  a:\n    - 1\n"


def test_a_title_never_breaks_a_line() -> None:
    """A name with a line break is shown quoted: it could otherwise end the comment that it stands in."""
    pod = RenderedPod(subject={"POD": "a\nb: c"}, stock={}, bound={"kind": "Pod"})

    assert format_pods([pod], "yaml") == "# 'a\\nb: c'\nkind: Pod\n"


def test_a_random_name_becomes_a_steady_one() -> None:
    """The random end of a pod's name is replaced by one that depends on the task alone."""
    first = with_steady_name("sales-load-x1y2z3w4", "sales", "load", -1)

    assert first == with_steady_name("sales-load-00000000", "sales", "load", -1) == "sales-load-37a80610"


def test_a_name_of_ones_own_is_kept() -> None:
    """A name without a random end is the author's."""
    assert with_steady_name("my-pod", "sales", "load", -1) == "my-pod"
