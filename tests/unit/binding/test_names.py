"""Names are derived from the account alone, and any two schedulers derive the same."""

from __future__ import annotations

import re

import pytest

from airflow_sa_binding.binding import names


@pytest.mark.parametrize(
    ("account", "slug_and_hash"),
    [
        ("etl@acme.iam.gserviceaccount.com", "etl-fd6d6038"),
        ("ads@acme.iam.gserviceaccount.com", "ads-a2a90470"),
        ("ETL.prod_1+x@acme.iam.gserviceaccount.com", "etl-prod-1-x-3b405b8f"),
        ("-x-@y", "x-d613c5e3"),
        ("@x.iam.gserviceaccount.com", "94fcfa4c"),
        ("a" * 60 + "@x", "a" * 40 + "-71f999df"),
    ],
)
def test_slug_and_hash(account: str, slug_and_hash: str) -> None:
    """The part before the @ is readable, the hash of the whole name makes it unique."""
    assert names.slug_and_hash(account) == slug_and_hash
    assert names.secret_name(account) == f"gcp-sa-{slug_and_hash}"
    assert names.mount_path(account) == f"/var/run/secrets/gcp/{slug_and_hash}"


def test_same_slug_of_two_projects_differs() -> None:
    """Accounts of one name in two projects do not share a Secret."""
    assert names.secret_name("etl@acme.iam.gserviceaccount.com") == "gcp-sa-etl-fd6d6038"
    assert names.secret_name("etl@ads.iam.gserviceaccount.com") == "gcp-sa-etl-c34dcabb"


@pytest.mark.parametrize("account", ["a" * 39 + "-b@x", "é" * 30 + "@x", "1@x", "A-" * 200 + "@x"])
def test_secret_name_is_a_volume_name(account: str) -> None:
    """Whatever the account, the Secret's name is a DNS label, as a volume's name must be."""
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", names.secret_name(account))
