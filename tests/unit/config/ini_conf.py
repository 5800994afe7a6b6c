"""Stands in for Airflow's configuration object: an airflow.cfg in memory, with the one method that is used."""

from __future__ import annotations

import configparser


class IniConf:
    """Answers `get` as `airflow.configuration.conf` does for what stands in a file."""

    def __init__(self, text: str = "") -> None:
        self._parser = configparser.ConfigParser()
        self._parser.read_string(text)

    def get(self, section: str, key: str, *, fallback: str | None = None) -> str | None:
        """Return the text of an option."""
        return self._parser.get(section, key, fallback=fallback)

    def getsection(self, section: str) -> dict[str, str] | None:
        """Return the options of a section, and nothing where it is not there."""
        return dict(self._parser[section]) if self._parser.has_section(section) else None
