"""The managed Secret: how it is written, and what is read of it.

A Secret is only ever read as metadata: who owns it, and of which content we made it, is told by its label,
annotations and managed fields, so that no key travels back from the API server.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_sa_binding.binding import names
from airflow_sa_binding.config.key_files import Key


@dataclass(frozen=True, kw_only=True)
class ObservedSecret:
    """The metadata of a Secret in the cluster, as far as they matter here."""

    name: str
    uid: str
    resource_version: str
    is_managed: bool
    """Whether it has our label. Nobody else's Secret is ever written."""
    account: str | None
    content_sha256: str | None
    is_intact: bool
    """Whether the key in it is the one that was applied last, by us."""

    def holds_key_of(self, account: str) -> bool:
        """Tell whether the Secret is ours and holds a key of the account, be it the newest or not."""
        return self.is_managed and self.is_intact and self.account == account


def build_secret(key: Key, *, namespace: str, resource_version: str) -> dict[str, Any]:
    """Build the configuration of a managed Secret for server-side apply.

    Arguments:
        key: What it is to hold.
        namespace: Where.
        resource_version: The Secret's own, or that of a list in which there was none of its name. Any Secret that
            came or changed since then makes the API server answer 409, so that nobody's Secret is overwritten.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.secret_name(key.account),
            "namespace": namespace,
            "resourceVersion": resource_version,
            "labels": {names.MANAGED_BY_LABEL: names.MANAGER},
            "annotations": {
                names.SERVICE_ACCOUNT_ANNOTATION: key.account,
                names.CONTENT_HASH_ANNOTATION: key.sha256,
            },
        },
        "type": "Opaque",
        "data": {names.KEY_ITEM: base64.b64encode(key.content).decode()},
    }


def read_metadata(item: Mapping[str, Any]) -> ObservedSecret:
    """Read one item of a `PartialObjectMetadataList` of Secrets."""
    metadata = item["metadata"]
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    return ObservedSecret(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        is_managed=labels.get(names.MANAGED_BY_LABEL) == names.MANAGER,
        account=annotations.get(names.SERVICE_ACCOUNT_ANNOTATION),
        content_sha256=annotations.get(names.CONTENT_HASH_ANNOTATION),
        is_intact=any(_is_our_key(entry) for entry in metadata.get("managedFields") or ()),
    )


def _is_our_key(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry of `managedFields` says that our apply set the key.

    Whoever changes or removes a value takes it from all managers that had it, so the entry is enough.
    """
    data = (entry.get("fieldsV1") or {}).get("f:data") or {}
    return (
        entry.get("manager") == names.MANAGER
        and entry.get("operation") == "Apply"
        and f"f:{names.KEY_ITEM}" in data
    )
