"""Finds the code blocks, tables and links of the documentation, for tests that run or compare them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
DIRECTIVES = {"toctree", "include", "image"}


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    """Relative to the root of the project."""
    line: int
    language: str
    caption: str
    content: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return every page that readers get."""
    docs = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *docs]


def blocks(*languages: str) -> list[Block]:
    """Return the code blocks of all pages, or those in some languages."""
    every = [block for page in pages() for block in _blocks_of(page)]
    return [block for block in every if not languages or block.language in languages]


def tables(page: str) -> list[list[list[str]]]:
    """Return the tables of a page: their rows below the heading, each a list of cells in Markdown."""
    found: list[list[list[str]]] = []
    is_body = False
    for token in MarkdownIt().enable("table").parse((ROOT / page).read_text(encoding="utf-8")):
        if token.type == "tbody_open":
            is_body = True
            found.append([])
        elif token.type == "tbody_close":
            is_body = False
        elif is_body and token.type == "tr_open":
            found[-1].append([])
        elif is_body and token.type == "inline":
            found[-1][-1].append(token.content)
    return found


def links(page: Path) -> list[str]:
    """Return the relative links and images of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link.partition("#")[0] for link in found if not re.match(r"https?:|#", link)]


def _blocks_of(page: Path) -> Iterator[Block]:
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type != "fence":
            continue
        directive = re.fullmatch(r"\{([\w-]+)\}\s*(\w*).*", token.info.strip())
        if directive and directive[1] in DIRECTIVES:
            continue
        assert not directive or directive[1] == "code-block", f"{page.name}: unknown directive {token.info}"
        caption = re.match(r":caption: (\S+)\n\n", token.content)
        yield Block(
            page=str(page.relative_to(ROOT)),
            line=token.map[0] + 1 if token.map else 0,
            language=directive[2] if directive else token.info.strip(),
            caption=caption[1] if caption else "",
            content=token.content[caption.end() :] if caption else token.content,
        )
