"""What a measurement hands over: values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One limit, and whether it is kept."""

    what: str
    measured: str
    limit: str
    is_kept: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Numbers, as they are shown."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One measurement: how it was done, its numbers, and its limits."""

    title: str
    method: str
    table: Table
    checks: tuple[Check, ...]


def at_most(what: str, measured: float, limit: float, unit: str, *, digits: int = 0) -> Check:
    """Compare a number with its limit as both are, and show them rounded."""
    shown = f"{measured:,.{digits}f}"
    if measured > limit and float(shown.replace(",", "")) <= limit:
        shown = f"{measured:,.{digits + 3}f}"
    return Check(what=what, measured=f"{shown}{unit}", limit=f"{limit:g}{unit}", is_kept=measured <= limit)
