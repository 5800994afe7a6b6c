"""What a message looks like, and what it never shows."""

from __future__ import annotations

import copy
import pickle

import pytest

from airflow_sa_binding.binding.errors import Problem, Refused, describe, did_you_mean, some_of


def test_message_is_field_problem_value_and_remedy() -> None:
    """A refusal is one line: the field, what is wrong, what was given, what to do."""
    refused = Refused("a.b", "must be a list", got=3, remedy="write []")

    assert str(refused) == "a.b: must be a list, got 3; write []"
    assert refused.problem == Problem("a.b", "must be a list, got 3", "write []")


def test_message_without_a_value() -> None:
    """Where there is no value to show, none is mentioned, not even None."""
    assert str(Refused("a", "is empty", remedy="fill it")) == "a: is empty; fill it"


def test_none_is_a_value_to_show() -> None:
    """A None that somebody wrote is shown."""
    assert str(Refused("a", "must be a list", got=None, remedy="x")) == "a: must be a list, got None; x"


@pytest.mark.parametrize("way", [copy.copy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301
def test_refusal_survives_copying_and_pickling(way: object) -> None:
    """A refusal that crosses a process arrives with its line and its parts."""
    arrived = way(Refused("a", "is empty", remedy="fill it"))  # type: ignore[operator]

    assert type(arrived) is Refused
    assert str(arrived) == "a: is empty; fill it"
    assert arrived.problem == Problem("a", "is empty", "fill it")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (True, "True"),
        (7, "7"),
        (-1.5, "-1.5"),
        (float("nan"), "nan"),
        ("base", "'base'"),
        ("", "''"),
        ("two\nlines\u2028three\u202e", r"'two\nlines\u2028three\u202e'"),
        ("\ud800", r"'\ud800'"),
        ("x" * 80, repr("x" * 80)),
        ("x" * 81, "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'... (81 characters)"),
        pytest.param(10**6000, "an int of 19932 bits", id="large int"),
        ([1, 2], "list"),
        ({"password": "hunter2"}, "dict"),
        (b"secret", "bytes"),
        ({1}, "set"),
        (lambda: 0, "function"),
        (type("two\nlines", (), {})(), "an object"),
        (type("x" * 81, (), {})(), "an object"),
    ],
)
def test_description_of_a_value(value: object, shown: str) -> None:
    """A value is shown on one line, shortened; of a container only its kind is told."""
    assert describe(value) == shown


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj",
        " " * 200 + "-----BEGIN RSA PRIVATE KEY-----",
        '{"type": "service_account", "private_key": "x"}',
        '{"type": "authorized_user", "client_secret": "x"}',
        '{"type": "authorized_user", "refresh_token": "x"}',
        "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJhdWQiOlsidmF1bHQiXX0.c2ln",
        "ya29.a0AfB_byC",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "GOCSPX-1a2b3c4d5e6f7g8h9i0j",
        "1//0gabcdefghijkl",
        "hvs.CAESIJ",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj",
        "cf4a1b2c3d4e5f60718293a4b5c6d7e8f9012345",
    ],
)
def test_keys_and_tokens_are_never_shown(secret: str) -> None:
    """Whatever looks like a key or a token is only counted."""
    assert describe(secret) == f"a str of {len(secret)} characters that is not shown"


@pytest.mark.parametrize(
    "harmless",
    [
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "data-platform-etl-production@acme-data-platform-prod.iam.gserviceaccount.com",
        "manual__2026-01-01T00:00:00.000000+00:00",
        "gcp-sa-data-platform-etl-production-71f999df",
    ],
)
def test_names_and_paths_are_shown(harmless: str) -> None:
    """Long account names, paths and run ids are no secrets: hiding them would help nobody."""
    assert describe(harmless) == f"'{harmless}'"


class _Hostile(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError

    def __getitem__(self, key: object) -> str:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


def test_no_code_of_the_value_is_run() -> None:
    """A subclass of str cannot raise or lie while it is described."""
    assert describe(_Hostile("base")) == "'base'"


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("contianers", "did you mean 'containers'?"),
        ("nam", "did you mean 'name'?"),
        ("x", ""),
        (3, ""),
        (None, ""),
    ],
)
def test_hint_at_the_nearest_word(given: object, hint: str) -> None:
    """A near miss gives a hint, anything else gives none."""
    assert did_you_mean(given, ("name", "containers")) == hint


def test_hint_of_a_very_long_word_is_quick() -> None:
    """Ten million characters are not compared."""
    assert did_you_mean("name" * 2_500_000, ("name",)) == ""


def test_few_names_are_all_listed() -> None:
    """Up to eight names are listed."""
    assert some_of(["base", "side\ncar"]) == r"'base', 'side\ncar'"


def test_many_names_are_counted() -> None:
    """Of more than eight names the rest is counted."""
    assert some_of(map(str, range(10))) == "'0', '1', '2', '3', '4', '5', '6', '7' and 2 more"
