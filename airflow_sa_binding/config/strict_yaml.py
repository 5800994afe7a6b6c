"""Reads YAML into plain values and refuses what hides mistakes or attacks: duplicate keys, bombs, several documents.

Knows nothing of what the file is about.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import yaml

from airflow_sa_binding.binding.errors import Refused, describe

LONGEST_FILE_BYTES = 1048576
MOST_VALUES = 100_000
"""How many values a file may come to once its aliases are expanded."""
DEEPEST_NESTING = 32

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(content: bytes, source: str) -> object:
    """Parse one YAML document into dicts, lists and scalars; an empty one is None.

    Aliases and merge keys are followed, as long as what they expand to stays small.

    Arguments:
        content: The file.
        source: Its name, for messages.

    Raises:
        Refused: It is not one YAML document in UTF-8, or one that is not accepted.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start})"
    else:
        try:
            _check_shape(text, source)
            return _construct(text, source)
        except yaml.MarkedYAMLError as error:
            return _refuse(text, source, error)
        except yaml.reader.ReaderError as error:
            problem = f"holds the control character {chr(_code(error)).encode('unicode_escape').decode()!r}"
    raise Refused(source, problem, remedy="save it as plain text in UTF-8")


def _code(error: yaml.reader.ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(error.character[:1])


def _refuse(text: str, source: str, error: yaml.MarkedYAMLError) -> object:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        raise Refused(source, "is not YAML", remedy="mend it")
    line = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
    where = f"line {mark.line + 1}, column {mark.column + 1}"
    if "\t" in line[: mark.column + 1]:
        raise Refused(source, f"is not YAML: a tab in {where}", remedy="indent with spaces")
    raise Refused(source, f"is not YAML: {error.problem} ({where})", remedy="mend it")


def _check_shape(text: str, source: str) -> None:
    """Check nesting and the number of documents before anything recursive looks at the text."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                line = event.start_mark.line + 1
                raise Refused(source, f"holds a second document in line {line}", remedy="write one document a file")
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST_NESTING:
                line = event.start_mark.line + 1
                raise Refused(
                    source, f"is nested deeper than {DEEPEST_NESTING} levels in line {line}", remedy="simplify it"
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _construct(text: str, source: str) -> object:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _check_nodes(root, source)
        try:
            value: object = loader.construct_document(root)
        except ValueError as error:
            # A date like 2024-13-45, or a number of more digits than int() takes.
            del error
            raise Refused(source, "holds a number or date that cannot be read", remedy="put it in quotes") from None
        return value
    finally:
        loader.dispose()


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _check_nodes(root: yaml.Node, source: str) -> None:
    """Check keys, and count the values with every alias expanded, without expanding any."""
    sizes: dict[int, int] = {}

    def count(node: yaml.Node, above: frozenset[int]) -> int:
        if id(node) in above:
            line = node.start_mark.line + 1
            raise Refused(source, f"the value in line {line} holds an alias of itself", remedy="write it out")
        if id(node) not in sizes:
            if isinstance(node, yaml.MappingNode):
                _check_keys(node, source)
            inside = above | {id(node)}
            sizes[id(node)] = 1 + sum(count(child, inside) for child in _children(node))
        return sizes[id(node)]

    if count(root, frozenset()) > MOST_VALUES:
        raise Refused(
            source, f"comes to more than {MOST_VALUES} values once its aliases are expanded", remedy="write it out"
        )


def _check_keys(node: yaml.MappingNode, source: str) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise Refused(source, f"a key in line {line} is not text", remedy="write plain text before the ':'")
        if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
            raise Refused(source, f"a key in line {line} is not text", got=key.value, remedy="put it in quotes")
        if key.value in lines:
            raise Refused(
                source,
                f"key {describe(key.value)} of line {lines[key.value]} is written again in line {line}",
                remedy="keep one of the two",
            )
        lines[key.value] = line


def kind_of(value: object) -> str:
    """Name what YAML made of a value in the words of YAML's users."""
    if isinstance(value, (datetime.date, datetime.datetime)):
        return "a date"
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)
