"""From a request to bindings: is each account listed, and can it be used?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sa_binding.binding.errors import Refused, did_you_mean

if TYPE_CHECKING:
    from airflow_sa_binding.binding.identity import Identity, Settings
    from airflow_sa_binding.binding.request import IdentityRequest, Request


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
    remedy = did_you_mean(one.name, settings.identities) or "ask your platform engineer to list it"
    if settings.problems:
        # The account may well be in what could not be read: say so instead of sending the author away.
        remedy = f"{remedy} (part of the configuration could not be read: {settings.problems[0]})"
    raise Refused(
        one.field, "account is not listed in [kubernetes] gcp_service_accounts", got=one.name, remedy=remedy
    )
