"""How mount paths relate to each other inside a container."""

from __future__ import annotations

import posixpath


def is_within(path: object, folder: str) -> bool:
    """Tell whether a path is a folder or lies below it."""
    return _with_slash(path).startswith(_with_slash(folder))


def is_parent(path: object, folder: str) -> bool:
    """Tell whether a path lies above a folder, so that a mount there hides or holds the folder."""
    return _normal(path) != _normal(folder) and is_within(folder, str(path))


def _with_slash(path: object) -> str:
    return _normal(path).rstrip("/") + "/"


def _normal(path: object) -> str:
    text = posixpath.normpath("/" + str(path).lstrip("/"))
    # In the usual images /var/run is a link to /run, so both spell one place.
    return f"/var{text}" if text == "/run" or text.startswith("/run/") else text
