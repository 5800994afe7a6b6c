"""Values of others are read without running their code."""

from __future__ import annotations

from collections import OrderedDict, UserDict, UserList, UserString
from types import MappingProxyType
from typing import Any, NoReturn

import pytest

from airflow_sa_binding.binding.plain import plain_dict, plain_list, plain_text, type_name


def _raise(*_: object) -> NoReturn:
    raise RuntimeError("code of the value was run")


_HOSTILE: dict[str, Any] = dict.fromkeys(
    (
        "__len__",
        "__iter__",
        "__bool__",
        "__contains__",
        "__getitem__",
        "__eq__",
        "__repr__",
        "__str__",
        "items",
    ),
    _raise,
)
_Text = type("_Text", (str,), {**_HOSTILE, "__hash__": str.__hash__})
_List = type("_List", (list,), _HOSTILE)
_Tuple = type("_Tuple", (tuple,), _HOSTILE)
_Dict = type("_Dict", (dict,), _HOSTILE)


class _Pretender:
    """Claims to be a str, and raises when asked for anything else."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return str

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


def test_text_of_a_subclass_is_a_plain_str() -> None:
    """What comes out of a str subclass has none of its methods."""
    text = plain_text(_Text("base"))

    assert type(text) is str
    assert text == "base"


@pytest.mark.parametrize(
    "value", [b"base", 1, None, UserString("base"), ["base"], pytest.param(_Pretender(), id="pretender")]
)
def test_nothing_else_is_text(value: object) -> None:
    """Bytes, objects like strings, and objects that claim to be strings are not text."""
    assert plain_text(value) is None


@pytest.mark.parametrize("kind", [list, tuple, _List, _Tuple])
def test_lists_and_tuples_are_lists(kind: Any) -> None:
    """Lists and tuples are read, whatever their subclass says."""
    assert plain_list(kind([1, 2])) == [1, 2]


@pytest.mark.parametrize("value", ["ab", b"ab", {1}, {1: 2}, range(2), UserList([1]), iter([1]), None])
def test_nothing_else_is_a_list(value: object) -> None:
    """What can be iterated over is not therefore a list."""
    assert plain_list(value) is None


@pytest.mark.parametrize("kind", [dict, OrderedDict, _Dict])
def test_dict_is_split_by_its_keys(kind: Any) -> None:
    """Entries under strings, and the keys that are none, come apart."""
    assert plain_dict(kind({"a": 1, 2: 3, None: 4})) == ({"a": 1}, [2, None])


@pytest.mark.parametrize("value", [[("a", 1)], MappingProxyType({"a": 1}), UserDict({"a": 1}), None, "a"])
def test_nothing_else_is_a_dict(value: object) -> None:
    """Mappings that are no dicts run code of their own: they do not count."""
    assert plain_dict(value) is None


def test_name_of_a_class_that_hides_it() -> None:
    """A metaclass cannot answer for the class's name."""

    class Meta(type):
        @property
        def __name__(cls) -> str:  # type: ignore[override]
            raise RuntimeError

    assert type_name(Meta("Real", (), {})()) == "Real"
