"""Whatever is thrown at the parsers, a request comes out or one short line."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.request import (
    IdentityRequest,
    Request,
    parse_annotations,
    parse_executor_config,
    request_annotations,
)
from tests.property.strategies import widely

TOKENS = (
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJhdWQiOlsidmF1bHQiXX0.c2lnbmF0dXJl",
    "ya29.a0AfB_byDx1234567890",
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
    "cf4a1b2c3d4e5f60718293a4b5c6d7e8f9012345",
)


def _raise_for(self: object, name: str) -> Any:
    # Hypothesis itself looks at the class of what it has made.
    if name == "__class__":
        return type(self)
    raise RuntimeError(name)


class _Raises:
    """Raises whatever is asked of it."""

    __getattribute__ = _raise_for

    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __bool__(self) -> bool:
        raise RuntimeError

    __hash__ = object.__hash__


class _Text(str):
    """A string that raises whatever is asked of it, but its hash."""

    __slots__ = ()

    __getattribute__ = _raise_for

    def __len__(self) -> int:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = str.__hash__


class _Dict(dict[Any, Any]):
    """A dict that raises whatever is asked of it."""

    __getattribute__ = _raise_for

    def __iter__(self) -> Any:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError

    def __getitem__(self, key: object) -> Any:
        raise RuntimeError


_OUR_WORDS = st.sampled_from(
    [
        "gcp-service-account",
        "name",
        "containers",
        "base",
        "*",
        "sidecar",
        "etl@acme.iam.gserviceaccount.com",
        "a@b",
    ]
)
_NEAR_WORDS = st.sampled_from(
    [
        "gcp_service_account",
        "GCP-Service-Account",
        "contianers",
        "pod_override",
        "airflow-sa-binding/x",
        "[",
        "{}",
        "a,b",
    ]
)
_TOKENS = st.builds("{}{}".format, st.text(max_size=10), st.sampled_from(TOKENS))
_TEXT = st.one_of(_OUR_WORDS, _OUR_WORDS, _NEAR_WORDS, st.text(max_size=100), _TOKENS)
_KEYS = st.one_of(_TEXT, st.integers(), st.none(), st.builds(_Text, _TEXT), st.tuples(st.text(max_size=3)))
_LEAVES = st.one_of(
    _TEXT,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=10),
    st.builds(_Text, _TEXT),
    st.builds(_Raises),
    st.builds(lambda size: 10**size, st.integers(4300, 5000)),
    st.builds(lambda size: "x" * size, st.integers(1000, 100_000)),
    st.sets(st.integers(), max_size=2),
    st.sampled_from([len, int, lambda: 0, ..., NotImplemented, iter(()), range(3)]),
)


def _nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    dicts = st.dictionaries(_KEYS, inner, max_size=4)
    ours = st.fixed_dictionaries({}, optional={"name": inner, "containers": inner})
    lists = st.lists(inner, max_size=4)
    return st.one_of(
        dicts, ours, ours, lists, st.builds(tuple, lists), st.builds(_Dict, dicts), st.builds(_Dict, ours)
    )


GARBAGE = st.recursive(_LEAVES, _nest, max_leaves=8)
CONFIGS = st.one_of(
    GARBAGE,
    st.fixed_dictionaries({"gcp-service-account": GARBAGE}),
    st.fixed_dictionaries({"gcp-service-account": GARBAGE}).map(_Dict),
)
_JSON = st.recursive(
    st.one_of(_TEXT, st.none(), st.booleans(), st.integers(), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(_TEXT, inner, max_size=3),
        st.fixed_dictionaries({}, optional={"name": inner, "containers": inner}),
    ),
    max_leaves=8,
)
ANNOTATIONS = st.one_of(
    GARBAGE,
    st.fixed_dictionaries(
        {"iam.cloud.google.com/service-account": st.one_of(_JSON.map(json.dumps), _TEXT, GARBAGE)},
        optional={
            "airflow-sa-binding/containers": st.one_of(st.lists(_TEXT, max_size=3).map(",".join), GARBAGE),
            "airflow-sa-binding/applied": GARBAGE,
            "airflow-sa-binding/unknown": GARBAGE,
            "iam.cloud.google.com/service_account": GARBAGE,
        },
    ),
)

_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}@[a-z0-9-]{1,20}\.iam\.gserviceaccount\.com", fullmatch=True)
_CONTAINERS = st.lists(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True), unique=True, min_size=1
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Draw any request that can be made."""
    names = draw(_CONTAINERS)
    cuts = sorted(draw(st.sets(st.integers(1, len(names)), max_size=3)) | {0, len(names)})
    groups = [names[start:end] for start, end in itertools.pairwise(cuts)]
    if draw(st.booleans()) and len(groups) == 1:
        groups = [["*"]]
    return Request(
        identities=tuple(
            IdentityRequest(name=draw(_NAMES), containers=tuple(group), field="x") for group in groups
        )
    )


def check_message(refused: Refused) -> None:
    """Check the form of a message."""
    message = str(refused)
    assert message.isprintable()
    assert len(message) < 1000
    assert message == f"{refused.problem.field}: {refused.problem.problem}; {refused.problem.remedy}"
    assert not any(token[:20] in message or token[-20:] in message for token in TOKENS)


def check_request(request: Request) -> None:
    """Check that what comes out is made of plain values."""
    for one in request.identities:
        assert type(one.name) is str
        assert type(one.containers) is tuple
        assert one.containers
        assert {type(name) for name in one.containers} == {str}


@widely
@given(CONFIGS)
def test_any_executor_config_is_parsed_or_refused(config: Any) -> None:
    """Nothing but `Refused` comes out of an executor_config, and its message shows no secret."""
    try:
        request = parse_executor_config(config)
    except Refused as refused:
        check_message(refused)
    else:
        check_request(request)


@widely
@given(ANNOTATIONS)
def test_any_annotations_are_parsed_or_refused(annotations: Any) -> None:
    """Nothing but `Refused` comes out of annotations, and its message shows no secret."""
    try:
        request = parse_annotations(annotations)
    except Refused as refused:
        check_message(refused)
    else:
        check_request(request)


@widely
@given(requests())
def test_annotations_say_the_request(request: Request) -> None:
    """Every request is read back from its own annotations."""
    assert parse_annotations(request_annotations(request)) == request


@widely
@given(requests())
def test_executor_config_says_the_request(request: Request) -> None:
    """Every request can be made in an executor_config."""
    config = [{"name": one.name, "containers": list(one.containers)} for one in request.identities]

    assert parse_executor_config({"gcp-service-account": config}) == request
