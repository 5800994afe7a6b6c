"""Accounts, keys and Secrets that the tests of `cluster` share."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from airflow_sa_binding.binding.identity import Identity, KeySecret, Settings
from airflow_sa_binding.cluster.manifests import ObservedSecret
from airflow_sa_binding.config.key_files import Key
from airflow_sa_binding.config.load import Configuration

ETL = "etl@acme.iam.gserviceaccount.com"
ETL_SECRET = "gcp-sa-etl-fd6d6038"
ADS = "ads@acme.iam.gserviceaccount.com"
ADS_SECRET = "gcp-sa-ads-a2a90470"


def key(account: str, content: bytes = b'{"a": 1}') -> Key:
    """Make a key; nothing here looks into it."""
    digest = hashlib.sha256(content).hexdigest()
    return Key(
        account=account, path=Path("/keys/one.json"), content=content, project_id="acme", sha256=digest
    )


ETL_KEY = key(ETL)
ADS_KEY = key(ADS)

OURS = ObservedSecret(
    name=ETL_SECRET,
    uid="u-1",
    resource_version="7",
    is_managed=True,
    account=ETL,
    content_sha256=ETL_KEY.sha256,
    is_intact=True,
)
TAMPERED = replace(OURS, is_intact=False)
FOREIGN = replace(OURS, is_managed=False, account=None, content_sha256=None, is_intact=False)


def configuration(
    *accounts: str, namespaces: tuple[str, ...] = ("team-a",), prune: bool = False
) -> Configuration:
    """Build a configuration that lists these accounts by key file."""
    identities = {
        account: Identity(name=account, delivery=KeySecret(secret_name=secret, managed=True))
        for account, secret in ((ETL, ETL_SECRET), (ADS, ADS_SECRET))
        if account in accounts
    }
    return Configuration(settings=Settings(identities=identities, namespaces=namespaces), prune=prune)
