"""Writes results in the formats of `--output`: whole text, ready for stdout."""

from __future__ import annotations

import difflib
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sa_binding.cli.rendered import Manifest, RenderedPod

_WIDEST_LINE = 2**20
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def format_pods(pods: Sequence[RenderedPod], output: str) -> str:
    """Return the pods that would be created, as `yaml`, `json`, `diff` or `table`."""
    if output == "table":
        return format_table(_pod_rows(pods))
    created = [(pod, pod.bound) for pod in pods if pod.bound is not None]
    if output == "json":
        # A list even of one, so that whatever reads it need not know how many there are.
        return format_json({"apiVersion": "v1", "kind": "List", "items": [bound for _, bound in created]})
    if output == "diff":
        return "".join(_format_diff(pod.title, pod.stock or {}, bound) for pod, bound in created)
    return "---\n".join(f"# {pod.title}\n{format_yaml(bound)}" for pod, bound in created)


def format_yaml(value: Any) -> str:
    """Return a value as YAML that a person can read: in its own order, without aliases or wrapped lines."""
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDEST_LINE,
        default_flow_style=False,
    )
    return text


def format_json(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def format_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as a table, as wide as they need, or as the terminal is."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return ""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for heading in rows[0]:
        # Folded, not cut: what is shown can be copied.
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.values()))
    written = io.StringIO()
    is_terminal = sys.stdout.isatty()
    console = Console(
        file=written,
        force_terminal=is_terminal,
        width=None if is_terminal else _WIDEST_LINE,
        highlight=False,
    )
    console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's parameter
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - as above
        # Lists are indented under their key, as in Kubernetes' documentation.
        super().increase_indent(flow, False)


def _format_diff(title: str, stock: Manifest, bound: Manifest) -> str:
    lines = difflib.unified_diff(
        format_yaml(stock).splitlines(),
        format_yaml(bound).splitlines(),
        fromfile=f"stock/{title}",
        tofile=f"bound/{title}",
        lineterm="",
    )
    if not sys.stdout.isatty():
        return "".join(f"{line}\n" for line in lines)
    from rich.console import Console
    from rich.text import Text

    written = io.StringIO()
    console = Console(file=written, force_terminal=True, highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text(line, style=_DIFF_STYLES.get(line[:1], "")))
    return written.getvalue()


def _pod_rows(pods: Sequence[RenderedPod]) -> list[dict[str, str]]:
    rows = []
    for pod in pods:
        nothing = {} if pod.refusal is None else {"gcpServiceAccount": "refused"}
        for given in pod.bindings or (nothing,):
            rows.append(
                {
                    **pod.subject,
                    "IDENTITY": given.get("gcpServiceAccount", "-"),
                    "CONTAINERS": ", ".join(given.get("containers", ["-"])),
                    "DELIVERY": given.get("delivery", "-"),
                    "SECRET": given.get("secretName", "-"),
                    "MOUNT PATH": given.get("mountPath", "-"),
                }
            )
    return rows
