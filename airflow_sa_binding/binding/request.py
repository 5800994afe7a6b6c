"""What a task asks for: `executor_config` and pod annotations become one `Request`, or are refused.

Both sources are written by people who may be mistaken or hostile, so every value is taken as `object` and
nothing but plain strings, lists and mappings gets through. Whether the task may have what it asks for is not
decided here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_sa_binding.binding.errors import Refused, did_you_mean
from airflow_sa_binding.binding.names import (
    ANNOTATION_PREFIX,
    APPLIED_ANNOTATION,
    CONTAINERS_ANNOTATION,
    DEFAULT_CONTAINERS,
    EVERY_CONTAINER,
    SERVICE_ACCOUNT_ANNOTATION,
)

SERVICE_ACCOUNT_KEY = "gcp-service-account"
_OUR_KEYS = (SERVICE_ACCOUNT_KEY,)
_AIRFLOWS_KEYS = frozenset({"pod_override", "pod_template_file", "KubernetesExecutor"})
_OUR_ANNOTATIONS = (SERVICE_ACCOUNT_ANNOTATION, CONTAINERS_ANNOTATION, APPLIED_ANNOTATION)

_LONGEST_NAME = 253
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_EMAIL = re.compile(r"[^\s@=,]+@[^\s@=,]+")


@dataclass(frozen=True, kw_only=True)
class IdentityRequest:
    """One Google service account, asked for by name, for the containers that are named."""

    name: str
    containers: tuple[str, ...] = DEFAULT_CONTAINERS
    field: str = field(compare=False)
    """Where it was asked for, for messages."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """All that one task asks for. A request for nothing is false."""

    identities: tuple[IdentityRequest, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.identities)


NOTHING = Request()


def parse_executor_config(executor_config: object) -> Request:
    """Parse a task's `executor_config`.

    Raises:
        Refused: A key of ours has a value that is not understood, or a key looks like a misspelt one of ours.
    """
    if not executor_config:
        return NOTHING
    if not isinstance(executor_config, Mapping):
        raise Refused(
            "executor_config",
            "must be a dict",
            got=executor_config,
            remedy='write {"gcp-service-account": "..."}',
        )
    for key in executor_config:
        if key not in _AIRFLOWS_KEYS and key not in _OUR_KEYS:
            _refuse_near_miss("executor_config", key, _OUR_KEYS)
    if SERVICE_ACCOUNT_KEY not in executor_config:
        return NOTHING
    where = f'executor_config["{SERVICE_ACCOUNT_KEY}"]'
    return Request(identities=_parse_identities(executor_config[SERVICE_ACCOUNT_KEY], where))


def parse_annotations(annotations: Mapping[str, str] | None) -> Request:
    """Parse the annotations with which a pod asks for an identity.

    The account annotation holds a name, or the JSON of whatever `executor_config` accepts.

    Raises:
        Refused: An annotation of ours is not understood, or one looks like a misspelt one of ours.
    """
    if not annotations:
        return NOTHING
    for key in annotations:
        if key not in _OUR_ANNOTATIONS and str(key).startswith((ANNOTATION_PREFIX, "iam.cloud.google.com/")):
            _refuse_near_miss("metadata.annotations", key, _OUR_ANNOTATIONS)
            if str(key).startswith(ANNOTATION_PREFIX):
                raise Refused(
                    "metadata.annotations",
                    "unknown annotation",
                    got=key,
                    remedy=f"the ones to ask with are {SERVICE_ACCOUNT_ANNOTATION} and {CONTAINERS_ANNOTATION}",
                )
    containers = annotations.get(CONTAINERS_ANNOTATION)
    if SERVICE_ACCOUNT_ANNOTATION not in annotations:
        if containers is None:
            return NOTHING
        raise Refused(
            _annotation(CONTAINERS_ANNOTATION),
            "names containers but no identity",
            got=containers,
            remedy=f"add {SERVICE_ACCOUNT_ANNOTATION} or drop it",
        )
    where = _annotation(SERVICE_ACCOUNT_ANNOTATION)
    value: object = annotations[SERVICE_ACCOUNT_ANNOTATION]
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        value = _load_json(value, where)
    identities = _parse_identities(value, where)
    if containers is None:
        return Request(identities=identities)
    if len(identities) > 1 or not isinstance(value, str):
        raise Refused(
            _annotation(CONTAINERS_ANNOTATION),
            "cannot go with a JSON value of the account annotation",
            got=containers,
            remedy='name the containers inside the JSON: {"name": ..., "containers": [...]}',
        )
    named: object = containers
    if isinstance(containers, str):
        named = [name.strip() for name in containers.split(",")]
    parsed = _parse_containers(named, _annotation(CONTAINERS_ANNOTATION))
    return Request(identities=(IdentityRequest(name=identities[0].name, containers=parsed, field=where),))


def request_annotations(request: Request) -> dict[str, str]:
    """Return the annotations that ask for exactly this, so that a pod can be read back without loss."""
    if not request:
        return {}
    if len(request.identities) == 1:
        (one,) = request.identities
        annotations = {SERVICE_ACCOUNT_ANNOTATION: one.name}
        if one.containers != DEFAULT_CONTAINERS:
            annotations[CONTAINERS_ANNOTATION] = ",".join(one.containers)
        return annotations
    several = [{"name": one.name, "containers": list(one.containers)} for one in request.identities]
    return {SERVICE_ACCOUNT_ANNOTATION: json.dumps(several)}


def _annotation(name: str) -> str:
    return f'metadata.annotations["{name}"]'


def _refuse_near_miss(where: str, key: object, known: tuple[str, ...]) -> None:
    if not isinstance(key, str):
        return
    # Separators and case are what people get wrong; the nearest known word is looked up without them.
    squashed = {re.sub(r"[^a-z0-9]", "", word): word for word in known}
    hint = did_you_mean(re.sub(r"[^a-z0-9]", "", key[:256].lower()), squashed)
    if hint:
        word = next(word for short, word in squashed.items() if repr(short) in hint)
        raise Refused(where, "unknown key", got=key, remedy=f"did you mean {word!r}?")


def _load_json(text: str, where: str) -> object:
    try:
        loaded: object = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(
            where, "is not valid JSON", got=text, remedy="write an account's name, or valid JSON"
        ) from None
    return loaded


def _parse_identities(value: object, where: str) -> tuple[IdentityRequest, ...]:
    if isinstance(value, (list, tuple)):
        if not value:
            raise Refused(where, "is an empty list", remedy="name an account or drop the key")
        identities = tuple(_parse_identity(one, f"{where}[{index}]") for index, one in enumerate(value))
    else:
        identities = (_parse_identity(value, where),)
    _refuse_double_claims(identities)
    return identities


def _parse_identity(value: object, where: str) -> IdentityRequest:
    if isinstance(value, str):
        return IdentityRequest(name=_parse_name(value, where), field=where)
    if not isinstance(value, Mapping):
        raise Refused(
            where,
            "must be an account's name, a dict with name and containers, or a list of these",
            got=value,
            remedy='write "etl@project.iam.gserviceaccount.com"',
        )
    for key in value:
        if key not in ("name", "containers"):
            remedy = did_you_mean(key, ("name", "containers")) or "the fields are name and containers"
            raise Refused(where, "unknown field", got=key, remedy=remedy)
    if "name" not in value:
        raise Refused(where, "has no name", remedy="add the account's name")
    containers: tuple[str, ...] = DEFAULT_CONTAINERS
    if "containers" in value:
        containers = _parse_containers(value["containers"], f"{where}.containers")
    return IdentityRequest(
        name=_parse_name(value["name"], f"{where}.name"), containers=containers, field=where
    )


def _parse_name(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise Refused(
            where, "must be an account's name", got=value, remedy="write its email address as a string"
        )
    if not value.strip():
        raise Refused(where, "is empty", remedy="name an account or drop the key")
    if len(value) > _LONGEST_NAME or not _EMAIL.fullmatch(value):
        raise Refused(
            where,
            "is not a service account's email address",
            got=value,
            remedy="write it like etl@project.iam.gserviceaccount.com",
        )
    return str(value)


def _parse_containers(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise Refused(where, "must be a list of container names", got=value, remedy='write ["base"] or ["*"]')
    if not value:
        raise Refused(
            where, "is an empty list", remedy='name a container, write ["*"] for all, or drop the field'
        )
    for name in value:
        if not isinstance(name, str) or (name != EVERY_CONTAINER and not _DNS_LABEL.fullmatch(name)):
            raise Refused(
                where, "is not a container's name", got=name, remedy='write a name, or ["*"] for all'
            )
    if len(set(value)) < len(value):
        twice = next(name for name in value if value.count(name) > 1)
        raise Refused(where, "names a container twice", got=twice, remedy="name it once")
    if EVERY_CONTAINER in value and len(value) > 1:
        raise Refused(where, '"*" already means every container', remedy='write ["*"] alone')
    return tuple(str(name) for name in value)


def _refuse_double_claims(identities: tuple[IdentityRequest, ...]) -> None:
    taken: dict[str, str] = {}
    for one in identities:
        for container in one.containers:
            holder = taken.get(container) or taken.get(EVERY_CONTAINER)
            if holder is None and container == EVERY_CONTAINER:
                holder = next(iter(taken.values()), None)
            if holder is not None:
                raise Refused(
                    one.field,
                    f"container {container!r} is already given to {holder!r}",
                    got=one.name,
                    remedy="a container has one default identity: name different containers",
                )
            taken[container] = one.name
