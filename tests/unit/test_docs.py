"""Every code block of README and docs does what a reader expects of it: it runs, loads, or is what the code says."""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient
from kubernetes.client import models as k8s

from airflow_sa_binding.binding.decide import bind_operator_pod
from airflow_sa_binding.cli.main import build_parser, main
from airflow_sa_binding.config.bindings_file import BindingsFile, parse_bindings_file
from airflow_sa_binding.config.load import load_configuration
from tests.keys import ADS, ETL, write_key
from tests.markdown import ROOT, Block, blocks, links, pages
from tests.picture import PICTURE, draw

LANGUAGES = {"console", "diff", "dockerfile", "ini", "json", "python", "text", "yaml"}

# Programs in shell blocks, and why no test of this module runs them.
NOT_RUN = {
    "kubectl": "needs a cluster, see tests/integration/test_tutorial.py",
    "make": "runs this very test",
    ".ci/run": "runs this very test",
    ".venv/bin/nox": "runs this very test",
    "rm": "removes the reader's own folder",
    "pip": "installs this project, which a test of the package does",
    "python3": "makes a virtual environment",
    ".": "activates a virtual environment",
}
RUN_BY_TUTORIAL = {"export", "mkdir", "cp", "sed", "python"}

# DAGs whose blocks say that a task is refused.
REFUSED = {"three_forms"}
# Those that show what there was before.
WITHOUT_ACCOUNT = {"before"}


class Conf:
    """Airflow's configuration, with nothing in it but what a block says."""

    def __init__(self, sections: Mapping[str, Mapping[str, str]]) -> None:
        self._sections = sections

    def get(self, section: str, key: str, *, fallback: str | None = None) -> str | None:
        """Return the text of an option."""
        return self._sections.get(section, {}).get(key, fallback)


def identified(block: Block) -> str:
    """Return what a block is called in the test's name."""
    return str(block)


def test_every_block_has_a_language_that_is_tested() -> None:
    """No block escapes these tests for want of a language, or by a new one."""
    strange = [str(block) for block in blocks() if block.language not in LANGUAGES]

    assert strange == []


@pytest.mark.parametrize("block", blocks("python"), ids=identified)
def test_python_can_be_imported(block: Block, tmp_path: Path) -> None:
    """A block of Python is a whole module: it can be pasted into a file as it is."""
    module = import_block(block, tmp_path)

    assert module.__name__ == "pasted"


@pytest.mark.parametrize(
    "block",
    [block for block in blocks("python") if "executor_config" in block.content],
    ids=identified,
)
def test_a_dag_of_the_documentation_can_be_rendered(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its tasks get the account that they ask for, but for those that the text says are refused."""
    monkeypatch.setenv("AIRFLOW__KUBERNETES__GCP_SERVICE_ACCOUNTS", f"{ETL}=/sa/etl.json,{ADS}=/sa/ads.json")
    file = tmp_path / "pasted.py"
    file.write_text(block.content, encoding="utf-8")
    names = re.findall(r'DAG\("(\w+)"', block.content)

    status = main(["render", str(file), "--output", "table"])

    out, err = capfd.readouterr()
    assert (status, ETL in out) == (int(names[0] in REFUSED), names[0] not in WITHOUT_ACCOUNT), err


@pytest.mark.parametrize("block", blocks("ini"), ids=identified)
def test_ini_is_a_configuration_without_problems(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of airflow.cfg can be used as it is, and names an executor that exists."""
    monkeypatch.setenv("HOME", "/home/reader")
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(os.path.expandvars(block.content))
    executor = parser.get("core", "executor", fallback="").rpartition(":")[2].rpartition(",")[2]

    problems = load_configuration(Conf({name: dict(parser[name]) for name in parser.sections()})).problems

    assert problems == ()
    assert executor in ("", "airflow_sa_binding.executor.ServiceAccountKubernetesExecutor")


@pytest.mark.parametrize("block", blocks("yaml"), ids=identified)
def test_yaml_is_what_its_reader_takes(block: Block) -> None:
    """A bindings file, Helm values or a manifest: every field in it is known to whoever reads it."""
    for document in yaml.safe_load_all(block.content):
        if "kind" in document:
            client = ApiClient()
            model = f"V1{document['kind']}"
            read = client._ApiClient__deserialize(document, model)
            assert client.sanitize_for_serialization(read) == document
        elif "gcpServiceAccounts" in document:
            assert_usable(parse_bindings_file(block.content.encode(), "block"))
        else:
            check_helm_values(document)


def test_json_is_the_annotation_of_a_bound_pod() -> None:
    """The example of `airflow-sa-binding/applied` is what the code writes."""
    (block,) = blocks("json")
    sections = {"kubernetes": {"gcp_service_accounts": f"{ETL}=/sa/etl.json"}}
    pod = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(annotations={"iam.cloud.google.com/service-account": ETL}),
        spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base")]),
    )

    bound = bind_operator_pod(pod, load_configuration(Conf(sections)).settings).pod

    assert json.loads(bound.metadata.annotations["airflow-sa-binding/applied"]) == json.loads(block.content)


@pytest.mark.parametrize("block", blocks("console"), ids=identified)
def test_commands_of_ours_can_be_parsed(block: Block) -> None:
    """A shell block holds commands only, and those of this project take the arguments that they are given."""
    for line in block.content.splitlines():
        assert line.startswith("$ "), "outputs have blocks of their own"
        for command in re.split(r" \| | && ", line[2:]):
            program, *arguments = shlex.split(command, comments=True)
            if program == "airflow-sa-binding":
                assert build_parser().parse_args(arguments).command in {"render", "sync"}
            else:
                assert program in {*NOT_RUN, *RUN_BY_TUTORIAL}, command


def test_the_dockerfile_installs_the_wheel_of_this_project() -> None:
    """Docker does not run here; the name of the wheel is compared with that of the project."""
    (block,) = blocks("dockerfile")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project]")[2]
    name = re.findall(r'^name = "(.+)"$', project, re.MULTILINE)[0]

    wheels = re.findall(r"dist/(\S+)", block.content)

    assert wheels == [f"{name.replace('-', '_')}-*.whl"]


@pytest.mark.airflow(">=3.3")
def test_the_tutorial_prints_what_it_says(tmp_path: Path) -> None:
    """Its commands, up to those that need a cluster, print what stands below them."""
    tutorial = [block for block in blocks() if block.page == "docs/tutorial.md"]
    environment = scratch_environment(tmp_path, {"HOME": str(tmp_path)})
    written: list[str] = []
    expected = [block.content for block in tutorial if block.language == "text"]
    for block in tutorial:
        if block.caption and block.language != "yaml":
            Path(block.caption.replace("~", str(tmp_path))).write_text(block.content, encoding="utf-8")
        if block.language != "console" or "kubectl" in block.content or "rm -r" in block.content:
            continue
        for line in block.content.splitlines():
            if shlex.split(line[2:])[0] in NOT_RUN:
                continue
            if line.startswith("$ export "):
                name, _, value = line.removeprefix("$ export ").partition("=")
                environment[name] = value.replace("~", str(tmp_path))
                continue
            output = run_line(line[2:], environment)
            written += [output] if output else []

    assert written == expected


@pytest.mark.airflow(">=3.3")
def test_the_diff_of_the_readme_is_what_the_command_above_it_prints(tmp_path: Path) -> None:
    """With the example configuration, and keys where that says they are."""
    (block,) = blocks("diff")
    (command,) = [each.content for each in blocks("console") if each.page == "README.md"]
    for account in (ETL, ADS):
        write_key(tmp_path / f"{account.partition('@')[0]}.json", account)
    configuration = (ROOT / "dags_examples" / "airflow.cfg").read_text(encoding="utf-8")
    configuration = configuration.replace("/opt/airflow/sa/", f"{tmp_path}/")
    configuration = configuration.replace("/opt/airflow/config/", f"{ROOT}/dags_examples/")
    (tmp_path / "airflow.cfg").write_text(configuration, encoding="utf-8")

    printed = run_line(command[2:], scratch_environment(tmp_path, {"AIRFLOW_HOME": str(tmp_path)}))

    assert printed == block.content


def test_the_picture_of_the_readme_shows_its_diff() -> None:
    """Run `python -m tests.picture` when the diff has changed."""
    (block,) = blocks("diff")

    assert PICTURE.read_text(encoding="utf-8") == draw(block.content)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    """Pages are read on the web too, where Sphinx has not checked them."""
    lost = [link for link in links(page) if not (page.parent / link).exists()]

    assert lost == []


def import_block(block: Block, folder: Path) -> Any:
    """Import a block as a module named `pasted`."""
    file = folder / "pasted.py"
    file.write_text(block.content, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("pasted", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_usable(file: BindingsFile) -> None:
    """Assert that a bindings file lists accounts, all of which can be used."""
    assert file.accounts
    assert (file.unusable, file.problems) == ({}, ())


def check_helm_values(values: dict[str, Any]) -> None:
    """Check what Helm values hand on to this project; the chart itself is not here."""
    known = {"config", "executor", "extraConfigMaps", "images", "scheduler", "volumeMounts", "volumes"}
    assert set(values) <= known
    accounts_only = {key: value for key, value in values["config"].items() if key == "kubernetes"}
    configuration = load_configuration(Conf(accounts_only))
    assert configuration.problems == ()
    if "kubernetes" in values["config"]:
        assert values["executor"] == "airflow_sa_binding.executor.ServiceAccountKubernetesExecutor"
        (mount,) = values["scheduler"]["extraVolumeMounts"]
        assert {str(path.parent) for path in configuration.key_paths.values()} == {mount["mountPath"]}
    else:
        (data,) = [yaml.safe_load(one["data"]) for one in values["extraConfigMaps"].values()]
        ((name, content),) = data.items()
        (mount,) = values["volumeMounts"]
        assert values["config"]["sa_binding"]["bindings_file"] == f"{mount['mountPath']}/{name}"
        assert_usable(parse_bindings_file(content.encode(), name))


def scratch_environment(folder: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with the console script of this very code, and without Airflow's variables."""
    programs = folder / "bin"
    programs.mkdir()
    script = programs / "airflow-sa-binding"
    script.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m airflow_sa_binding.cli.main "$@"\n', encoding="utf-8"
    )
    script.chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), **changes}


def run_line(line: str, environment: Mapping[str, str]) -> str:
    """Run a line of shell in the checkout; return everything that it prints."""
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout
