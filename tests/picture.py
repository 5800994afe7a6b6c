"""Draws the diff in README.md as a picture: `python -m tests.picture` writes docs/_static/render.svg."""

from __future__ import annotations

from html import escape

from tests.markdown import ROOT, blocks

PICTURE = ROOT / "docs" / "_static" / "render.svg"

_WIDTH = 112
_COLOURS = {"+": "#7ee787", "-": "#ff7b72", "@": "#79c0ff"}
_LINE_HEIGHT = 18


def draw(diff: str) -> str:
    """Return a diff as SVG, with long lines folded."""
    lines = [
        (line[:1] if not line.startswith(("+++", "---")) else "", line[start : start + _WIDTH])
        for line in diff.splitlines()
        for start in range(0, len(line) or 1, _WIDTH)
    ]
    height = _LINE_HEIGHT * len(lines) + 32
    texts = "\n".join(
        f'<text x="16" y="{_LINE_HEIGHT * number + 32}" fill="{_COLOURS.get(kind, "#e6edf3")}">{escape(text)}</text>'
        for number, (kind, text) in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 {height}" role="img" xml:space="preserve" '
        'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13">\n'
        "<title>What the package adds to the pod of a task</title>\n"
        f'<rect width="920" height="{height}" rx="8" fill="#0d1117"/>\n{texts}\n</svg>\n'
    )


def main() -> None:
    """Write the picture."""
    (block,) = blocks("diff")
    PICTURE.write_text(draw(block.content), encoding="utf-8")


if __name__ == "__main__":
    main()
