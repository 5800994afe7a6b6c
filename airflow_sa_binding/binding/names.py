"""The names that this project writes on pods and Secrets, and how they are derived.

Nothing here may depend on configuration: two schedulers, a command line and a reviewer must all arrive at the
same names from an account's name alone.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

MANAGER = "airflow-sa-binding"
"""Field manager of server-side apply, and the value of the `app.kubernetes.io/managed-by` label."""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"

# What a pod asks for. The first is the annotation of the original design proposal.
SERVICE_ACCOUNT_ANNOTATION = "iam.cloud.google.com/service-account"
CONTAINERS_ANNOTATION = "airflow-sa-binding/containers"
# What a pod was given, and what a managed Secret holds.
APPLIED_ANNOTATION = "airflow-sa-binding/applied"
CONTENT_HASH_ANNOTATION = "airflow-sa-binding/content-sha256"

ANNOTATION_PREFIX = "airflow-sa-binding/"

KEY_ITEM = "key.json"
MOUNT_ROOT = "/var/run/secrets/gcp"

# google.auth reads the first; gcloud reads the second (it ignores the first).
CREDENTIALS_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
GCLOUD_CREDENTIALS_VARIABLE = "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"
PROJECT_VARIABLE = "GOOGLE_CLOUD_PROJECT"

EVERY_CONTAINER = "*"
DEFAULT_CONTAINERS = ("base",)
"""`base` is what Airflow calls a task pod's main container."""

_LONGEST_SLUG = 40


@lru_cache(maxsize=4096)
def slug_and_hash(account: str) -> str:
    """Return `<slug>-<8 hex>` for an account: readable, a DNS label's alphabet, and unique by its hash."""
    slug = re.sub(r"[^a-z0-9]+", "-", account.partition("@")[0].lower()).strip("-")[:_LONGEST_SLUG].strip("-")
    digest = hashlib.sha256(account.encode()).hexdigest()[:8]
    return f"{slug}-{digest}" if slug else digest


def secret_name(account: str) -> str:
    """Return the name of the managed Secret of an account, which is also the name of its volume in a pod."""
    return f"gcp-sa-{slug_and_hash(account)}"


def mount_path(account: str) -> str:
    """Return the folder at which an account's credentials are mounted."""
    return f"{MOUNT_ROOT}/{slug_and_hash(account)}"
