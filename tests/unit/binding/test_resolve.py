"""Which accounts a request may name."""

from __future__ import annotations

import pytest

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.identity import Settings
from airflow_sa_binding.binding.request import NOTHING, parse_executor_config
from airflow_sa_binding.binding.resolve import Binding, resolve
from tests.unit.binding.samples import ADS, ADS_IDENTITY, BOTH, ETL, ETL_IDENTITY

KEY = 'executor_config["gcp-service-account"]'


def refusal(account: str, settings: Settings) -> str:
    """Return the message with which an account is refused."""
    with pytest.raises(Refused) as caught:
        resolve(parse_executor_config({"gcp-service-account": account}), settings)
    return str(caught.value)


def test_nothing_needs_no_settings() -> None:
    """A task without an identity is resolved without any account listed."""
    assert resolve(NOTHING, Settings()) == ()


def test_listed_accounts_are_found_in_order() -> None:
    """Each account becomes one binding, in the order of the request."""
    request = parse_executor_config({"gcp-service-account": [{"name": ADS, "containers": ["sidecar"]}, ETL]})

    assert resolve(request, BOTH) == (
        Binding(identity=ADS_IDENTITY, containers=("sidecar",), field=f"{KEY}[0]"),
        Binding(identity=ETL_IDENTITY, containers=("base",), field=f"{KEY}[1]"),
    )


def test_account_that_is_not_listed() -> None:
    """An account that is not listed is refused, with whom to ask."""
    assert refusal("finance@other.iam.gserviceaccount.com", Settings()) == (
        f"{KEY}: account is not listed in [kubernetes] gcp_service_accounts,"
        " got 'finance@other.iam.gserviceaccount.com'; ask your platform engineer to list it"
    )


@pytest.mark.parametrize("near", ["elt@acme.iam.gserviceaccount.com", "ETL@acme.iam.gserviceaccount.com"])
def test_account_that_is_nearly_listed(near: str) -> None:
    """A typing error in the account is answered with the nearest one; case counts."""
    assert refusal(near, Settings(identities={ETL: ETL_IDENTITY})) == (
        f"{KEY}: account is not listed in [kubernetes] gcp_service_accounts, got '{near}';"
        " did you mean 'etl@acme.iam.gserviceaccount.com'?"
    )


@pytest.mark.parametrize(
    "far", ["finance@acme.iam.gserviceaccount.com", "etl@finance.iam.gserviceaccount.com"]
)
def test_account_of_the_same_domain_is_no_hint(far: str) -> None:
    """Nobody is led to another identity because all accounts end alike."""
    assert refusal(far, Settings(identities={ETL: ETL_IDENTITY})) == (
        f"{KEY}: account is not listed in [kubernetes] gcp_service_accounts, got '{far}';"
        " ask your platform engineer to list it"
    )


def test_no_hint_among_very_many_accounts() -> None:
    """Comparing a name with thousands would hold up the scheduler at every refusal."""
    many = {f"etl{number}@acme.iam.gserviceaccount.com": ETL_IDENTITY for number in range(201)}

    assert refusal("elt1@acme.iam.gserviceaccount.com", Settings(identities=many)) == (
        f"{KEY}: account is not listed in [kubernetes] gcp_service_accounts,"
        " got 'elt1@acme.iam.gserviceaccount.com'; ask your platform engineer to list it"
    )


def test_account_that_cannot_be_used() -> None:
    """A listed account with a problem is refused with that problem."""
    settings = Settings(unusable={ETL: "gcp_service_accounts: is listed twice; list it once"})

    assert refusal(ETL, settings) == (
        f"{KEY}: account 'etl@acme.iam.gserviceaccount.com' cannot be used:"
        " gcp_service_accounts: is listed twice; list it once; ask your platform engineer to mend it"
    )


def test_account_that_may_be_in_what_could_not_be_read() -> None:
    """With a broken configuration the author is told that the account may be listed all the same."""
    settings = Settings(problems=("bindings.yaml: cannot be read; create it", "another"))

    assert refusal(ETL, settings) == (
        f"{KEY}: account is not listed in [kubernetes] gcp_service_accounts,"
        " got 'etl@acme.iam.gserviceaccount.com'; ask your platform engineer to list it"
        " (part of the configuration could not be read: bindings.yaml: cannot be read; create it)"
    )


def test_one_unlisted_account_among_several() -> None:
    """One account that is not listed refuses the whole request."""
    request = parse_executor_config(
        {"gcp-service-account": [ETL, {"name": "x@other.iam.gserviceaccount.com", "containers": ["sidecar"]}]}
    )

    with pytest.raises(Refused) as caught:
        resolve(request, Settings(identities={ETL: ETL_IDENTITY}))

    assert caught.value.problem.field == f"{KEY}[1]"
