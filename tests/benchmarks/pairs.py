"""Two things measured in turn, and the difference between them.

On a machine that does other work as well, both of a pair suffer alike; the order changes from pair to pair, so that
neither is always the one that finds warm caches.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Measure = Callable[[], float]
"""Does something once and returns what it took."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """Samples of a first and a second thing; those with the same index were taken one after the other."""

    first: Sequence[float]
    second: Sequence[float]

    @property
    def added(self) -> float:
        """How much more the second takes: the median of the differences within pairs."""
        return statistics.median(self._differences)

    @property
    def added_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of `added`, from order statistics: no distribution is assumed."""
        ordered = sorted(self._differences)
        middle, half = len(ordered) / 2, 0.98 * math.sqrt(len(ordered))
        return ordered[max(0, math.floor(middle - half))], ordered[
            min(len(ordered) - 1, math.ceil(middle + half))
        ]

    @property
    def ratio(self) -> float:
        """The median of what the second takes, in terms of what the first of its pair does."""
        return statistics.median(
            second / first for first, second in zip(self.first, self.second, strict=True)
        )

    @property
    def _differences(self) -> list[float]:
        return [second - first for first, second in zip(self.first, self.second, strict=True)]


def measure_pairs(
    first: Measure,
    second: Measure,
    count: int,
    *,
    warm_up: bool = True,
    on_pair: Callable[[int], None] = lambda _: None,
) -> Pairs:
    """Measure `count` pairs, every other one in reversed order; `warm_up` does each once before, uncounted."""
    if warm_up:
        first()
        second()
    firsts: list[float] = []
    seconds: list[float] = []
    for number in range(count):
        if number % 2:
            seconds.append(second())
            firsts.append(first())
        else:
            firsts.append(first())
            seconds.append(second())
        on_pair(number + 1)
    return Pairs(first=firsts, second=seconds)


def percentile_95(samples: Sequence[float]) -> float:
    """Return what 95 % of the samples stay below."""
    return statistics.quantiles(samples, n=20, method="inclusive")[-1]
