"""Reads service-account key files and checks that each is what it is listed as.

What a file holds never leaves this module but as `Key.content`: no message, `repr` or chained exception shows it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.config.accounts import is_project_id
from airflow_sa_binding.config.files import read_file

LONGEST_KEY_BYTES = 1048576
"""What Kubernetes allows for all values of a Secret together (`core.MaxSecretSize`)."""

_REWRITE = "write the whole key file, and replace it in one step when you rotate it"
_OTHER_TYPES = {
    "authorized_user": "these are a person's own credentials: create a key of the service account",
    "external_account": "only service-account keys are accepted: create a key of the service account",
}


@dataclass(frozen=True, kw_only=True)
class Key:
    """A service-account key that was read and checked."""

    account: str
    path: Path
    content: bytes = field(repr=False)
    """The file, byte by byte."""
    project_id: str | None
    sha256: str
    """Of `content`, in hex."""


def load_key_file(account: str, path: Path, *, known: Key | None = None) -> Key:
    """Read the key file of an account and check it.

    Arguments:
        account: The account's email address, which the file must name as `client_email`.
        path: An absolute path; links are followed.
        known: What an earlier call returned: a file of the same content is not parsed again.

    Raises:
        Refused: The file cannot be read or is not a usable key of the account.
    """
    where = f"key file {path if str(path).isprintable() else repr(str(path))} of {account}"
    content = read_file(path, field=where, limit_bytes=LONGEST_KEY_BYTES)
    if known is not None and (known.account, known.path, known.content) == (account, path, content):
        return known
    info = _parse(where, content)
    _check_type(where, info)
    _check_text(where, info, "client_email")
    if info["client_email"] != account:
        raise Refused(
            f"{where}: client_email",
            "is another account's",
            got=info["client_email"],
            remedy="list the file under that account, or correct the path",
        )
    _check_text(where, info, "token_uri")
    _check_text(where, info, "private_key")
    if not _is_private_key(str(info["private_key"])):
        raise Refused(f"{where}: private_key", "is not a whole RSA private key in PEM", remedy=_REWRITE)
    digest = hashlib.sha256(content).hexdigest()
    return Key(
        account=account, path=path, content=content, project_id=_project_id(where, info), sha256=digest
    )


def _parse(where: str, content: bytes) -> Mapping[str, object]:
    if not content.strip():
        raise Refused(where, "is empty", remedy=_REWRITE)
    try:
        info = json.loads(content.decode())
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start})"
    except json.JSONDecodeError as error:
        problem = f"is not JSON, or not all of it (line {error.lineno}, column {error.colno})"
    except (ValueError, RecursionError):
        # A number of more digits than int() takes, or nesting deeper than the parser goes.
        problem = "is not JSON that can be read"
    else:
        if isinstance(info, dict):
            return info
        raise Refused(where, "must hold a JSON object", got=info, remedy=_REWRITE)
    # Outside of the handlers, so that no exception that holds the content is chained to this one.
    raise Refused(where, problem, remedy=_REWRITE)


def _check_type(where: str, info: Mapping[str, object]) -> None:
    found = info.get("type")
    if found == "service_account":
        return
    remedy = "only service-account keys are accepted: correct the path"
    if isinstance(found, str):
        remedy = _OTHER_TYPES.get(found, remedy)
    raise Refused(f"{where}: type", "must be 'service_account'", got=found, remedy=remedy)


def _check_text(where: str, info: Mapping[str, object], name: str) -> None:
    if name not in info:
        raise Refused(f"{where}: {name}", "is missing", remedy=_REWRITE)
    value = info[name]
    if not isinstance(value, str):
        raise Refused(f"{where}: {name}", f"must be text, got {type(value).__name__}", remedy=_REWRITE)
    if not value:
        raise Refused(f"{where}: {name}", "is empty", remedy=_REWRITE)


def _project_id(where: str, info: Mapping[str, object]) -> str | None:
    project_id = info.get("project_id")
    if project_id is None or (isinstance(project_id, str) and is_project_id(project_id)):
        return project_id
    raise Refused(f"{where}: project_id", "must be a project id", got=project_id, remedy=_REWRITE)


def _is_private_key(pem: str) -> bool:
    """Tell whether a text is a consistent RSA private key without a password, as Google issues.

    The numbers are compared here because OpenSSL's own check also tests for primes, which takes 30 ms a key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, RSAPrivateKey):
            return False
        numbers = key.private_numbers()
    # TypeError is what a key with a password raises.
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    p, q, d = numbers.p, numbers.q, numbers.d
    if min(p, q) <= 1 or p * q != numbers.public_numbers.n:
        return False
    return (
        d * numbers.public_numbers.e % (p - 1) == 1
        and d * numbers.public_numbers.e % (q - 1) == 1
        and numbers.dmp1 == d % (p - 1)
        and numbers.dmq1 == d % (q - 1)
        and numbers.iqmp * q % p == 1
    )
