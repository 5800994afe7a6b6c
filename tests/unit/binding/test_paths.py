"""Mount paths are compared as the container sees them."""

from __future__ import annotations

import pytest

from airflow_sa_binding.binding.paths import is_parent, is_within

FOLDER = "/var/run/secrets/gcp/etl-fd6d6038"


@pytest.mark.parametrize(
    "path",
    [
        FOLDER,
        FOLDER + "/",
        FOLDER + "/key.json",
        "/run/secrets/gcp/etl-fd6d6038",
        "//run//secrets/gcp/etl-fd6d6038/",
        "/var/run/secrets/gcp/x/../etl-fd6d6038",
        "/var/../run/secrets/gcp/./etl-fd6d6038/key.json",
        "var/run/secrets/gcp/etl-fd6d6038",
    ],
)
def test_folder_itself_and_what_is_below_lie_within(path: str) -> None:
    """However it is spelled, a path to the folder or below it lies within, and is no parent."""
    assert is_within(path, FOLDER)
    assert not is_parent(path, FOLDER)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        ".",
        "/var",
        "/run",
        "/var/run",
        "/var/run/",
        "/run/secrets",
        "/var/run/secrets/gcp/",
        "/var/run/x/../secrets",
    ],
)
def test_folders_above_are_parents(path: str) -> None:
    """However it is spelled, a path above the folder is a parent, the root included."""
    assert is_parent(path, FOLDER)
    assert not is_within(path, FOLDER)


@pytest.mark.parametrize(
    "path",
    [
        "/var/run/secrets/gcp/etl-fd6d60380",
        "/var/run/secrets/gcp/etl",
        "/var/run/secrets/gcp-other",
        "/running",
        "/var/runner",
        "/opt/var/run/secrets/gcp/etl-fd6d6038",
        "/var/run/secrets/gcp/etl-fd6d6038/..x/../../ads-a2a90470",
        "",
    ],
)
def test_neighbours_are_neither(path: str) -> None:
    """A path that merely begins alike has nothing to do with the folder."""
    assert not is_within(path, FOLDER)
    assert is_parent(path, FOLDER) is (path == "")
