"""Writes throw-away service-account keys, in Google's format, for tests and for the demonstration.

The RSA keys are made on the spot and known to nobody: no private key is ever part of the repository.

    python -m tests.keys FOLDER etl@acme.iam.gserviceaccount.com ...     # writes FOLDER/etl.json, ...
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ETL = "etl@acme.iam.gserviceaccount.com"
ADS = "ads@acme.iam.gserviceaccount.com"


@lru_cache(maxsize=8)
def private_key_pem(generation: int = 0) -> str:  # noqa: ARG001 - the key of the cache
    """Return an RSA 2048 private key in PKCS 8 PEM, made once per process and `generation` (making one is slow)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def key_json(account: str, project_id: str = "acme", *, generation: int = 0) -> str:
    """Return the text of a service-account key file; another `generation` is a rotated key of the same account."""
    fingerprint = hashlib.sha256(f"{account}/{generation}".encode()).hexdigest()
    key = {
        "type": "service_account",
        "project_id": project_id,
        "private_key_id": fingerprint[:40],
        "private_key": private_key_pem(generation),
        "client_email": account,
        "client_id": str(int(fingerprint, 16))[:21],
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    }
    return json.dumps(key, indent=2) + "\n"


def write_key(
    path: str | os.PathLike[str], account: str, project_id: str = "acme", *, generation: int = 0
) -> None:
    """Write a service-account key file that only its owner can read, replacing the file in one step."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(key_json(account, project_id, generation=generation), encoding="utf-8")
    draft.replace(target)


def main(argv: list[str]) -> int:
    """Write one key file per account into a folder, named after the part of the account before the @."""
    if len(argv) < 2:
        print("usage: python -m tests.keys FOLDER ACCOUNT...", file=sys.stderr)
        return 2
    folder = Path(argv[0])
    folder.mkdir(parents=True, exist_ok=True)
    for account in argv[1:]:
        write_key(folder / f"{account.partition('@')[0]}.json", account)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
