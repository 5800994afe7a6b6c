"""Which Secrets stay fenced while the configuration changes."""

from __future__ import annotations

import pytest

from airflow_sa_binding.binding.identity import Identity, KeySecret, Settings, still_fenced
from tests.unit.binding.samples import ADS, ETL

ETL_EXTERNAL = Identity(name=ETL, delivery=KeySecret(secret_name="etl-key", managed=False))
ADS_EXTERNAL = Identity(name=ADS, delivery=KeySecret(secret_name="ads-key", managed=False))
BEFORE = Settings(identities={ETL: ETL_EXTERNAL}, fenced=frozenset({"etl-key", "old-key"}))


def test_secrets_of_usable_and_unusable_accounts() -> None:
    """A Secret holds an identity, whether the account can be used or not."""
    settings = Settings(identities={ETL: ETL_EXTERNAL}, fenced=frozenset({"ads-key"}))

    assert settings.secret_names == {"etl-key", "ads-key"}


@pytest.mark.parametrize(
    ("after", "is_complete"),
    [
        (Settings(problems=("b.yaml: is not YAML; mend it",)), False),
        (Settings(problems=("b.yaml: unknown field 'policy'; drop it",)), True),
        (Settings(unusable={ETL: "b.yaml: must be a mapping, got None; write 'field: value' lines"}), True),
        (Settings(), False),
    ],
    ids=["broken file", "problem", "unusable account", "empty file"],
)
def test_configuration_that_is_not_whole(after: Settings, is_complete: bool) -> None:
    """What was fenced stays so until the configuration is whole again."""
    settings = still_fenced(BEFORE, after, is_complete=is_complete)

    assert settings.secret_names == {"etl-key", "old-key"}
    assert (settings.identities, settings.problems, settings.unusable) == ({}, after.problems, after.unusable)


def test_names_gather_while_the_configuration_is_broken() -> None:
    """Several broken states in a row lose nothing that was known before them or is known now."""
    broken = Settings(identities={ADS: ADS_EXTERNAL}, problems=("b.yaml: is not YAML; mend it",))
    still = still_fenced(BEFORE, broken, is_complete=False)

    settings = still_fenced(still, Settings(problems=("b.yaml: is not there",)), is_complete=False)

    assert settings.secret_names == {"etl-key", "ads-key", "old-key"}


def test_configuration_that_is_whole() -> None:
    """An account that was dropped on purpose gives its Secret back."""
    settings = still_fenced(BEFORE, Settings(identities={ADS: ADS_EXTERNAL}), is_complete=True)

    assert settings == Settings(identities={ADS: ADS_EXTERNAL})
    assert settings.secret_names == {"ads-key"}
