"""Reads YAML into plain values and refuses what hides mistakes or attacks: duplicate keys, tags, bombs.

Knows nothing of what the file is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from airflow_sa_binding.binding.errors import Refused, describe

LONGEST_FILE_BYTES = 1048576
MOST_VALUES = 100_000
"""How many values a file may come to once its aliases are expanded; a long text counts for several."""
DEEPEST_NESTING = 32

_CHARACTERS_PER_VALUE = 1000
_NULL_TAG = "tag:yaml.org,2002:null"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_KEY_TAGS = {"tag:yaml.org,2002:str", _MERGE_TAG}
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _DatesAsTextLoader(_Loader):  # type: ignore[misc]
    """Leaves dates as they are written, as Kubernetes does."""


_DatesAsTextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


class _Extent(NamedTuple):
    """How large a value is with its aliases expanded."""

    values: int
    levels: int


def parse_yaml(content: bytes, source: str) -> object:
    """Parse one YAML document into dicts, lists and scalars; an empty one is None.

    Aliases and merge keys are followed, as long as what they expand to stays small.

    Arguments:
        content: The file.
        source: Its name, for messages.

    Raises:
        Refused: It is not one YAML document in UTF-8, or one that is not accepted.
    """
    documents = _parse(content, source, _Loader, is_several=False)
    return documents[0][1] if documents else None


def parse_documents(content: bytes, source: str) -> list[tuple[str, object]]:
    """Parse the YAML documents that are not empty, of manifests of Kubernetes: a date is text.

    Arguments:
        content: The file.
        source: Its name, for messages.

    Returns:
        For each document the words for where it is, and its value.

    Raises:
        Refused: It is not YAML in UTF-8, or holds what is not accepted; the limits are those of all documents together.
    """
    return _parse(content, source, _DatesAsTextLoader, is_several=True)


def _parse(content: bytes, source: str, loader: Any, *, is_several: bool) -> list[tuple[str, object]]:
    try:
        # Some editors put a byte order mark first.
        text = content.decode("utf-8-sig")
        _check_events(text, source, is_several=is_several)
        return _construct(text, source, loader)
    except UnicodeDecodeError as error:
        problem, remedy = f"is not UTF-8 (byte {error.start})", "save it as UTF-8"
    except yaml.reader.ReaderError as error:
        problem, remedy = f"holds a control character ({_code_point(error)})", "save it as plain text"
    except yaml.MarkedYAMLError as error:
        problem, remedy = _describe_syntax_error(text, error)
    raise Refused(source, problem, remedy=remedy)


def _code_point(error: yaml.reader.ReaderError) -> str:
    # libyaml gives a number, PyYAML's own reader a character.
    character: object = error.character
    return f"U+{character if isinstance(character, int) else ord(str(character)):04X}"


def _describe_syntax_error(text: str, error: yaml.MarkedYAMLError) -> tuple[str, str]:
    """Return what is wrong and the remedy."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return "is not YAML", "mend it"
    where = f"line {mark.line + 1}, column {mark.column + 1}"
    lines = text.splitlines()
    if mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
        return f"is not YAML: a tab in {where}", "indent with spaces"
    return f"is not YAML: {str(error.problem)[:100]} ({where})", "mend it"


def _check_events(text: str, source: str, *, is_several: bool) -> None:
    """Check nesting, tags and the number of documents before anything recursive looks at the text."""
    depth = documents = 0
    event: Any
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1 and not is_several:
                problem = f"holds a second document in line {line}"
                raise Refused(source, problem, remedy="keep one document")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST_NESTING:
                problem = f"is nested deeper than {DEEPEST_NESTING} levels in line {line}"
                raise Refused(source, problem, remedy="write it flatter")
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            problem = f"holds a tag in line {line}"
            raise Refused(source, problem, got=event.tag, remedy="drop it, and put text in quotes")


def _construct(text: str, source: str, loader_class: Any) -> list[tuple[str, object]]:
    loader = loader_class(text)
    try:
        roots: list[yaml.Node] = []
        while loader.check_node():
            root = loader.get_node()
            if root.tag != _NULL_TAG:
                roots.append(root)
        places = [source]
        if len(roots) > 1:
            places = [f"{source}, document {number}" for number, _ in enumerate(roots, start=1)]
        values = 0
        for where, root in zip(places, roots, strict=False):
            values += _check_nodes(root, where)
            if values > MOST_VALUES:
                problem = f"comes to more than {MOST_VALUES} values with its aliases expanded"
                raise Refused(source, problem, remedy="write it without aliases")
        return [
            (where, _construct_document(loader, root, where))
            for where, root in zip(places, roots, strict=False)
        ]
    finally:
        loader.dispose()


def _construct_document(loader: Any, root: yaml.Node, where: str) -> object:
    try:
        value: object = loader.construct_document(root)
    except ValueError:
        # A date like 2024-13-45, or a number of more digits than int() takes.
        problem = "holds a number or date that cannot be read"
        raise Refused(where, problem, remedy="put it in quotes") from None
    return value


def _children(node: yaml.Node) -> Iterator[tuple[yaml.Node, int]]:
    """Yield each node in a node, and how many levels deeper its content is."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key, 1
            # What is merged stands beside the key, and not below it.
            merges = key.tag == _MERGE_TAG
            yield value, (-1 if isinstance(value, yaml.SequenceNode) else 0) if merges else 1
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield item, 1


def _check_nodes(root: yaml.Node, source: str) -> int:
    """Check keys and nesting, and count the values with every alias expanded, without expanding any."""
    extents: dict[int, _Extent] = {}

    def measure(node: yaml.Node, above: frozenset[int]) -> _Extent:
        if id(node) in above:
            line = node.start_mark.line + 1
            problem = f"the value in line {line} holds an alias of itself"
            raise Refused(source, problem, remedy="write it without aliases")
        if id(node) not in extents:
            if isinstance(node, yaml.ScalarNode):
                extent = _Extent(1 + len(node.value) // _CHARACTERS_PER_VALUE, 0)
            else:
                if isinstance(node, yaml.MappingNode):
                    _check_keys(node, source)
                inside = above | {id(node)}
                parts = [(measure(child, inside), deeper) for child, deeper in _children(node)]
                extent = _Extent(
                    1 + sum(part.values for part, _ in parts),
                    max((part.levels + deeper for part, deeper in parts), default=1),
                )
            extents[id(node)] = extent
        return extents[id(node)]

    extent = measure(root, frozenset())
    # What comes to too many values is refused for that.
    if extent.values <= MOST_VALUES and extent.levels > DEEPEST_NESTING:
        problem = f"is nested deeper than {DEEPEST_NESTING} levels with its aliases expanded"
        raise Refused(source, problem, remedy="write it without aliases")
    return extent.values


def _check_keys(node: yaml.MappingNode, source: str) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            problem = f"a key in line {line} is not text"
            raise Refused(source, problem, remedy="write plain text before the ':'")
        if key.tag not in _KEY_TAGS:
            problem = f"a key in line {line} is not text"
            raise Refused(source, problem, got=key.value, remedy="put it in quotes")
        if key.value in lines:
            problem = f"key {describe(key.value)} of line {lines[key.value]} comes again in line {line}"
            raise Refused(source, problem, remedy="keep one of the two")
        lines[key.value] = line
