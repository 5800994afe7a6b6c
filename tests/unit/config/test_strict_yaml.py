"""YAML is read strictly, and what hides mistakes or attacks is refused quickly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.config.strict_yaml import parse_documents, parse_yaml


def parse(text: str | bytes) -> object:
    return parse_yaml(text.encode() if isinstance(text, str) else text, "/opt/b.yaml")


def refusal(text: str | bytes) -> str:
    with pytest.raises(Refused) as caught:
        parse(text)
    return str(caught.value)


def outcome(text: str | bytes) -> str:
    try:
        parse(text)
    except Refused as refused:
        return str(refused)
    return "read"


def test_plain_document() -> None:
    """Mappings, lists and scalars mean what they mean in YAML 1.1, which Kubernetes uses too."""
    assert parse("a: {b: [1, 0440, 'x', true, null, 1.5]}\n# comment\n") == {
        "a": {"b": [1, 288, "x", True, None, 1.5]}
    }


@pytest.mark.parametrize("text", ["", "  \n", "# nothing yet\n", "---\n", "---\n...\n"])
def test_empty_document(text: str) -> None:
    """Nothing is nothing, whichever way it is written."""
    assert parse(text) is None


def test_byte_order_mark() -> None:
    """A byte order mark, which some editors write, says nothing."""
    assert parse(b"\xef\xbb\xbfa: 1") == {"a": 1}


def test_aliases_and_merge_keys() -> None:
    """Anchors, aliases and merge keys work as usual; what is written out wins."""
    text = "a: &one {x: 1, y: 2}\nb: *one\nc: {<<: *one, x: 3}\n"

    assert parse(text) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 3, "y": 2}}


def test_duplicate_key() -> None:
    """A key that comes twice is refused with both lines: YAML itself would silently take the last."""
    assert refusal("a:\n  b: 1\n  c: 2\n  b: 3\n") == (
        "/opt/b.yaml: key 'b' of line 2 comes again in line 4; keep one of the two"
    )


def test_same_key_at_two_places() -> None:
    """Two mappings may have the same keys."""
    assert parse("a: {x: 1}\nb: {x: 1}\n") == {"a": {"x": 1}, "b": {"x": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1: a", "/opt/b.yaml: a key in line 1 is not text, got '1'; put it in quotes"),
        ("\ntrue: a", "/opt/b.yaml: a key in line 2 is not text, got 'true'; put it in quotes"),
        ("? [a]\n: b", "/opt/b.yaml: a key in line 1 is not text; write plain text before the ':'"),
    ],
)
def test_key_that_is_not_text(text: str, message: str) -> None:
    """Keys are text."""
    assert refusal(text) == message


def test_tab() -> None:
    """A tab is named as such, for it cannot be seen."""
    assert (
        refusal("a:\n\tb: 1\n") == "/opt/b.yaml: is not YAML: a tab in line 2, column 1; indent with spaces"
    )


def test_syntax_error() -> None:
    """A mistake is located."""
    assert refusal("a: 'x") == (
        "/opt/b.yaml: is not YAML: found unexpected end of stream (line 1, column 6); mend it"
    )


def test_undefined_alias() -> None:
    """An alias of nothing is a mistake."""
    assert refusal("a: 1\nb: *x\n").startswith("/opt/b.yaml: is not YAML: found undefined alias")


def test_second_document() -> None:
    """A second document would be ignored, so it is refused."""
    assert refusal("a: 1\n---\nb: 2\n") == "/opt/b.yaml: holds a second document in line 2; keep one document"


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!str", "!!set", "!own", "!!binary", "!!bool"]
)
def test_tags(tag: str) -> None:
    """Tags, which can make values of any type, are refused."""
    assert refusal(f"a: {tag} x\n").startswith("/opt/b.yaml: holds a tag in line 1, got '")


@pytest.mark.parametrize("value", ["2024-13-45", "1" * 5000])
def test_values_that_python_cannot_hold(value: str) -> None:
    """A scalar that looks like a number or date but is none is refused."""
    assert (
        refusal(f"a: {value}") == "/opt/b.yaml: holds a number or date that cannot be read; put it in quotes"
    )


def test_no_utf8() -> None:
    """Another encoding is refused at its first byte."""
    assert refusal("a: \u00e4".encode("latin-1")) == "/opt/b.yaml: is not UTF-8 (byte 3); save it as UTF-8"


@pytest.mark.parametrize(("byte", "name"), [(b"\0", "U+0000"), (b"\x07", "U+0007"), (b"\x1b", "U+001B")])
def test_control_characters(byte: bytes, name: str) -> None:
    """NUL and its like are refused by name."""
    assert refusal(b"a: " + byte) == f"/opt/b.yaml: holds a control character ({name}); save it as plain text"


def test_billion_laughs() -> None:
    """Aliases that expand to thousands of millions of values are counted, not expanded."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    assert refusal("\n".join(lines)) == (
        "/opt/b.yaml: comes to more than 100000 values with its aliases expanded; write it without aliases"
    )


def test_billion_merges() -> None:
    """Merge keys, which PyYAML really expands, are counted before."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40)]

    assert refusal("\n".join(lines)) == (
        "/opt/b.yaml: comes to more than 100000 values with its aliases expanded; write it without aliases"
    )


def test_alias_of_itself() -> None:
    """A value that contains itself has no end."""
    assert refusal("a: &a\n  b: [*a]\n") == (
        "/opt/b.yaml: the value in line 1 holds an alias of itself; write it without aliases"
    )


def test_merge_of_itself() -> None:
    """Nor may a mapping merge itself."""
    assert refusal("a: &a\n  <<: *a\n") == (
        "/opt/b.yaml: the value in line 1 holds an alias of itself; write it without aliases"
    )


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting(opening: str) -> None:
    """Nesting that would exhaust a parser's stack is refused at the 33rd level."""
    assert refusal(opening * 150_000) == (
        "/opt/b.yaml: is nested deeper than 32 levels in line 1; write it flatter"
    )


def test_long_chain_of_aliases() -> None:
    """Anchors, each of which refers to the one before, are no deep nesting."""
    text = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 150))

    assert isinstance(parse(text), dict)


def documents_refusal(text: str) -> str:
    with pytest.raises(Refused) as caught:
        parse_documents(text.encode(), "pods.yaml")
    return str(caught.value)


def test_deep_nesting_by_aliases() -> None:
    """Aliases nest no deeper than what is written out."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 32))]

    assert isinstance(parse("\n".join(lines[:31])), dict)
    assert refusal("\n".join(lines)) == (
        "/opt/b.yaml: is nested deeper than 32 levels with its aliases expanded; write it without aliases"
    )


def test_long_text_by_aliases() -> None:
    """A text that is long and comes often counts for its length."""
    text = f"a: &a {'x' * 500_000}\nb: [{', '.join(['*a'] * 200)}]\n"

    assert refusal(text) == (
        "/opt/b.yaml: comes to more than 100000 values with its aliases expanded; write it without aliases"
    )


def test_several_documents() -> None:
    """Documents are told by their number, without those that are empty, and dates are text."""
    assert parse_documents(b"---\na: 2024-13-45\n---\n# none\n---\nb: 2025-01-01\n", "pods.yaml") == [
        ("pods.yaml, document 1", {"a": "2024-13-45"}),
        ("pods.yaml, document 2", {"b": "2025-01-01"}),
    ]


def test_the_only_document_has_no_number() -> None:
    """Where there is one document, the file's name says where it is."""
    assert parse_documents(b"---\n---\na: 1\n", "pods.yaml") == [("pods.yaml", {"a": 1})]


@pytest.mark.parametrize("text", ["", "---\n---\n", "# none\n", "--- null\n--- ~\n"])
def test_no_documents(text: str) -> None:
    """Empty documents are none."""
    assert parse_documents(text.encode(), "pods.yaml") == []


def test_mistake_in_one_of_several_documents() -> None:
    """Line numbers are those of the file, not of the document."""
    assert documents_refusal("a: 1\n---\nb: 1\nb: 2\n") == (
        "pods.yaml, document 2: key 'b' of line 3 comes again in line 4; keep one of the two"
    )


def test_number_that_cannot_be_read_in_one_of_several_documents() -> None:
    """A problem without a line is told by the document."""
    assert documents_refusal(f"a: 1\n---\nb: {'1' * 5000}\n") == (
        "pods.yaml, document 2: holds a number or date that cannot be read; put it in quotes"
    )


def test_alias_of_another_document() -> None:
    """An anchor ends with its document."""
    assert documents_refusal("a: &a 1\n---\nb: *a\n").startswith(
        "pods.yaml: is not YAML: found undefined alias"
    )


def test_many_small_bombs() -> None:
    """Documents share the limit: each of them may be below it, and all together far above."""
    bomb = (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b]\n"
    )

    assert len(parse_documents("---\n".join([bomb] * 200).encode(), "pods.yaml")) == 200
    assert documents_refusal("---\n".join([bomb] * 2000)) == (
        "pods.yaml: comes to more than 100000 values with its aliases expanded; write it without aliases"
    )


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*<!'\"|>#%@,? \n\t\r\0é1."), max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Whatever is written, it is read or refused in one line."""
    assert len(outcome(text).splitlines()) == 1


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused(content: bytes) -> None:
    """Whatever a file holds, it is read or refused in one line."""
    assert len(outcome(content).splitlines()) == 1
