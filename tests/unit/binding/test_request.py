"""What a task may write to ask for an identity, and what it is told when it wrote something else."""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NoReturn

import pytest

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.request import (
    NOTHING,
    IdentityRequest,
    Request,
    parse_annotations,
    parse_executor_config,
    request_annotations,
)
from tests.unit.binding.samples import ADS, ETL

KEY = 'executor_config["gcp-service-account"]'
ACCOUNT = 'metadata.annotations["iam.cloud.google.com/service-account"]'
CONTAINERS = 'metadata.annotations["airflow-sa-binding/containers"]'
NOT_AN_ACCOUNT = "must be an account's name, a dict with name and containers, or a list of these"
WRITE_ONE = 'write "etl@project.iam.gserviceaccount.com"'


def one(name: str, *containers: str, field: str = KEY) -> IdentityRequest:
    """Build what is asked for one account."""
    return IdentityRequest(name=name, containers=containers, field=field)


def refusal(parse: Callable[[object], Request], value: object) -> str:
    """Return the message with which a value is refused."""
    with pytest.raises(Refused) as caught:
        parse(value)
    return str(caught.value)


def asked(value: object) -> str:
    """Return the message with which a value of our key is refused."""
    return refusal(parse_executor_config, {"gcp-service-account": value})


# --- what is understood


@pytest.mark.parametrize(
    "config", [None, {}, {"pod_override": object(), "pod_template_file": "x"}, {"queue": "q"}]
)
def test_config_without_our_key_asks_for_nothing(config: object) -> None:
    """A task that does not mention us asks for nothing, which is false."""
    request = parse_executor_config(config)

    assert request == NOTHING
    assert not request


def test_name_alone_is_for_the_main_container() -> None:
    """A name is a request for the container `base`."""
    assert parse_executor_config({"gcp-service-account": ETL}) == Request(identities=(one(ETL, "base"),))


def test_dict_without_containers_is_for_the_main_container() -> None:
    """`containers` may be left out."""
    request = parse_executor_config({"gcp-service-account": {"name": ETL}})

    assert request == Request(identities=(one(ETL, "base"),))


def test_dict_names_its_containers_in_order() -> None:
    """The containers are kept in the order in which they were named."""
    request = parse_executor_config({"gcp-service-account": {"name": ETL, "containers": ["sidecar", "base"]}})

    assert request == Request(identities=(one(ETL, "sidecar", "base"),))


def test_star_is_every_container() -> None:
    """`"*"` is kept as it is: which containers there are is not known here."""
    request = parse_executor_config({"gcp-service-account": {"name": ETL, "containers": ["*"]}})

    assert request == Request(identities=(one(ETL, "*"),))


@pytest.mark.parametrize("kind", [list, tuple])
def test_list_mixes_names_and_dicts(kind: Callable[[list[object]], object]) -> None:
    """Several identities are a list or a tuple of whatever one may be, and each knows where it stands."""
    request = parse_executor_config(
        {"gcp-service-account": kind([ETL, {"name": ADS, "containers": ["sidecar"]}])}
    )

    assert request == Request(identities=(one(ETL, "base"), one(ADS, "sidecar")))
    assert [identity.field for identity in request.identities] == [f"{KEY}[0]", f"{KEY}[1]"]


def test_one_account_may_be_asked_for_twice() -> None:
    """The same account for two containers, in two entries, is no contradiction."""
    request = parse_executor_config({"gcp-service-account": [ETL, {"name": ETL, "containers": ["sidecar"]}]})

    assert request == Request(identities=(one(ETL, "base"), one(ETL, "sidecar")))


def test_subclass_of_dict_is_read_as_a_dict() -> None:
    """An OrderedDict is a dict."""
    assert parse_executor_config(OrderedDict({"gcp-service-account": ETL})) == Request(
        identities=(one(ETL, "base"),)
    )


# --- executor_config: wrong types


@pytest.mark.parametrize(
    ("config", "got"),
    [
        ([], "list"),
        ("", "''"),
        ("gcp-service-account", "'gcp-service-account'"),
        (False, "False"),
        ({"gcp-service-account"}, "set"),
        (MappingProxyType({"gcp-service-account": ETL}), "mappingproxy"),
        (lambda: 0, "function"),
    ],
)
def test_config_that_is_no_dict(config: object, got: str) -> None:
    """An executor_config of another type is refused, and what is in it is not shown."""
    message = refusal(parse_executor_config, config)

    assert message == f'executor_config: must be a dict, got {got}; write {{"gcp-service-account": "..."}}'


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "None"),
        (True, "True"),
        (0, "0"),
        pytest.param(10**6000, "an int of 19932 bits", id="large int"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (1j, "complex"),
        ({ETL}, "set"),
        (frozenset({ETL}), "frozenset"),
        (lambda: ETL, "function"),
        (print, "builtin_function_or_method"),
        (b"etl@acme.iam.gserviceaccount.com", "bytes"),
        (bytearray(b"x"), "bytearray"),
        (iter([ETL]), "list_iterator"),
        (dict, "type"),
        (MappingProxyType({"name": ETL}), "mappingproxy"),
    ],
)
def test_value_of_a_wrong_type(value: object, got: str) -> None:
    """Neither a string, nor a dict, nor a list: the message tells what is possible."""
    assert asked(value) == f"{KEY}: {NOT_AN_ACCOUNT}, got {got}; {WRITE_ONE}"


@pytest.mark.parametrize(("value", "got"), [(None, "None"), ([ETL], "list"), ({ETL}, "set"), (b"x", "bytes")])
def test_entry_of_a_list_of_a_wrong_type(value: object, got: str) -> None:
    """The message names the entry's place in the list."""
    assert asked([ETL, value]) == f"{KEY}[1]: {NOT_AN_ACCOUNT}, got {got}; {WRITE_ONE}"


def test_deeply_nested_list() -> None:
    """A list nested deeper than Python's stack is refused like any other."""
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]

    assert asked(nested) == f"{KEY}[0]: {NOT_AN_ACCOUNT}, got list; {WRITE_ONE}"


def test_list_that_holds_itself() -> None:
    """A list that holds itself does not hang anything."""
    ring: list[Any] = [ETL]
    ring.append(ring)

    assert asked(ring) == f"{KEY}[1]: {NOT_AN_ACCOUNT}, got list; {WRITE_ONE}"


def test_empty_list() -> None:
    """A list of nothing is a mistake, not a request for nothing."""
    assert asked([]) == f"{KEY}: is an empty list; name an account or drop the key"


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_empty_name(value: str) -> None:
    """An empty name is a mistake, not a request for nothing."""
    assert asked(value) == f"{KEY}: is empty; name an account or drop the key"


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("etl", "'etl'"),
        ("etl@acme@x", "'etl@acme@x'"),
        (f" {ETL}", "' etl@acme.iam.gserviceaccount.com'"),
        (f"{ETL}\n", r"'etl@acme.iam.gserviceaccount.com\n'"),
        ("etl@acme.x,ads@acme.x", "'etl@acme.x,ads@acme.x'"),
        ("etl@acme=/x.json", "'etl@acme=/x.json'"),
        ("[etl@acme.x", "'[etl@acme.x'"),
        ("{etl@acme.x}", "'{etl@acme.x}'"),
        ("@acme.x", "'@acme.x'"),
        ("etl@", "'etl@'"),
        ("e" * 250 + "@acme", "'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee'... (255 characters)"),
    ],
)
def test_text_that_is_no_account(value: str, got: str) -> None:
    """A name that no service account can have is refused with an example."""
    assert asked(value) == (
        f"{KEY}: is not a service account's email address, got {got};"
        " write it like etl@project.iam.gserviceaccount.com"
    )


def test_ten_megabytes_of_text() -> None:
    """A name of 10 MB is refused at once, with a glimpse and its length."""
    start = time.perf_counter()

    message = asked("x" * 10_000_000)

    assert message == (
        f"{KEY}: is not a service account's email address,"
        " got 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'... (10000000 characters);"
        " write it like etl@project.iam.gserviceaccount.com"
    )
    assert time.perf_counter() - start < 1


def test_key_instead_of_a_name() -> None:
    """Somebody who writes the key itself into the DAG does not find it in the log."""
    key = json.dumps({"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nMIIE\n"})

    assert asked(key) == (
        f"{KEY}: is not a service account's email address, got a str of {len(key)} characters that is not shown;"
        " write it like etl@project.iam.gserviceaccount.com"
    )


def test_key_as_a_dict_instead_of_a_name() -> None:
    """A parsed key is refused by its first field, and none of its values is shown."""
    assert asked({"type": "service_account", "private_key": "MIIE"}) == (
        f"{KEY}: unknown field, got 'type'; the fields are name and containers"
    )


# --- executor_config: near misses


@pytest.mark.parametrize(
    "key",
    [
        "gcp_service_account",
        "gcp-serviceaccount",
        "GCP-Service-Account",
        "gcp-service-accounts",
        "gcp-service-acount",
        "gcpServiceAccount",
        "gcp service account",
        "google-service-account",
        "service-account",
    ],
)
def test_near_miss_of_our_key(key: str) -> None:
    """A misspelt key is not silently nothing."""
    message = refusal(parse_executor_config, {key: ETL})

    assert message == f"executor_config: unknown key, got '{key}'; did you mean 'gcp-service-account'?"


@pytest.mark.parametrize(
    "key", ["gcp-sa", "service-account", "google-account", "iam.cloud.google.com/service-account"]
)
def test_key_that_means_ours(key: str) -> None:
    """Words that nobody would write for anything else are refused, though no typing error leads to them."""
    assert refusal(parse_executor_config, {key: ETL}) == (
        f"executor_config: unknown key, got {key!r}; did you mean 'gcp-service-account'?"
    )


@pytest.mark.parametrize("key", ["service-account-token-volumes", "kubernetes-api-access"])
def test_key_of_a_later_version(key: str) -> None:
    """What this version cannot give is refused, and not left out silently."""
    assert refusal(parse_executor_config, {key: True}) == (
        f"executor_config: unknown key, got {key!r}; this version knows 'gcp-service-account' only:"
        " drop it or upgrade"
    )


def test_too_many_keys() -> None:
    """Looking at each of thousands of keys would hold up the scheduler."""
    config = {f"key{number}": 1 for number in range(65)}

    assert (
        refusal(parse_executor_config, config)
        == "executor_config: has more than 64 keys; keep data elsewhere"
    )


def test_too_many_accounts() -> None:
    """What one task can ask for is bounded."""
    value = [{"name": ETL, "containers": [f"c{number}"]} for number in range(17)]

    assert asked(value) == f"{KEY}: names more than 16 accounts; split the task"


def test_near_miss_beside_our_key() -> None:
    """A misspelt key is refused even where the right one is there, too."""
    message = refusal(parse_executor_config, {"gcp-service-account": ETL, "gcp_service_account": ADS})

    assert (
        message
        == "executor_config: unknown key, got 'gcp_service_account'; did you mean 'gcp-service-account'?"
    )


@pytest.mark.parametrize(
    "key", ["queue", "pod_override", "pod_template_file", "KubernetesExecutor", "image", "", 7, None, ("a",)]
)
def test_key_of_somebody_else(key: object) -> None:
    """Keys that look like none of ours are left to whom they belong."""
    assert parse_executor_config({key: ETL}) == NOTHING


@pytest.mark.parametrize(
    ("field", "remedy"),
    [
        ("contianers", "did you mean 'containers'?"),
        ("Name", "did you mean 'name'?"),
        ("project", "the fields are name and containers"),
    ],
)
def test_unknown_field(field: str, remedy: str) -> None:
    """An unknown field of an identity is refused, with a hint when one is near."""
    assert asked({"name": ETL, field: ["base"]}) == f"{KEY}: unknown field, got '{field}'; {remedy}"


def test_field_that_is_no_string() -> None:
    """A field under a key of another type is an unknown field."""
    assert (
        asked({"name": ETL, 7: ["base"]})
        == f"{KEY}: unknown field, got 7; the fields are name and containers"
    )


def test_dict_without_a_name() -> None:
    """Containers without an account ask for nothing that can be given."""
    assert asked([{"containers": ["base"]}]) == f"{KEY}[0]: has no name; add the account's name"


@pytest.mark.parametrize(
    ("name", "got"), [(None, "None"), (7, "7"), ([ETL], "list"), ({"name": ETL}, "dict")]
)
def test_name_of_a_wrong_type(name: object, got: str) -> None:
    """The name inside of a dict must be a string."""
    assert asked({"name": name}) == (
        f"{KEY}.name: must be an account's name, got {got}; write its email address as a string"
    )


def test_empty_name_in_a_dict() -> None:
    """An empty name inside of a dict is named by its field."""
    assert asked({"name": ""}) == f"{KEY}.name: is empty; name an account or drop the key"


# --- executor_config: containers


@pytest.mark.parametrize(
    ("containers", "got"),
    [
        ("base", "'base'"),
        (None, "None"),
        ({"base"}, "set"),
        ({"base": 1}, "dict"),
        (b"base", "bytes"),
        (range(2), "range"),
    ],
)
def test_containers_of_a_wrong_type(containers: object, got: str) -> None:
    """Containers are a list, not a string that happens to be iterable."""
    assert asked({"name": ETL, "containers": containers}) == (
        f'{KEY}.containers: must be a list of container names, got {got}; write ["base"] or ["*"]'
    )


def test_no_containers() -> None:
    """An identity for no container is a mistake."""
    assert asked({"name": ETL, "containers": []}) == (
        f'{KEY}.containers: is an empty list; name a container, write ["*"] for all, or drop the field'
    )


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("", "''"),
        ("Base", "'Base'"),
        ("base ", "'base '"),
        ("base\n", r"'base\n'"),
        ("-base", "'-base'"),
        ("b,c", "'b,c'"),
        ("**", "'**'"),
        ("b" * 64, repr("b" * 64)),
        (None, "None"),
        (["base"], "list"),
        (b"base", "bytes"),
    ],
)
def test_word_that_is_no_container(name: object, got: str) -> None:
    """A container's name is a DNS label."""
    assert asked({"name": ETL, "containers": ["base", name]}) == (
        f'{KEY}.containers: is not a container\'s name, got {got}; write a name, or ["*"] for all'
    )


def test_container_twice() -> None:
    """A container is named once."""
    assert asked({"name": ETL, "containers": ["base", "sidecar", "base"]}) == (
        f"{KEY}.containers: names a container twice, got 'base'; name it once"
    )


def test_star_beside_a_name() -> None:
    """`"*"` stands alone."""
    assert asked({"name": ETL, "containers": ["*", "base"]}) == (
        f'{KEY}.containers: "*" already means every container; write ["*"] alone'
    )


@pytest.mark.parametrize(
    ("first", "second", "container"),
    [
        (["base"], ["base"], "base"),
        (["base", "sidecar"], ["sidecar"], "sidecar"),
        (["*"], ["base"], "base"),
        (["base"], ["*"], "*"),
        (["*"], ["*"], "*"),
    ],
)
def test_two_accounts_for_one_container(first: list[str], second: list[str], container: str) -> None:
    """A container has one default identity, and `"*"` claims all of them."""
    assert asked([{"name": ETL, "containers": first}, {"name": ADS, "containers": second}]) == (
        f"{KEY}[1]: container '{container}' is already given to 'etl@acme.iam.gserviceaccount.com',"
        " got 'ads@acme.iam.gserviceaccount.com'; a container has one default identity: name different containers"
    )


def test_two_names_both_for_the_main_container() -> None:
    """Two bare names both claim `base`."""
    assert asked([ETL, ADS]) == (
        f"{KEY}[1]: container 'base' is already given to 'etl@acme.iam.gserviceaccount.com',"
        " got 'ads@acme.iam.gserviceaccount.com'; a container has one default identity: name different containers"
    )


# --- executor_config: values with code of their own


def _raise(*_: object) -> NoReturn:
    raise RuntimeError("code of the value was run")


_HOSTILE: dict[str, Any] = dict.fromkeys(
    (
        *("__len__", "__iter__", "__bool__", "__contains__", "__getitem__", "__eq__", "__repr__", "__str__"),
        *("__hash__", "items", "keys", "values", "get", "strip", "lower", "startswith", "encode", "count"),
    ),
    _raise,
)
HostileText: Any = type("HostileText", (str,), _HOSTILE)
HostileList: Any = type("HostileList", (list,), _HOSTILE)
HostileDict: Any = type("HostileDict", (dict,), _HOSTILE)
HostileObject: Any = type("HostileObject", (), {**_HOSTILE, "__class__": property(_raise)})


def test_hostile_values_are_read_for_what_they_hold() -> None:
    """Subclasses that raise in every method are read with the methods of str, list and dict."""
    config = HostileDict(
        {
            "gcp-service-account": HostileList(
                [HostileDict(name=HostileText(ETL), containers=HostileList([HostileText("*")]))]
            )
        }
    )

    request = parse_executor_config(config)

    assert request == Request(identities=(one(ETL, "*"),))
    assert type(request.identities[0].name) is str
    assert type(request.identities[0].containers[0]) is str


def test_str_that_lies_about_itself() -> None:
    """A str subclass that shows one account and holds another gets what it holds."""

    class Liar(str):
        __slots__ = ()

        def __str__(self) -> str:
            return ADS

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    assert parse_executor_config({"gcp-service-account": Liar(ETL)}).identities[0].name == ETL


def test_hostile_object_is_refused() -> None:
    """An object that raises whatever is asked of it is refused by the name of its class."""
    assert asked(HostileObject()) == f"{KEY}: {NOT_AN_ACCOUNT}, got HostileObject; {WRITE_ONE}"


def test_hostile_object_as_a_name_is_refused() -> None:
    """The same inside of a dict."""
    assert asked({"name": HostileObject()}) == (
        f"{KEY}.name: must be an account's name, got HostileObject; write its email address as a string"
    )


# --- annotations


@pytest.mark.parametrize(
    "annotations",
    [
        None,
        {},
        {"dag_id": "sales"},
        {"iam.cloud.google.com/other": "x"},
        {"airflow-sa-binding/applied": "{}"},
        {7: 8},
    ],
)
def test_annotations_without_ours_ask_for_nothing(annotations: object) -> None:
    """Annotations of others, and the one that tells what was bound, ask for nothing."""
    assert parse_annotations(annotations) == NOTHING


def test_annotation_with_a_name() -> None:
    """A name is a request for the container `base`."""
    request = parse_annotations({"iam.cloud.google.com/service-account": ETL})

    assert request == Request(identities=(one(ETL, "base"),))
    assert request.identities[0].field == ACCOUNT


def test_annotation_with_containers() -> None:
    """Containers are separated by commas, with spaces where one likes them."""
    request = parse_annotations(
        {"iam.cloud.google.com/service-account": ETL, "airflow-sa-binding/containers": "base, sidecar"}
    )

    assert request == Request(identities=(one(ETL, "base", "sidecar"),))


def test_annotation_with_json() -> None:
    """JSON is what executor_config accepts."""
    text = f' [{{"name": "{ETL}", "containers": ["base"]}}, {{"name": "{ADS}", "containers": ["sidecar"]}}]'

    request = parse_annotations({"iam.cloud.google.com/service-account": text})

    assert request == Request(identities=(one(ETL, "base"), one(ADS, "sidecar")))
    assert [identity.field for identity in request.identities] == [f"{ACCOUNT}[0]", f"{ACCOUNT}[1]"]


@pytest.mark.parametrize("annotations", [[], "x", {"a"}, MappingProxyType({})])
def test_annotations_that_are_no_dict(annotations: object) -> None:
    """Annotations of another type are refused."""
    message = refusal(parse_annotations, annotations)

    got = repr(annotations) if isinstance(annotations, str) else type(annotations).__name__
    assert message == f"metadata.annotations: must be a dict, got {got}; write a dict of strings"


@pytest.mark.parametrize(
    ("value", "got"), [(None, "None"), ({"name": ETL}, "dict"), ([ETL], "list"), ({ETL}, "set"), (7, "7")]
)
def test_annotation_that_is_no_string(value: object, got: str) -> None:
    """Kubernetes' annotations are strings: an object in place of its JSON is refused."""
    message = refusal(parse_annotations, {"iam.cloud.google.com/service-account": value})

    assert message == f"{ACCOUNT}: must be a string, got {got}; write it as a string"


def test_container_annotation_that_is_no_string() -> None:
    """The list of containers is a string, too."""
    message = refusal(
        parse_annotations,
        {"iam.cloud.google.com/service-account": ETL, "airflow-sa-binding/containers": ["base"]},
    )

    assert message == f"{CONTAINERS}: must be a string, got list; write it as a string"


def test_empty_annotation() -> None:
    """An empty annotation is a mistake, not a request for nothing."""
    message = refusal(parse_annotations, {"iam.cloud.google.com/service-account": ""})

    assert message == f"{ACCOUNT}: is empty; name an account or drop the key"


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("iam.cloud.google.com/service_account", "iam.cloud.google.com/service-account"),
        ("iam.cloud.google.com/serviceAccount", "iam.cloud.google.com/service-account"),
        ("iam.cloud.google.com/service-accounts", "iam.cloud.google.com/service-account"),
        ("airflow-sa-binding/container", "airflow-sa-binding/containers"),
        ("airflow-sa-binding/Containers", "airflow-sa-binding/containers"),
    ],
)
def test_near_miss_of_an_annotation(key: str, meant: str) -> None:
    """A misspelt annotation is not silently nothing."""
    message = refusal(parse_annotations, {key: ETL})

    assert message == f"metadata.annotations: unknown key, got '{key}'; did you mean '{meant}'?"


@pytest.mark.parametrize(
    "key", ["airflow-sa-binding/", "airflow-sa-binding/token-volumes", "airflow-sa-binding/x"]
)
def test_unknown_annotation_of_ours(key: str) -> None:
    """Nothing under our prefix is ignored."""
    message = refusal(parse_annotations, {key: "x"})

    assert message == (
        f"metadata.annotations: unknown annotation, got '{key}'; the ones to ask with are"
        " iam.cloud.google.com/service-account and airflow-sa-binding/containers"
    )


def test_containers_without_an_account() -> None:
    """Containers alone ask for nothing that can be given."""
    message = refusal(parse_annotations, {"airflow-sa-binding/containers": "base"})

    assert message == (
        f"{CONTAINERS}: names containers but no identity, got 'base';"
        " add iam.cloud.google.com/service-account or drop it"
    )


@pytest.mark.parametrize("text", [f'["{ETL}"]', f'{{"name": "{ETL}"}}'])
def test_containers_beside_json(text: str) -> None:
    """JSON has a place for containers, so the other annotation would be a second opinion."""
    message = refusal(
        parse_annotations,
        {"iam.cloud.google.com/service-account": text, "airflow-sa-binding/containers": "sidecar"},
    )

    assert message == (
        f"{CONTAINERS}: cannot go with a JSON value of the account annotation, got 'sidecar';"
        ' name the containers inside the JSON: {"name": ..., "containers": [...]}'
    )


@pytest.mark.parametrize(("text", "got"), [("base,", "''"), ("", "''"), ("base;sidecar", "'base;sidecar'")])
def test_containers_annotation_with_a_gap(text: str, got: str) -> None:
    """Nothing between two commas is no container."""
    message = refusal(
        parse_annotations,
        {"iam.cloud.google.com/service-account": ETL, "airflow-sa-binding/containers": text},
    )

    assert message == f'{CONTAINERS}: is not a container\'s name, got {got}; write a name, or ["*"] for all'


@pytest.mark.parametrize("text", ["{", '["a@b"', "[1,]", "{'name': 'a@b'}", "[" + "1" * 5000 + "]"])
def test_json_that_is_none(text: str) -> None:
    """What begins like JSON and is none is refused; numbers of thousands of digits are no JSON either."""
    message = refusal(parse_annotations, {"iam.cloud.google.com/service-account": text})

    got = repr(text) if len(text) < 80 else "'[111111111111111111111111111111111111111'... (5002 characters)"
    assert message == f"{ACCOUNT}: is not valid JSON, got {got}; write an account's name, or valid JSON"


def test_deeply_nested_json() -> None:
    """JSON nested deeper than Python's stack is refused."""
    message = refusal(parse_annotations, {"iam.cloud.google.com/service-account": "[" * 1_000_000})

    assert message == (
        f"{ACCOUNT}: is not valid JSON, got '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[['... (1000000 characters);"
        " write an account's name, or valid JSON"
    )


def test_json_with_a_field_twice() -> None:
    """Of two names in one object a reader may see the first and the program take the last: neither counts."""
    message = refusal(
        parse_annotations, {"iam.cloud.google.com/service-account": f'{{"name": "{ETL}", "name": "{ADS}"}}'}
    )

    assert message == f"{ACCOUNT}: has a field twice, got 'name'; write it once"


def test_key_in_the_annotation() -> None:
    """A key that somebody puts in the annotation does not appear in the message."""
    text = '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----'

    message = refusal(parse_annotations, {"iam.cloud.google.com/service-account": text})

    assert message == (
        f"{ACCOUNT}: is not valid JSON, got a str of 71 characters that is not shown;"
        " write an account's name, or valid JSON"
    )


# --- and back


def test_nothing_needs_no_annotations() -> None:
    """A request for nothing leaves no trace."""
    assert request_annotations(NOTHING) == {}


@pytest.mark.parametrize(
    ("request_", "annotations"),
    [
        (Request(identities=(one(ETL, "base"),)), {"iam.cloud.google.com/service-account": ETL}),
        (
            Request(identities=(one(ETL, "base", "sidecar"),)),
            {"iam.cloud.google.com/service-account": ETL, "airflow-sa-binding/containers": "base,sidecar"},
        ),
        (
            Request(identities=(one(ETL, "*"),)),
            {"iam.cloud.google.com/service-account": ETL, "airflow-sa-binding/containers": "*"},
        ),
        (
            Request(identities=(one(ETL, "base"), one(ADS, "sidecar"))),
            {
                "iam.cloud.google.com/service-account": '[{"name": "etl@acme.iam.gserviceaccount.com",'
                ' "containers": ["base"]}, {"name": "ads@acme.iam.gserviceaccount.com", "containers": ["sidecar"]}]'
            },
        ),
    ],
    ids=["one", "one in two containers", "one in all", "two"],
)
def test_request_as_annotations(request_: Request, annotations: dict[str, str]) -> None:
    """A request is written as the shortest annotations that say it, and read back from them."""
    assert request_annotations(request_) == annotations
    assert parse_annotations(annotations) == request_
