"""Read values that somebody else wrote, without running any of their code.

A subclass of `str` or `dict` may answer otherwise than what it holds, or raise, and an object may claim to be of
another class. Here only real strings, lists, tuples and dicts count, and they are read with the built-in methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def plain_text(value: object) -> str | None:
    """Return a string as a plain `str`, and nothing for anything else."""
    if type(value) is str:
        return value
    return str.__str__(value) if issubclass(type(value), str) else None


def plain_list(value: object) -> list[object] | None:
    """Return what a list or tuple holds, and nothing for anything else."""
    if issubclass(type(value), list):
        return list(list.__iter__(value))  # type: ignore[arg-type]
    if issubclass(type(value), tuple):
        return list(tuple.__iter__(value))  # type: ignore[arg-type]
    return None


def plain_dict(value: object) -> tuple[dict[str, object], list[object]] | None:
    """Return what a dict holds under strings, with its other keys beside it; and nothing for anything else."""
    if not issubclass(type(value), dict):
        return None
    entries: dict[str, object] = {}
    others: list[object] = []
    pairs: Iterable[tuple[object, object]] = dict.items(value)  # type: ignore[arg-type]
    for key, entry in pairs:
        text = plain_text(key)
        if text is None:
            others.append(key)
        else:
            entries[text] = entry
    return entries, others


def type_name(value: object) -> str:
    """Return the name of a value's class, as it was written."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return name
