"""Reads YAML into plain values and refuses what hides mistakes or attacks: duplicate keys, bombs, several documents.

Knows nothing of what the file is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from airflow_sa_binding.binding.errors import Refused, describe

LONGEST_FILE_BYTES = 1048576
MOST_VALUES = 100_000
"""How many values a file may come to once its aliases are expanded."""
DEEPEST_NESTING = 32

_KEY_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}
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
        # Some editors put a byte order mark first.
        text = content.decode("utf-8-sig")
        _check_events(text, source)
        return _construct(text, source)
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


def _check_events(text: str, source: str) -> None:
    """Check nesting, tags and the number of documents before anything recursive looks at the text."""
    depth = documents = 0
    event: Any
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
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


def _construct(text: str, source: str) -> object:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _check_nodes(root, source)
        value: object = loader.construct_document(root)
        return value
    except ValueError:
        # A date like 2024-13-45, or a number of more digits than int() takes.
        problem = "holds a number or date that cannot be read"
        raise Refused(source, problem, remedy="put it in quotes") from None
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
            problem = f"the value in line {line} holds an alias of itself"
            raise Refused(source, problem, remedy="write it without aliases")
        if id(node) not in sizes:
            if isinstance(node, yaml.MappingNode):
                _check_keys(node, source)
            inside = above | {id(node)}
            sizes[id(node)] = 1 + sum(count(child, inside) for child in _children(node))
        return sizes[id(node)]

    if count(root, frozenset()) > MOST_VALUES:
        problem = f"comes to more than {MOST_VALUES} values with its aliases expanded"
        raise Refused(source, problem, remedy="write it without aliases")


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
