"""What the bindings file may say, and the whole message for what it may not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sa_binding.config.bindings_file import (
    BindingsFile,
    FileAccount,
    load_bindings_file,
    parse_bindings_file,
)
from tests.keys import ADS, ETL

SOURCE = "/opt/sa_bindings.yaml"
ENTRY = f'{SOURCE}: gcpServiceAccounts["{ETL}"]'


def parse(text: str) -> BindingsFile:
    return parse_bindings_file(text.encode(), SOURCE)


def entry_problem(*lines: str) -> str:
    """Return the message for an entry of ETL with these lines."""
    parsed = parse(f"gcpServiceAccounts:\n  {ETL}:\n" + "".join(f"    {line}\n" for line in lines))
    assert (parsed.accounts, parsed.problems) == ({}, ())
    return str(parsed.unusable[ETL])


def file_problem(path: Path, content: bytes) -> str:
    """Return the message for a file as a whole."""
    path.write_bytes(content)
    parsed = load_bindings_file(path)
    assert (parsed.accounts, parsed.unusable, len(parsed.problems)) == ({}, {}, 1)
    return str(parsed.problems[0]).replace(str(path), SOURCE)


def test_every_field() -> None:
    """Accounts are delivered by a key file or by somebody else's Secret."""
    text = f"""
gcpServiceAccounts:
  {ETL}:
    keyFile: /opt/sa/my etl,1=2.json
    project: acme-prod
    defaultMode: 0400
  {ADS}:
    secretName: ads-key.v2
"""

    assert parse(text) == BindingsFile(
        accounts={
            ETL: FileAccount(
                key_file=Path("/opt/sa/my etl,1=2.json"),
                secret_name=None,
                project="acme-prod",
                default_mode=0o400,
            ),
            ADS: FileAccount(key_file=None, secret_name="ads-key.v2", project=None, default_mode=0o440),
        },
        unusable={},
        problems=(),
        secret_names=frozenset({"ads-key.v2"}),
    )


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "gcpServiceAccounts:\n", "gcpServiceAccounts: {}\n", "{}"]
)
def test_no_accounts(text: str) -> None:
    """An empty file, or an empty list of accounts, lists nobody."""
    assert parse(text) == BindingsFile()


def test_shared_fields_by_anchor() -> None:
    """What accounts have in common can be written once."""
    text = f"gcpServiceAccounts:\n  {ETL}: &acme {{secretName: etl, project: acme-prod}}\n"
    text += f"  {ADS}: {{<<: *acme, secretName: ads}}\n"

    assert parse(text).accounts == {
        ETL: FileAccount(secret_name="etl", project="acme-prod"),
        ADS: FileAccount(secret_name="ads", project="acme-prod"),
    }


def test_one_bad_account_costs_no_other() -> None:
    """Accounts are judged one by one."""
    parsed = parse(f"gcpServiceAccounts:\n  {ETL}: {{}}\n  {ADS}: {{secretName: ads}}\n")

    assert parsed.accounts == {ADS: FileAccount(secret_name="ads")}
    assert {name: str(problem) for name, problem in parsed.unusable.items()} == {
        ETL: f"{ENTRY}: has neither keyFile nor secretName; write exactly one of them"
    }


def test_two_deliveries() -> None:
    """An account reaches its pods in one way."""
    assert entry_problem("keyFile: /opt/etl.json", "secretName: etl") == (
        f"{ENTRY}: has both keyFile and secretName; write exactly one of them"
    )


@pytest.mark.parametrize(
    ("field", "remedy"),
    [
        ("keyfile", "did you mean 'keyFile'?"),
        ("key_file", "did you mean 'keyFile'?"),
        ("defaultmode", "did you mean 'defaultMode'?"),
        ("audience", "the fields are keyFile, secretName, project, defaultMode"),
    ],
)
def test_unknown_field(field: str, remedy: str) -> None:
    """A field that means nothing is refused, with the one that was meant."""
    assert entry_problem("secretName: etl", f"{field}: x") == f"{ENTRY}: unknown field '{field}'; {remedy}"


def test_unknown_field_at_the_top() -> None:
    """A field that this version does not know may restrict the accounts, so that none of them is used."""
    parsed = parse(f"gcpServiceAccounts:\n  {ETL}: {{secretName: etl}}\npolicy: []\n")

    message = "/opt/sa_bindings.yaml: unknown field 'policy'; the only field is gcpServiceAccounts"
    assert parsed.accounts == {}
    assert {name: str(problem) for name, problem in parsed.unusable.items()} == {ETL: message}
    assert [str(problem) for problem in parsed.problems] == [message]


def test_misspelt_field_at_the_top() -> None:
    """The whole list under a misspelt name does not vanish silently."""
    parsed = parse(f"gcpServiceAccount:\n  {ETL}: {{secretName: etl}}\n")

    assert [str(problem) for problem in parsed.problems] == [
        "/opt/sa_bindings.yaml: unknown field 'gcpServiceAccount'; did you mean 'gcpServiceAccounts'?"
    ]


@pytest.mark.parametrize(
    ("entry", "got"), [("/opt/etl.json", "'/opt/etl.json'"), ("", "None"), ("[]", "list")]
)
def test_entry_that_is_no_mapping(entry: str, got: str) -> None:
    """An account's entry has fields."""
    parsed = parse(f"gcpServiceAccounts:\n  {ETL}: {entry}\n")

    assert str(parsed.unusable[ETL]) == f"{ENTRY}: must be a mapping, got {got}; write 'field: value' lines"


@pytest.mark.parametrize("name", ["etl", "ETL@acme.iam.gserviceaccount.com", "'etl@acme.com\\n'"])
def test_name_that_is_no_account(name: str) -> None:
    """The key of an entry is an account's email address."""
    parsed = parse(f"gcpServiceAccounts:\n  {name}: {{secretName: etl}}\n")
    shown = name if name.startswith("'") else f"'{name}'"

    assert parsed.accounts == {}
    assert [str(problem).replace("\\\\", "\\") for problem in parsed.unusable.values()] == [
        (
            f"/opt/sa_bindings.yaml: gcpServiceAccounts: account name must be an email address in lower case, "
            f"got {shown}; write the account's email address, e.g. 'etl@acme.iam.gserviceaccount.com'"
        )
    ]


@pytest.mark.parametrize(("value", "got"), [("1", "1"), ("true", "True"), ("[a]", "list"), ("", "None")])
def test_key_file_that_is_not_text(value: str, got: str) -> None:
    """A path is text."""
    assert entry_problem(f"keyFile: {value}") == (
        f"{ENTRY}.keyFile: must be text, got {got}; put it in quotes if it is what you mean"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("''", "is empty; write a value"),
        ("etl.json", "path must be absolute, got 'etl.json'; write the whole path, from / on"),
        ('"/opt/\\0.json"', "path must not hold control characters, got '/opt/\\x00.json'; rename the file"),
    ],
)
def test_key_file_that_is_no_path(value: str, message: str) -> None:
    """A path is absolute and can be shown."""
    assert entry_problem(f"keyFile: {value}") == f"{ENTRY}.keyFile: {message}"


@pytest.mark.parametrize("value", ["Etl", "etl_key", "-etl", "etl.", "a" * 254])
def test_secret_name_that_is_none(value: str) -> None:
    """The name of a Secret follows Kubernetes' rule."""
    shown = repr(value) if len(value) < 80 else f"'{'a' * 40}'... (254 characters)"

    assert entry_problem(f"secretName: {value}") == (
        f"{ENTRY}.secretName: must be the name of a Secret, got {shown}; "
        "use up to 253 of a-z, 0-9, '-' and '.', with a letter or digit at both ends"
    )


@pytest.mark.parametrize("value", ["gcp-sa-ads-a2a90470", "gcp-sa-0123abcd"])
def test_secret_of_another_account(value: str) -> None:
    """An account cannot borrow the managed Secret of another."""
    assert entry_problem(f"secretName: {value}") == (
        f"{ENTRY}.secretName: has the form of another account's managed Secret, got '{value}'; "
        "give the Secret another name"
    )


def test_secret_of_its_own_name() -> None:
    """Somebody else may make the Secret under the account's own name."""
    parsed = parse(f"gcpServiceAccounts:\n  {ETL}: {{secretName: gcp-sa-etl-fd6d6038}}\n")

    assert parsed.accounts == {ETL: FileAccount(secret_name="gcp-sa-etl-fd6d6038")}


@pytest.mark.parametrize(("value", "got"), [("123456", "123456"), ("'123456'", "'123456'"), ("true", "True")])
def test_project_number(value: str, got: str) -> None:
    """Client libraries want the project's id."""
    assert entry_problem("secretName: etl", f"project: {value}") == (
        f"{ENTRY}.project: must be a project id, got {got}; write the id, not the project number"
    )


def test_project_name() -> None:
    """The name that the console shows is not the id."""
    assert entry_problem("secretName: etl", "project: Acme Production") == (
        f"{ENTRY}.project: must be a project id, got 'Acme Production'; "
        "write the id, such as 'acme-prod', and not the project's display name"
    )


@pytest.mark.parametrize(
    ("value", "mode"), [("0440", 0o440), ("288", 0o440), ("0", 0), ("0777", 0o777), ("420", 0o644)]
)
def test_default_modes(value: str, mode: int) -> None:
    """A mode is an integer, for which YAML 1.1 writes octal with a leading 0, as in a manifest of Kubernetes."""
    parsed = parse(f"gcpServiceAccounts:\n  {ETL}: {{secretName: etl, defaultMode: {value}}}\n")

    assert parsed.accounts == {ETL: FileAccount(secret_name="etl", default_mode=mode)}


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("'0440'", "'0440'"),
        ("0o440", "'0o440'"),
        ("u=r", "'u=r'"),
        ("01000", "512"),
        ("-1", "-1"),
        ("true", "True"),
        ("1.5", "1.5"),
        ("", "None"),
        ("[0440]", "list"),
    ],
)
def test_default_mode_that_is_none(value: str, got: str) -> None:
    """Text, booleans and what does not fit are refused, as Kubernetes does."""
    assert entry_problem("secretName: etl", f"defaultMode: {value}") == (
        f"{ENTRY}.defaultMode: must be an integer from 0 to 0777, got {got}; "
        "write it in octal with a leading 0 and no quotes, e.g. 0440"
    )


@pytest.mark.parametrize(("value", "meaning"), [("440", "0670"), ("400", "0620"), ("444", "0674")])
def test_default_mode_without_its_zero(value: str, meaning: str) -> None:
    """A mode that reads like octal but is decimal would let others write."""
    assert entry_problem("secretName: etl", f"defaultMode: {value}") == (
        f"{ENTRY}.defaultMode: is decimal and means {meaning}, got {value}; write 0{value}"
    )


def test_secret_in_the_file() -> None:
    """A key that was pasted into the file is refused and not shown."""
    assert entry_problem("keyFile: '-----BEGIN PRIVATE KEY-----'") == (
        f"{ENTRY}.keyFile: path must be absolute, got a str of 27 characters that is not shown; "
        "write the whole path, from / on"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n", "must be a mapping, got list; write 'field: value' lines"),
        (
            b"gcpServiceAccounts: []\n",
            "gcpServiceAccounts: must be a mapping, got list; write 'field: value' lines",
        ),
        (b"a: 1\na: 2\n", "key 'a' of line 1 comes again in line 2; keep one of the two"),
        (b"a:\n\tb: 1\n", "is not YAML: a tab in line 2, column 1; indent with spaces"),
        (b"a: 1\n---\na: 1\n", "holds a second document in line 2; keep one document"),
        (b"a: \xff\n", "is not UTF-8 (byte 3); save it as UTF-8"),
        (b"a: \0\n", "holds a control character (U+0000); save it as plain text"),
        (b"#" * 1048577, "is longer than 1048576 bytes; shorten it or correct the path"),
    ],
)
def test_file_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    """A file that cannot be used as a whole is one problem and lists nobody."""
    assert file_problem(tmp_path / "b.yaml", content) == f"/opt/sa_bindings.yaml: {message}"


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is a problem, not an empty list."""
    parsed = load_bindings_file(tmp_path / "b.yaml")

    assert [str(problem) for problem in parsed.problems] == [
        f"{tmp_path}/b.yaml: does not exist; put it there or correct the path"
    ]


def test_fifo(tmp_path: Path) -> None:
    """A FIFO is refused instead of waited for."""
    os.mkfifo(tmp_path / "b.yaml")

    assert [str(problem) for problem in load_bindings_file(tmp_path / "b.yaml").problems] == [
        f"{tmp_path}/b.yaml: is not a regular file; put a regular file there or correct the path"
    ]


SCALARS = st.sampled_from(
    ["/k.json", "etl", "acme-prod", "", 0, 288, 440, -1, True, None, 1.5, "a\nb", "\u2028"]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner)
)
FIELDS = st.dictionaries(
    st.sampled_from(["keyFile", "secretName", "project", "defaultMode", "keyfile"]), VALUES
)


@given(st.dictionaries(st.sampled_from([ETL, ADS, "etl", "a\nb@c.d"]), FIELDS | VALUES))
def test_any_accounts_are_parsed(accounts: dict[str, object]) -> None:
    """Whatever stands in an entry, it is usable or has a message of one line."""
    parsed = parse_bindings_file(json.dumps({"gcpServiceAccounts": accounts}).encode(), SOURCE)

    assert set(parsed.accounts) | set(parsed.unusable) == set(accounts)
    assert all(len(str(problem).splitlines()) == 1 for problem in parsed.unusable.values())
    assert all((one.key_file is None) != (one.secret_name is None) for one in parsed.accounts.values())
