"""From a request to bindings: whether each account is listed, and can be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sa_binding.binding.errors import Refused, nearest

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_sa_binding.binding.identity import Identity, Settings
    from airflow_sa_binding.binding.request import IdentityRequest, Request

_MOST_COMPARED = 200
"""Looking for a near name takes the scheduler some 100 microseconds for each."""
_COMMON_DOMAIN = ".iam.gserviceaccount.com"


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One identity for given containers of a pod."""

    identity: Identity
    containers: tuple[str, ...]
    field: str = field(compare=False)
    """Where it was asked for, for messages."""


def resolve(request: Request, settings: Settings) -> tuple[Binding, ...]:
    """Find the identities that a request names.

    Raises:
        Refused: An account is not listed, or is listed in a way that cannot be used.
    """
    return tuple(
        Binding(identity=_find(one, settings), containers=one.containers, field=one.field)
        for one in request.identities
    )


def _find(one: IdentityRequest, settings: Settings) -> Identity:
    identity = settings.identities.get(one.name)
    if identity is not None:
        return identity
    if one.name in settings.unusable:
        raise Refused(
            one.field,
            f"account {one.name!r} cannot be used: {settings.unusable[one.name]}",
            remedy="ask your platform engineer to mend it",
        )
    remedy = _hint(one.name, settings.identities) or "ask your platform engineer to list it"
    if settings.problems:
        # The account may well be in what could not be read: say so instead of sending the author away.
        remedy = f"{remedy} (part of the configuration could not be read: {settings.problems[0]})"
    raise Refused(
        one.field, "account is not listed in [kubernetes] gcp_service_accounts", got=one.name, remedy=remedy
    )


def _hint(name: str, listed: Collection[str]) -> str:
    """Return `did you mean 'x'?` for the nearest account, without the domain that makes all of them alike."""
    if len(listed) > _MOST_COMPARED:
        return ""
    short = {one.lower().removesuffix(_COMMON_DOMAIN): one for one in listed}
    near = nearest(name.lower().removesuffix(_COMMON_DOMAIN), short)
    return "" if near is None else f"did you mean {short[near]!r}?"
