"""What `gcp_service_accounts` may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sa_binding.config.accounts import Accounts, is_account_name, is_project_id, parse_accounts
from tests.keys import ADS, ETL

SOURCE = "[kubernetes] gcp_service_accounts"


def parse(text: str) -> Accounts:
    return parse_accounts(text, SOURCE)


def unusable(text: str) -> dict[str, str]:
    return {name: str(problem) for name, problem in parse(text).unusable.items()}


def problems(text: str) -> list[str]:
    return [str(problem) for problem in parse(text).problems]


def test_two_accounts() -> None:
    """Pairs are listed in their order, each with the entry that it comes from."""
    assert parse(f"{ETL}=/opt/sa/etl.json,{ADS}=/opt/sa/ads.json") == Accounts(
        key_paths={ETL: Path("/opt/sa/etl.json"), ADS: Path("/opt/sa/ads.json")},
        unusable={},
        problems=(),
        sources={
            ETL: "[kubernetes] gcp_service_accounts, entry 1",
            ADS: "[kubernetes] gcp_service_accounts, entry 2",
        },
    )


@pytest.mark.parametrize(
    "text",
    [
        f"{ETL}=/etl.json,{ADS}=/ads.json,",
        f" {ETL} = /etl.json , {ADS} = /ads.json ",
        f"\n{ETL}=/etl.json\n{ADS}=/ads.json\n",
        f"\r\n  {ETL}=/etl.json,\r\n\r\n  {ADS}=/ads.json,\r\n",
        f"{ETL}=/etl.json\n,{ADS}=/ads.json",
    ],
)
def test_ways_to_separate(text: str) -> None:
    """Commas, line breaks and both separate; spaces around a name or path and a last comma say nothing."""
    parsed = parse(text)

    assert parsed.key_paths == {ETL: Path("/etl.json"), ADS: Path("/ads.json")}
    assert (parsed.unusable, parsed.problems) == ({}, ())


@pytest.mark.parametrize("text", ["", "  \n ", ","])
def test_no_accounts(text: str) -> None:
    """An empty option lists nobody."""
    assert parse(text) == Accounts()


def test_entry_without_equals_sign() -> None:
    """An entry that is no pair is refused with both of its likely reasons."""
    assert problems("/opt/etl.json") == [
        (
            "[kubernetes] gcp_service_accounts, entry 1: has no '=', got '/opt/etl.json'; write name=path; "
            "if a path holds a comma, rename the file or list the account in the bindings file with keyFile"
        )
    ]


def test_path_with_a_comma() -> None:
    """A comma ends the path; what is left of it is refused, and what comes after is still read."""
    parsed = parse(f"{ETL}=/opt/e,tl.json,{ADS}=/ads.json")

    assert parsed.key_paths == {ETL: Path("/opt/e"), ADS: Path("/ads.json")}
    assert [str(problem) for problem in parsed.problems] == [
        (
            "[kubernetes] gcp_service_accounts, entry 2: has no '=', got 'tl.json'; write name=path; "
            "if a path holds a comma, rename the file or list the account in the bindings file with keyFile"
        )
    ]


def test_path_with_an_equals_sign() -> None:
    """A second '=' is ambiguous."""
    assert unusable(f"{ETL}=/opt/k=1/etl.json") == {
        ETL: "[kubernetes] gcp_service_accounts, entry 1: path must not hold '=', got '/opt/k=1/etl.json'; "
        "rename the file or list the account in the bindings file with keyFile"
    }


def test_path_with_spaces() -> None:
    """A space is most likely a forgotten comma."""
    assert unusable(f"{ETL}=/opt/my keys/etl.json") == {
        ETL: "[kubernetes] gcp_service_accounts, entry 1: path must not hold spaces, "
        "got '/opt/my keys/etl.json'; rename the file or list the account in the bindings file with keyFile"
    }


def test_relative_path() -> None:
    """A relative path means another file in every process."""
    assert unusable(f"{ETL}=sa/etl.json") == {
        ETL: "[kubernetes] gcp_service_accounts, entry 1: path must be absolute, got 'sa/etl.json'; "
        "write the whole path, from / on"
    }


def test_path_with_a_control_character() -> None:
    """A path that cannot be shown is refused."""
    assert unusable(f"{ETL}=/opt/\0etl.json") == {
        ETL: "[kubernetes] gcp_service_accounts, entry 1: path must not hold control characters, "
        "got '/opt/\\x00etl.json'; rename the file"
    }


def test_empty_path() -> None:
    """An account without a path cannot be used."""
    assert unusable(f"{ETL}=") == {
        ETL: "[kubernetes] gcp_service_accounts, entry 1: path is empty; write name=path"
    }


def test_empty_name() -> None:
    """A path without an account belongs to nobody."""
    assert problems("=/opt/etl.json") == [
        "[kubernetes] gcp_service_accounts, entry 1: account name is empty; write name=path"
    ]


def test_empty_entry() -> None:
    """A comma too many inside of the list is pointed out; the entries around it are used."""
    parsed = parse(f"{ETL}=/etl.json,,{ADS}=/ads.json")

    assert list(parsed.key_paths) == [ETL, ADS]
    assert [str(problem) for problem in parsed.problems] == [
        "[kubernetes] gcp_service_accounts, entry 2: is empty; drop the extra comma"
    ]


def test_account_listed_twice() -> None:
    """Of two entries for one account neither is used: nobody knows which is meant."""
    parsed = parse(f"{ETL}=/a.json,{ETL}=/b.json,{ADS}=/ads.json")

    assert parsed.key_paths == {ADS: Path("/ads.json")}
    assert {name: str(problem) for name, problem in parsed.unusable.items()} == {
        ETL: "[kubernetes] gcp_service_accounts, entry 2: account 'etl@acme.iam.gserviceaccount.com' "
        "is listed twice; keep this entry or that of [kubernetes] gcp_service_accounts, entry 1"
    }


@pytest.mark.parametrize(
    "name",
    ["etl", "ETL@acme.iam.gserviceaccount.com", "etl@acme", "etl@@acme.com", "é@acme.com", "etl@acme..com"],
)
def test_name_that_is_no_account(name: str) -> None:
    """A name that is no email address as Google writes them is refused under that name."""
    assert unusable(f"{name}=/opt/etl.json") == {
        name: f"[kubernetes] gcp_service_accounts, entry 1: account name must be an email address in lower case, "
        f"got '{name}'; write the account's email address, e.g. 'etl@acme.iam.gserviceaccount.com'"
    }


@pytest.mark.parametrize(
    "name",
    [
        "etl@acme-prod.iam.gserviceaccount.com",
        "123456789-compute@developer.gserviceaccount.com",
        "acme@appspot.gserviceaccount.com",
        "etl@acme.example.com.iam.gserviceaccount.com",
    ],
)
def test_names_that_google_gives(name: str) -> None:
    """Accounts of users, of Compute Engine, of App Engine and of projects with a domain are accounts."""
    assert is_account_name(name)


@pytest.mark.parametrize("name", [ETL + "\n", "a@b." + "c" * 251, "a@" + "b-" * 40_000, "a@" + "b." * 40_000])
def test_names_that_are_too_much(name: str) -> None:
    """Line breaks and overlong names are no accounts, and saying so takes no time."""
    assert not is_account_name(name)


@pytest.mark.parametrize("text", ["acme-prod", "acme", "example.com:acme"])
def test_project_ids(text: str) -> None:
    """Ids, short ones, and those of projects with a domain are ids."""
    assert is_project_id(text)


@pytest.mark.parametrize("text", ["", "123456", "Acme Prod", "acme-", "acme\n", "a" * 31])
def test_no_project_ids(text: str) -> None:
    """Numbers, display names and what could break a line are not."""
    assert not is_project_id(text)


@given(st.text(alphabet=st.sampled_from("ab@.=,/ \n\r\t\0é'\"%"), max_size=60))
def test_any_text_is_parsed(text: str) -> None:
    """Whatever is written, nothing is raised, every message is one line, and every usable path is absolute."""
    parsed = parse(text)

    messages = [str(problem) for problem in (*parsed.problems, *parsed.unusable.values())]
    assert all(len(message.splitlines()) == 1 for message in messages)
    assert all(path.is_absolute() for path in parsed.key_paths.values())
    assert not parsed.key_paths.keys() & parsed.unusable.keys()
    assert set(parsed.sources) == {*parsed.key_paths, *parsed.unusable}
