"""Says a problem once, not every minute: when it comes, when it changes, and when it is over."""

from __future__ import annotations

import logging
from collections.abc import Mapping


class ProblemLog:
    """Which problems have been said, by what they are about."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, str] = {}

    def update(self, problems: Mapping[str, str], *, is_complete: bool) -> None:
        """Log what is new.

        Arguments:
            problems: Messages by what they are about.
            is_complete: Whether everything was looked at, so that what is not among them is over.
        """
        for subject, message in problems.items():
            self.say(subject, message)
        if is_complete:
            for subject in self._said.keys() - problems.keys():
                self.end(subject)

    def say(self, subject: str, message: str, *, with_traceback: bool = False) -> None:
        """Log a problem, unless it was the last that was said about its subject."""
        if self._said.get(subject) != message:
            self._said[subject] = message
            self._log.warning("sa_binding.problem %s", message, exc_info=with_traceback)

    def end(self, subject: str) -> None:
        """Log that a problem is over, if there was one."""
        if self._said.pop(subject, None) is not None:
            self._log.info("sa_binding.recovered %s", subject)
