"""A key file is used only if it is the whole key of the account that it is listed for."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import traceback
from pathlib import Path
from typing import Any

import google.oauth2.service_account
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.config.key_files import Key, load_key_file
from tests.keys import ADS, ETL, key_json, private_key_pem, write_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "etl.json"


def refusal(path: Path, content: str | bytes | None = None) -> str:
    """Return the message for a key file of ETL, with the folder taken out of it."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(Refused) as caught:
        load_key_file(ETL, path)
    return str(caught.value).replace(f"{path.parent}/", "/opt/")


def changed(**fields: Any) -> str:
    """Return a key of ETL with some fields changed, or left out where the value is `...`."""
    info = {**json.loads(key_json(ETL)), **fields}
    return json.dumps({name: value for name, value in info.items() if value is not ...})


def test_good_key(path: Path) -> None:
    """A whole key of the account is returned byte by byte, with what is known of it."""
    write_key(path, ETL, "acme-prod")
    content = path.read_bytes()

    assert load_key_file(ETL, path) == Key(
        account=ETL,
        path=path,
        content=content,
        project_id="acme-prod",
        sha256=hashlib.sha256(content).hexdigest(),
    )


def test_what_is_accepted_works_in_the_task(path: Path) -> None:
    """What google-auth makes of an accepted key is the account's credentials."""
    write_key(path, ETL)
    content = load_key_file(ETL, path).content

    google_auth: Any = google.oauth2.service_account.Credentials
    assert google_auth.from_service_account_info(json.loads(content)).service_account_email == ETL


def test_key_hides_its_content(path: Path) -> None:
    """A key that is printed or logged shows no content."""
    write_key(path, ETL)
    key = load_key_file(ETL, path)

    assert repr(key) == (f"Key(account='{ETL}', path={path!r}, project_id='acme', sha256='{key.sha256}')")


def test_key_without_project(path: Path) -> None:
    """A key need not name its project."""
    path.write_text(changed(project_id=...))

    assert load_key_file(ETL, path).project_id is None


def test_known_key_is_not_checked_again(path: Path) -> None:
    """The very object of the last time comes back while the file is the same."""
    write_key(path, ETL)
    known = load_key_file(ETL, path)

    assert load_key_file(ETL, path, known=known) is known


def test_rotated_key(path: Path) -> None:
    """A new key of the account takes the place of the known one."""
    write_key(path, ETL)
    known = load_key_file(ETL, path)
    write_key(path, ETL, generation=1)

    assert load_key_file(ETL, path, known=known).content == key_json(ETL, generation=1).encode()


def test_known_key_of_another_account_proves_nothing(path: Path) -> None:
    """Being good for one account does not make a file good for another."""
    write_key(path, ETL)
    known = load_key_file(ETL, path)

    with pytest.raises(Refused, match="is another account's"):
        load_key_file(ADS, path, known=known)


def test_missing_key(path: Path) -> None:
    """A missing file is named together with its account."""
    assert refusal(path) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: does not exist; "
        "put it there or correct the path"
    )


def test_folder(path: Path) -> None:
    """A folder, such as a mounted volume, is no key."""
    path.mkdir()

    assert refusal(path) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: is a folder; write the path of the file in it"
    )


def test_fifo(path: Path) -> None:
    """A FIFO is refused instead of waited for."""
    os.mkfifo(path)

    assert refusal(path) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: is not a regular file; "
        "put a regular file there or correct the path"
    )


@pytest.mark.parametrize("content", ["", " \n\t"])
def test_empty_file(path: Path, content: str) -> None:
    """A file that is only being created is not a key."""
    assert refusal(path, content) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: is empty; "
        "write the whole key file, and replace it in one step when you rotate it"
    )


def test_truncated_key(path: Path) -> None:
    """A half-written key is refused at the place where it ends."""
    assert refusal(path, key_json(ETL)[:300]) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: is not JSON, or not all of it "
        "(line 5, column 18); write the whole key file, and replace it in one step when you rotate it"
    )


def test_every_truncation_is_refused(path: Path) -> None:
    """Wherever a write stopped, the half key is not used and not shown."""
    content = key_json(ETL).rstrip().encode()

    for length in range(0, len(content), 23):
        assert "PRIVATE KEY" not in refusal(path, content[:length])


def test_no_json(path: Path) -> None:
    """A key in another format, such as PKCS 12 or PEM, is refused without showing any of it."""
    assert refusal(path, private_key_pem()) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: is not JSON, or not all of it "
        "(line 1, column 1); write the whole key file, and replace it in one step when you rotate it"
    )
    assert refusal(path, b"\x30\x82\xff") == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: is not UTF-8 (byte 1); "
        "write the whole key file, and replace it in one step when you rotate it"
    )


def test_byte_order_mark(path: Path) -> None:
    """A byte order mark is refused here because google-auth refuses it in the task."""
    assert refusal(path, "\ufeff" + key_json(ETL)) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: is not JSON, or not all of it "
        "(line 1, column 1); write the whole key file, and replace it in one step when you rotate it"
    )


@pytest.mark.parametrize("content", ["[" * 100_000, '{"project_id": ' + "9" * 5000 + "}"])
def test_json_that_breaks_parsers(path: Path, content: str) -> None:
    """JSON beyond Python's limits is refused like any other that cannot be read."""
    assert refusal(path, content) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: is not JSON that can be read; "
        "write the whole key file, and replace it in one step when you rotate it"
    )


@pytest.mark.parametrize(
    ("content", "got"),
    [("[]", "list"), ('"ya29.secret"', "a str of 11 characters that is not shown"), ("1", "1")],
)
def test_json_that_is_no_object(path: Path, content: str, got: str) -> None:
    """JSON of another kind is no key."""
    assert refusal(path, content) == (
        f"key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: must hold a JSON object, got {got}; "
        "write the whole key file, and replace it in one step when you rotate it"
    )


def test_key_of_another_account(path: Path) -> None:
    """A key is used under no other name than its own."""
    assert refusal(path, key_json(ADS)) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: client_email: is another account's, "
        "got 'ads@acme.iam.gserviceaccount.com'; list the file under that account, or correct the path"
    )


def test_credentials_of_a_person(path: Path) -> None:
    """What `gcloud auth application-default login` writes belongs to a person and stays out of the cluster."""
    content = json.dumps({"type": "authorized_user", "client_id": "1", "refresh_token": "1//secret"})

    assert refusal(path, content) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: type: must be 'service_account', "
        "got 'authorized_user'; these are a person's own credentials: create a key of the service account"
    )


def test_federated_credentials(path: Path) -> None:
    """A credential configuration is no key."""
    assert refusal(path, json.dumps({"type": "external_account", "audience": "//iam.googleapis.com/x"})) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: type: must be 'service_account', "
        "got 'external_account'; only service-account keys are accepted: create a key of the service account"
    )


@pytest.mark.parametrize(("value", "got"), [(..., "None"), ("gdch", "'gdch'"), (1, "1"), ([], "list")])
def test_unknown_type(path: Path, value: object, got: str) -> None:
    """Anything that does not say that it is a service account's key is none."""
    assert refusal(path, changed(type=value)) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: type: must be 'service_account', "
        f"got {got}; only service-account keys are accepted: correct the path"
    )


@pytest.mark.parametrize("name", ["client_email", "token_uri", "private_key"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (..., "is missing"),
        (None, "must be text, got NoneType"),
        (5, "must be text, got int"),
        ("", "is empty"),
    ],
)
def test_fields_that_google_auth_needs(path: Path, name: str, value: object, problem: str) -> None:
    """The fields without which the credentials cannot be used must be there, and text."""
    assert refusal(path, changed(**{name: value})) == (
        f"key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: {name}: {problem}; "
        "write the whole key file, and replace it in one step when you rotate it"
    )


def encoded(key: Any, password: bytes | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return pem.decode()


def rsa_key() -> Any:
    return serialization.load_pem_private_key(private_key_pem().encode(), None)


@pytest.mark.parametrize(
    "private_key",
    [
        pytest.param(lambda: "REDACTED", id="no PEM"),
        pytest.param(lambda: private_key_pem()[:900], id="truncated"),
        pytest.param(lambda: private_key_pem().replace("\n", "\\n"), id="escaped twice"),
        pytest.param(lambda: private_key_pem().replace("M", "é"), id="not ASCII"),
        pytest.param(lambda: encoded(rsa_key(), b"password"), id="with a password"),
        pytest.param(lambda: encoded(ec.generate_private_key(ec.SECP256R1())), id="elliptic curve"),
        pytest.param(lambda: rsa_key().public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(), id="public"),
    ],
)  # fmt: skip
def test_private_key_that_does_not_parse(path: Path, private_key: Any) -> None:
    """A private key that google-auth could not sign with is refused, and nothing of it is shown."""
    assert refusal(path, changed(private_key=private_key())) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: private_key: is not a whole RSA private key "
        "in PEM; write the whole key file, and replace it in one step when you rotate it"
    )


@pytest.mark.parametrize("part", ["p", "q", "d", "dmp1", "dmq1", "iqmp"])
def test_private_key_whose_numbers_do_not_fit(path: Path, part: str) -> None:
    """A key of which one number was damaged parses, but is refused."""
    number = getattr(rsa_key().private_numbers(), part)
    length = (number.bit_length() + 7) // 8
    der = base64.b64decode("".join(private_key_pem().splitlines()[1:-1]))
    damaged = der.replace(number.to_bytes(length, "big"), (number ^ 2).to_bytes(length, "big"))
    pem = f"-----BEGIN PRIVATE KEY-----\n{base64.encodebytes(damaged).decode()}-----END PRIVATE KEY-----\n"

    assert refusal(path, changed(private_key=pem)) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: private_key: is not a whole RSA private key "
        "in PEM; write the whole key file, and replace it in one step when you rotate it"
    )


@pytest.mark.parametrize(
    ("value", "got"), [(12345, "12345"), ("12345", "'12345'"), ("a\nb", "'a\\nb'"), ("\ud800", "'\\ud800'")]
)
def test_project_that_is_no_project_id(path: Path, value: object, got: str) -> None:
    """What becomes `GOOGLE_CLOUD_PROJECT` must be able to be a project id."""
    assert refusal(path, changed(project_id=value)) == (
        f"key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: project_id: must be a project id, got {got}; "
        "write the whole key file, and replace it in one step when you rotate it"
    )


def test_largest_key(path: Path) -> None:
    """A file that just fits a Secret is accepted, and one byte more is not."""
    content = key_json(ETL)
    path.write_text(content + " " * (1048576 - len(content)))

    assert len(load_key_file(ETL, path).content) == 1048576
    assert refusal(path, content + " " * (1048577 - len(content))) == (
        "key file /opt/etl.json of etl@acme.iam.gserviceaccount.com: is longer than 1048576 bytes; "
        "shorten it or correct the path"
    )


def test_path_that_would_break_the_line(tmp_path: Path) -> None:
    """A message stays one line whatever the path is."""
    assert refusal(tmp_path / "a\nb.json") == (
        "key file '/opt/a\\nb.json' of etl@acme.iam.gserviceaccount.com: does not exist; "
        "put it there or correct the path"
    )


@given(st.binary(max_size=40), st.integers(min_value=0, max_value=2000))
def test_damage_is_never_shown(tmp_path_factory: pytest.TempPathFactory, damage: bytes, offset: int) -> None:
    """Whatever is written over a part of a key, it is accepted or refused, and no traceback shows a part of it."""
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    content = bytearray(key_json(ETL).encode())
    content[offset : offset + len(damage)] = damage
    path.write_bytes(content)

    shown = ""
    try:
        load_key_file(ETL, path)
    except Refused as refused:
        shown = "".join(traceback.format_exception(refused))

    secret = private_key_pem().splitlines()[1]
    assert not any(secret[start : start + 12] in shown for start in range(0, len(secret) - 12, 12))
    assert len(shown.rpartition("errors.Refused: ")[2].splitlines()) <= 1
