"""What a task asks for: `executor_config` and pod annotations become one `Request`, or are refused.

Both sources are written by people who may be mistaken or hostile, so every value is taken as `object` and
nothing but plain strings, lists and mappings gets through. Whether the task may have what it asks for is not
decided here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache

from airflow_sa_binding.binding.errors import Refused, did_you_mean, nearest
from airflow_sa_binding.binding.names import (
    ANNOTATION_PREFIX,
    APPLIED_ANNOTATION,
    CONTAINERS_ANNOTATION,
    DEFAULT_CONTAINERS,
    EVERY_CONTAINER,
    SERVICE_ACCOUNT_ANNOTATION,
)
from airflow_sa_binding.binding.plain import plain_dict, plain_list, plain_text

SERVICE_ACCOUNT_KEY = "gcp-service-account"
_OUR_KEYS = (SERVICE_ACCOUNT_KEY,)
# What people write who mean ours: too far from it to be taken for a typing error.
_MISTAKEN_KEYS = (
    "gcp-sa",
    "service-account",
    "google-service-account",
    "google-account",
    SERVICE_ACCOUNT_ANNOTATION,
)
_OF_LATER_VERSIONS = frozenset({"service-account-token-volumes", "kubernetes-api-access"})
_AIRFLOWS_KEYS = frozenset({"pod_override", "pod_template_file", "KubernetesExecutor"})
_ASKING = (SERVICE_ACCOUNT_ANNOTATION, CONTAINERS_ANNOTATION)
_OUR_ANNOTATIONS = (*_ASKING, APPLIED_ANNOTATION)
_OUR_PREFIXES = (ANNOTATION_PREFIX, "iam.cloud.google.com/")
_FIELDS = ("name", "containers")

_MOST_KEYS = 64
_MOST_IDENTITIES = 16
"""Both bound what one task can cost the scheduler."""
_LONGEST_NAME = 254
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Looser than what can be listed, but no name looks like JSON, so that annotations can be read back.
_EMAIL = re.compile(r"[^\s@=,{}\[\]]+@[^\s@=,{}\[\]]+")


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
    if executor_config is None:
        return NOTHING
    if type(executor_config) is dict and len(executor_config) <= 1:
        # Most tasks ask for nothing, or for one account in the plainest form.
        value = executor_config.get(SERVICE_ACCOUNT_KEY)
        if not executor_config:
            return NOTHING
        if type(value) is str and len(value) <= _LONGEST_NAME:
            return _request_one(value)
    given = plain_dict(executor_config)
    if given is None:
        raise Refused(
            "executor_config",
            "must be a dict",
            got=executor_config,
            remedy='write {"gcp-service-account": "..."}',
        )
    entries, _ = given
    if len(entries) > _MOST_KEYS:
        raise Refused("executor_config", f"has more than {_MOST_KEYS} keys", remedy="keep data elsewhere")
    for key in entries:
        if key not in _AIRFLOWS_KEYS and key not in _OUR_KEYS:
            _refuse_foreign_key(key)
    if SERVICE_ACCOUNT_KEY not in entries:
        return NOTHING
    where = f'executor_config["{SERVICE_ACCOUNT_KEY}"]'
    return Request(identities=_parse_identities(entries[SERVICE_ACCOUNT_KEY], where))


@lru_cache(maxsize=4096)
def _request_one(name: str) -> Request:
    return Request(identities=_parse_identities(name, f'executor_config["{SERVICE_ACCOUNT_KEY}"]'))


def parse_annotations(annotations: object) -> Request:
    """Parse the annotations with which a pod asks for an identity.

    The account annotation holds a name, or the JSON of whatever `executor_config` accepts.

    Raises:
        Refused: An annotation of ours is not understood, or one looks like a misspelt one of ours.
    """
    if annotations is None or not may_ask(annotations):
        return NOTHING
    given = plain_dict(annotations)
    if given is None:
        raise Refused(
            "metadata.annotations", "must be a dict", got=annotations, remedy="write a dict of strings"
        )
    entries, _ = given
    for key in entries:
        if key not in _OUR_ANNOTATIONS and key.startswith(_OUR_PREFIXES):
            prefix, _, word = key.partition("/")
            known = {one.partition("/")[2]: one for one in _ASKING if one.startswith(f"{prefix}/")}
            _refuse_near_miss("metadata.annotations", key, word, known)
            if key.startswith(ANNOTATION_PREFIX):
                raise Refused(
                    "metadata.annotations",
                    "unknown annotation",
                    got=key,
                    remedy=f"the ones to ask with are {SERVICE_ACCOUNT_ANNOTATION} and {CONTAINERS_ANNOTATION}",
                )
    containers = _annotation_text(entries, CONTAINERS_ANNOTATION)
    text = _annotation_text(entries, SERVICE_ACCOUNT_ANNOTATION)
    if text is None:
        if containers is None:
            return NOTHING
        raise Refused(
            _annotation(CONTAINERS_ANNOTATION),
            "names containers but no identity",
            got=containers,
            remedy=f"add {SERVICE_ACCOUNT_ANNOTATION} or drop it",
        )
    where = _annotation(SERVICE_ACCOUNT_ANNOTATION)
    is_json = text.lstrip().startswith(("{", "["))
    identities = _parse_identities(_load_json(text, where) if is_json else text, where)
    if containers is None:
        return Request(identities=identities)
    if is_json:
        raise Refused(
            _annotation(CONTAINERS_ANNOTATION),
            "cannot go with a JSON value of the account annotation",
            got=containers,
            remedy='name the containers inside the JSON: {"name": ..., "containers": [...]}',
        )
    named = [name.strip() for name in containers.split(",")]
    parsed = _parse_containers(named, _annotation(CONTAINERS_ANNOTATION))
    return Request(identities=(IdentityRequest(name=identities[0].name, containers=parsed, field=where),))


def may_ask(annotations: object) -> bool:
    """Tell whether annotations may hold one of ours: quick, and yes where that takes a closer look."""
    if type(annotations) is not dict:
        return True
    return any(type(key) is not str or key.startswith(_OUR_PREFIXES) for key in annotations)


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


def _annotation_text(annotations: dict[str, object], name: str) -> str | None:
    if name not in annotations:
        return None
    text = plain_text(annotations[name])
    if text is None:
        raise Refused(
            _annotation(name), "must be a string", got=annotations[name], remedy="write it as a string"
        )
    return text


def _refuse_foreign_key(key: str) -> None:
    """Refuse a key that is not ours but may have been meant so; all others are somebody else's."""
    if key in _OF_LATER_VERSIONS:
        raise Refused(
            "executor_config",
            "unknown key",
            got=key,
            remedy=f"this version knows {SERVICE_ACCOUNT_KEY!r} only: drop it or upgrade",
        )
    _refuse_near_miss(
        "executor_config", key, key, dict.fromkeys((*_OUR_KEYS, *_MISTAKEN_KEYS), SERVICE_ACCOUNT_KEY)
    )


def _refuse_near_miss(where: str, key: str, word: str, known: dict[str, str]) -> None:
    """Refuse a key of which a word is nearly one that is known, with the key that was meant."""
    # Separators and case are what people get wrong; the nearest known word is looked up without them.
    squashed = {_squash(one): meant for one, meant in known.items()}
    near = nearest(_squash(word[:256]), squashed)
    if near is not None:
        raise Refused(where, "unknown key", got=key, remedy=f"did you mean {squashed[near]!r}?")


def _squash(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


def _load_json(text: str, where: str) -> object:
    def build_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            # The last would win, while a reader may believe the first.
            twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            raise Refused(where, "has a field twice", got=twice, remedy="write it once")
        return entries

    try:
        loaded: object = json.loads(text, object_pairs_hook=build_object)
    except (ValueError, RecursionError):
        raise Refused(
            where, "is not valid JSON", got=text, remedy="write an account's name, or valid JSON"
        ) from None
    return loaded


def _parse_identities(value: object, where: str) -> tuple[IdentityRequest, ...]:
    several = plain_list(value)
    if several is None:
        return (_parse_identity(value, where),)
    if not several:
        raise Refused(where, "is an empty list", remedy="name an account or drop the key")
    if len(several) > _MOST_IDENTITIES:
        raise Refused(where, f"names more than {_MOST_IDENTITIES} accounts", remedy="split the task")
    identities = tuple(_parse_identity(one, f"{where}[{index}]") for index, one in enumerate(several))
    _refuse_double_claims(identities)
    return identities


def _parse_identity(value: object, where: str) -> IdentityRequest:
    if plain_text(value) is not None:
        return IdentityRequest(name=_parse_name(value, where), field=where)
    given = plain_dict(value)
    if given is None:
        raise Refused(
            where,
            "must be an account's name, a dict with name and containers, or a list of these",
            got=value,
            remedy='write "etl@project.iam.gserviceaccount.com"',
        )
    entries, others = given
    unknown = [*(key for key in entries if key not in _FIELDS), *others]
    if unknown:
        remedy = did_you_mean(unknown[0], _FIELDS) or "the fields are name and containers"
        raise Refused(where, "unknown field", got=unknown[0], remedy=remedy)
    if "name" not in entries:
        raise Refused(where, "has no name", remedy="add the account's name")
    containers: tuple[str, ...] = DEFAULT_CONTAINERS
    if "containers" in entries:
        containers = _parse_containers(entries["containers"], f"{where}.containers")
    return IdentityRequest(
        name=_parse_name(entries["name"], f"{where}.name"), containers=containers, field=where
    )


def _parse_name(value: object, where: str) -> str:
    name = plain_text(value)
    if name is None:
        raise Refused(
            where, "must be an account's name", got=value, remedy="write its email address as a string"
        )
    if not name.strip():
        raise Refused(where, "is empty", remedy="name an account or drop the key")
    if len(name) > _LONGEST_NAME or not _EMAIL.fullmatch(name):
        raise Refused(
            where,
            "is not a service account's email address",
            got=name,
            remedy="write it like etl@project.iam.gserviceaccount.com",
        )
    return name


def _parse_containers(value: object, where: str) -> tuple[str, ...]:
    given = plain_list(value)
    if given is None:
        raise Refused(where, "must be a list of container names", got=value, remedy='write ["base"] or ["*"]')
    if not given:
        raise Refused(
            where, "is an empty list", remedy='name a container, write ["*"] for all, or drop the field'
        )
    names: dict[str, None] = {}
    for one in given:
        name = plain_text(one)
        if name is None or (name != EVERY_CONTAINER and not _DNS_LABEL.fullmatch(name)):
            raise Refused(
                where, "is not a container's name", got=one, remedy='write a name, or ["*"] for all'
            )
        if name in names:
            raise Refused(where, "names a container twice", got=name, remedy="name it once")
        names[name] = None
    if EVERY_CONTAINER in names and len(names) > 1:
        raise Refused(where, '"*" already means every container', remedy='write ["*"] alone')
    return tuple(names)


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
