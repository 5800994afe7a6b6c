"""From airflow.cfg and the bindings file to settings: what can be used is used, the rest fails with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_sa_binding.binding.identity import Identity, KeySecret, Settings
from airflow_sa_binding.config.load import Configuration, load_configuration, load_keys, with_projects
from tests.keys import ADS, ETL, key_json, write_key
from tests.unit.config.ini_conf import IniConf

ENTRY_1 = "[kubernetes] gcp_service_accounts, entry 1"
ENTRY_2 = "[kubernetes] gcp_service_accounts, entry 2"
ETL_SECRET = "gcp-sa-etl-fd6d6038"
ADS_SECRET = "gcp-sa-ads-a2a90470"


def load(accounts: str = "", bindings: str | None = None, *, folder: Path, more: str = "") -> Configuration:
    """Load accounts of airflow.cfg and a bindings file of this content."""
    cfg = f"[kubernetes]\ngcp_service_accounts = {accounts}\n[sa_binding]\n{more}\n"
    if bindings is not None:
        (folder / "b.yaml").write_text(bindings)
        cfg += f"bindings_file = {folder}/b.yaml\n"
    return load_configuration(IniConf(cfg))


def messages(configuration: Configuration, folder: Path) -> list[str]:
    return [str(problem).replace(f"{folder}/", "/opt/") for problem in configuration.problems]


def test_nothing_configured() -> None:
    """Without accounts there is nothing to bind, and nothing wrong."""
    assert load_configuration(IniConf()) == Configuration(
        settings=Settings(
            identities={}, unusable={}, problems=(), namespaces=("default",), any_namespace=False
        ),
        key_paths={},
        sync_interval_seconds=60,
        prune=False,
        is_complete=True,
        problems=(),
    )


def test_everything_configured(tmp_path: Path) -> None:
    """Both sources meet in one set of settings; no key file is read or even looked for."""
    (tmp_path / "b.yaml").write_text(
        "gcpServiceAccounts:\n"
        f"  {ADS}: {{keyFile: /nowhere/ads.json, project: acme-ads, defaultMode: 0400}}\n"
        "  ext@acme.iam.gserviceaccount.com: {secretName: ext}\n"
    )
    conf = IniConf(f"""
[kubernetes]
gcp_service_accounts = {ETL}=/nowhere/etl.json
[kubernetes_executor]
namespace = airflow
multi_namespace_mode = True
multi_namespace_mode_namespace_list = team-a,airflow
[sa_binding]
bindings_file = {tmp_path}/b.yaml
sync_interval_seconds = 5
prune = True
namespaces = spark,team-a
""")

    assert load_configuration(conf) == Configuration(
        settings=Settings(
            identities={
                ETL: Identity(
                    name=ETL,
                    delivery=KeySecret(secret_name=ETL_SECRET, managed=True, default_mode=0o440),
                    project=None,
                ),
                ADS: Identity(
                    name=ADS,
                    delivery=KeySecret(secret_name=ADS_SECRET, managed=True, default_mode=0o400),
                    project="acme-ads",
                ),
                "ext@acme.iam.gserviceaccount.com": Identity(
                    name="ext@acme.iam.gserviceaccount.com",
                    delivery=KeySecret(secret_name="ext", managed=False, default_mode=0o440),
                    project=None,
                ),
            },
            unusable={},
            problems=(),
            namespaces=("airflow", "team-a", "spark"),
            fenced=frozenset({"ext"}),
            any_namespace=False,
        ),
        key_paths={ETL: Path("/nowhere/etl.json"), ADS: Path("/nowhere/ads.json")},
        sync_interval_seconds=5,
        prune=True,
        is_complete=True,
        problems=(),
    )


def test_every_namespace() -> None:
    """Multi-namespace mode without a list is every namespace."""
    configuration = load_configuration(IniConf("[kubernetes_executor]\nmulti_namespace_mode = True"))

    assert (configuration.settings.namespaces, configuration.settings.any_namespace) == (("default",), True)


def test_account_in_both_places(tmp_path: Path) -> None:
    """An account that is listed in both places cannot be used, even where they agree."""
    configuration = load(
        f"{ETL}=/opt/etl.json,{ADS}=/opt/ads.json",
        f"gcpServiceAccounts:\n  {ETL}: {{keyFile: /opt/etl.json}}\n",
        folder=tmp_path,
    )

    message = (
        f"/opt/b.yaml: gcpServiceAccounts[\"{ETL}\"]: account '{ETL}' is also listed in {ENTRY_1}; "
        "keep one of the two"
    )
    assert list(configuration.settings.identities) == [ADS]
    assert list(configuration.settings.unusable) == [ETL]
    assert configuration.settings.unusable[ETL] == message.replace("/opt/", f"{tmp_path}/")
    assert configuration.key_paths == {ADS: Path("/opt/ads.json")}
    assert messages(configuration, tmp_path) == [message]


def test_broken_entry_that_is_listed_elsewhere_too(tmp_path: Path) -> None:
    """A broken entry counts: mending it must not change which key an account has."""
    configuration = load(
        f"{ETL}=etl.json", f"gcpServiceAccounts:\n  {ETL}: {{keyFile: /opt/etl.json}}\n", folder=tmp_path
    )

    assert configuration.settings.identities == {}
    assert messages(configuration, tmp_path) == [
        (
            f"/opt/b.yaml: gcpServiceAccounts[\"{ETL}\"]: account '{ETL}' is also listed in {ENTRY_1}; "
            "keep one of the two"
        )
    ]


def test_one_key_file_for_two_accounts(tmp_path: Path) -> None:
    """A key is one account's: with two names for it, neither is used."""
    configuration = load(f"{ETL}=/opt/sa.json,{ADS}=/opt/sa.json", folder=tmp_path)

    assert configuration.settings.identities == {}
    assert configuration.settings.unusable == {
        ETL: f"{ENTRY_1}: key file '/opt/sa.json' of {ETL} is also that of {ADS}; "
        "give each account its own key file",
        ADS: f"{ENTRY_2}: key file '/opt/sa.json' of {ADS} is also that of {ETL}; "
        "give each account its own key file",
    }


def test_one_key_file_in_two_spellings_and_places(tmp_path: Path) -> None:
    """Two spellings of a path are one file, wherever they stand."""
    configuration = load(
        f"{ETL}=/opt/sa.json",
        f"gcpServiceAccounts:\n  {ADS}: {{keyFile: /opt/./x/../sa.json}}\n",
        folder=tmp_path,
    )

    assert configuration.settings.identities == {}
    assert messages(configuration, tmp_path) == [
        (
            f"/opt/b.yaml: gcpServiceAccounts[\"{ADS}\"]: key file '/opt/sa.json' of {ADS} is also that of {ETL}; "
            "give each account its own key file"
        ),
        f"{ENTRY_1}: key file '/opt/sa.json' of {ETL} is also that of {ADS}; give each account its own key file",
    ]


def test_one_secret_for_two_accounts(tmp_path: Path) -> None:
    """A Secret holds one key."""
    configuration = load(
        bindings=f"gcpServiceAccounts:\n  {ETL}: {{secretName: sa}}\n  {ADS}: {{secretName: sa}}\n",
        folder=tmp_path,
    )

    assert configuration.settings.identities == {}
    assert messages(configuration, tmp_path) == [
        (
            f"/opt/b.yaml: gcpServiceAccounts[\"{ETL}\"]: Secret 'sa' of {ETL} is also that of {ADS}; "
            "give each account its own Secret"
        ),
        (
            f"/opt/b.yaml: gcpServiceAccounts[\"{ADS}\"]: Secret 'sa' of {ADS} is also that of {ETL}; "
            "give each account its own Secret"
        ),
    ]


def test_two_accounts_whose_managed_secrets_have_one_name(tmp_path: Path) -> None:
    """The name ends in 32 bits of a hash, which two accounts of one slug may have in common."""
    one, other = "etl@p118346.iam.gserviceaccount.com", "etl@p178988.iam.gserviceaccount.com"

    configuration = load(f"{one}=/opt/one.json,{other}=/opt/other.json", folder=tmp_path)

    assert configuration.settings.identities == {}
    assert configuration.settings.unusable == {
        one: f"{ENTRY_1}: Secret 'gcp-sa-etl-5984ec60' of {one} is also that of {other}; "
        "give each account its own Secret",
        other: f"{ENTRY_2}: Secret 'gcp-sa-etl-5984ec60' of {other} is also that of {one}; "
        "give each account its own Secret",
    }


def test_missing_bindings_file() -> None:
    """The accounts of airflow.cfg go on, and a task that asks for one of the file's is told why it cannot."""
    configuration = load_configuration(
        IniConf(
            f"[kubernetes]\ngcp_service_accounts={ETL}=/opt/etl.json\n[sa_binding]\nbindings_file=/no/b.yaml"
        )
    )

    message = "/no/b.yaml: does not exist; put it there or correct the path"
    assert list(configuration.settings.identities) == [ETL]
    assert configuration.settings.problems == (message,)
    assert [str(problem) for problem in configuration.problems] == [message]
    assert configuration.is_complete is False


def test_broken_bindings_file(tmp_path: Path) -> None:
    """A file that is no YAML costs its own accounts only."""
    configuration = load(f"{ETL}=/opt/etl.json", "gcpServiceAccounts:\n\tx: 1\n", folder=tmp_path)

    assert list(configuration.settings.identities) == [ETL]
    assert messages(configuration, tmp_path) == [
        "/opt/b.yaml: is not YAML: a tab in line 2, column 1; indent with spaces"
    ]
    assert configuration.is_complete is False


def test_unknown_field_in_the_bindings_file(tmp_path: Path) -> None:
    """The problem is told once, and stands for the file and for each of its accounts."""
    configuration = load(
        bindings=f"gcpServiceAccounts:\n  {ETL}: {{secretName: etl}}\npolicies: []\n", folder=tmp_path
    )

    message = "/opt/b.yaml: unknown field 'policies'; the only field is gcpServiceAccounts"
    assert messages(configuration, tmp_path) == [message]
    assert configuration.settings.problems == (message.replace("/opt/", f"{tmp_path}/"),)
    assert configuration.settings.unusable == {ETL: message.replace("/opt/", f"{tmp_path}/")}


@pytest.mark.parametrize(
    "bindings",
    [
        f"gcpServiceAccounts: {{{ETL}: {{secretName: etl-key}}}}\npolicies: []\n",
        f"gcpServiceAccount: {{{ETL}: {{secretName: etl-key}}}}\n",
        f"gcpServiceAccounts: {{{ETL}: {{secretName: etl-key, project: Acme Production}}}}\n",
        f"gcpServiceAccounts: {{{ETL}: {{secretName: etl-key, keyFile: /opt/etl.json}}}}\n",
        f"gcpServiceAccounts: {{{ETL}: {{secretName: etl-key, audience: x}}}}\n",
        f"gcpServiceAccounts: {{{ETL}: {{secretName: etl-key}}, {ADS}: {{secretName: etl-key}}}}\n",
        f"gcpServiceAccounts: {{{ADS}: {{secretName: etl-key}}}}\n",
        "gcpServiceAccounts: {etl: {secretName: etl-key}}\n",
    ],
    ids=[
        "field of a later version",
        "misspelt list",
        "bad project",
        "two deliveries",
        "unknown field",
        "shared Secret",
        "listed in both places",
        "bad name",
    ],
)
def test_secret_of_an_account_that_cannot_be_used_stays_fenced(bindings: str, tmp_path: Path) -> None:
    """A mistake in the configuration opens no Secret to the pods of others."""
    settings = load(f"{ADS}=/opt/ads.json", bindings, folder=tmp_path).settings

    assert [name for name, one in settings.identities.items() if not one.delivery.managed] == []
    assert settings.fenced == {"etl-key"}


@pytest.mark.parametrize(
    "name", ["'-----BEGIN PRIVATE KEY-----'", "[etl-key]", "Etl_Key", "1", "''", "a" + "b" * 253]
)
def test_what_is_no_name_of_a_secret_is_not_kept(name: str, tmp_path: Path) -> None:
    """No pod can name such a Secret, and what was pasted by mistake goes nowhere."""
    configuration = load(bindings=f"gcpServiceAccounts: {{{ETL}: {{secretName: {name}}}}}\n", folder=tmp_path)

    assert configuration.settings.fenced == frozenset()


def test_entry_that_belongs_to_nobody(tmp_path: Path) -> None:
    """An entry of which the account is not known may be anybody's."""
    configuration = load(f"{ETL}=/opt/etl.json,/opt/ads.json", folder=tmp_path)

    assert list(configuration.settings.identities) == [ETL]
    assert configuration.settings.problems == (
        (
            f"{ENTRY_2}: has no '=', got '/opt/ads.json'; write name=path; "
            "if a path holds a comma, rename the file or list the account in the bindings file with keyFile"
        ),
    )
    assert configuration.is_complete is False


def test_problem_of_one_account_leaves_the_list_complete(tmp_path: Path) -> None:
    """An account that cannot be used is still listed, so that its Secret stays."""
    configuration = load(f"{ETL}=etl.json,{ADS}=/opt/ads.json", folder=tmp_path)

    assert configuration.is_complete is True
    assert configuration.listed_accounts == {ETL, ADS}


def test_problem_of_an_option_that_lists_nobody(tmp_path: Path) -> None:
    """A bad interval is told, but is no reason to doubt who is listed."""
    configuration = load(folder=tmp_path, more="sync_interval_seconds = 0")

    assert configuration.settings.problems == ()
    assert configuration.is_complete is True
    assert messages(configuration, tmp_path) == [
        (
            "[sa_binding] sync_interval_seconds: must be a whole number from 1 to 86400, got '0'; "
            "correct it or drop it; until then it is 60"
        )
    ]


@pytest.mark.parametrize("bindings", ["", "gcpServiceAccounts:\n"])
def test_bindings_file_that_lists_nobody_is_not_trusted_to_prune(bindings: str, tmp_path: Path) -> None:
    """A file that is being rewritten is empty for a moment: that is no problem, and no order to delete."""
    configuration = load(f"{ETL}=/opt/etl.json", bindings, folder=tmp_path)

    assert configuration.problems == ()
    assert configuration.is_complete is False


def test_keys_of_usable_accounts(tmp_path: Path) -> None:
    """Each account's key is read; one that is wrong has its message and costs no other."""
    write_key(tmp_path / "etl.json", ETL)
    configuration = load(
        f"{ETL}={tmp_path}/etl.json,{ADS}={tmp_path}/ads.json",
        "gcpServiceAccounts:\n  ext@acme.iam.gserviceaccount.com: {secretName: ext}\n",
        folder=tmp_path,
    )

    keys, refusals = load_keys(configuration)
    assert {name: key.content.decode() for name, key in keys.items()} == {ETL: key_json(ETL)}
    assert refusals == {
        ADS: f"key file {tmp_path}/ads.json of {ADS}: does not exist; put it there or correct the path"
    }


def test_one_key_behind_two_links(tmp_path: Path) -> None:
    """What two names hide from the list, the key itself says: it is one account's."""
    write_key(tmp_path / "etl.json", ETL)
    (tmp_path / "ads.json").symlink_to("etl.json")
    configuration = load(f"{ETL}={tmp_path}/etl.json,{ADS}={tmp_path}/ads.json", folder=tmp_path)

    keys, refusals = load_keys(configuration)
    assert list(keys) == [ETL]
    assert refusals == {
        ADS: f"key file {tmp_path}/ads.json of {ADS}: client_email: is another account's, got '{ETL}'; "
        "list the file under that account, or correct the path"
    }


def test_keys_that_are_known(tmp_path: Path) -> None:
    """Keys that have not changed are the objects of the last time, the others are new."""
    for account, name in ((ETL, "etl.json"), (ADS, "ads.json")):
        write_key(tmp_path / name, account)
    configuration = load(f"{ETL}={tmp_path}/etl.json,{ADS}={tmp_path}/ads.json", folder=tmp_path)
    before, _ = load_keys(configuration)
    write_key(tmp_path / "ads.json", ADS, generation=1)

    after, refusals = load_keys(configuration, known=before)
    assert refusals == {}
    assert after[ETL] is before[ETL]
    assert after[ADS].content == key_json(ADS, generation=1).encode()


def test_projects_of_keys(tmp_path: Path) -> None:
    """An account's project is the configured one, or else that of its key; nothing else changes."""
    write_key(tmp_path / "etl.json", ETL, "acme-etl")
    write_key(tmp_path / "ads.json", ADS, "acme-ads")
    configuration = load(
        f"{ETL}={tmp_path}/etl.json",
        f"gcpServiceAccounts:\n  {ADS}: {{keyFile: {tmp_path}/ads.json, project: acme-prod}}\n",
        folder=tmp_path,
    )
    keys, _ = load_keys(configuration)

    completed = with_projects(configuration, keys)
    assert {name: one.project for name, one in completed.settings.identities.items()} == {
        ETL: "acme-etl",
        ADS: "acme-prod",
    }
    assert {name: one.project for name, one in configuration.settings.identities.items()} == {
        ETL: None,
        ADS: "acme-prod",
    }
    assert with_projects(completed, {}) == completed
