"""Projects of the kind that people run, through our reading and through the real `docker compose`.

No engine is needed, and nothing is skipped: without Compose these tests fail.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from adapters.yaml.bounded_reader import parse_bounded, parse_fully
from adapters.yaml.bounds import YamlBounds
from domain.compose_model import ComposeModel
from domain.compose_sources import COMPOSE_FILES, SourceKind, SourceWalk
from domain.content import ExtraFile, ProjectContent, env_file_of
from domain.policy import PERMISSIVE, STANDARD, STRICT, Policy, judge
from domain.project import ComposeFile, ProjectName
from domain.validation import check_compose_document
from tests.corpus.projects import CorpusProject, corpus

CORPUS: Final = corpus()
BY_NAME: Final = {project.name: project for project in CORPUS}

SHOWN: Final[Mapping[str, tuple[str, int]]] = {
    "profiles": (r"^ +profiles:", 10),
    "extends": (r"^ +extends:", 4),
    "include": (r"^include:", 1),
    "anchors and merge keys": (r"<<: \*", 9),
    "extension fields": (r"^x-", 8),
    "secrets": (r"^secrets:", 5),
    "configs": (r"^configs:", 3),
    "healthchecks": (r"^ +healthcheck:", 20),
    "conditions": (r"condition: service_", 15),
    "env files": (r"^ +env_file:", 10),
    "builds": (r"^ +build:", 5),
    "limits": (r"\b(limits|mem_limit):", 8),
    "variables with a default": (r"\$\{\w+:?-", 15),
    "variables that must be set": (r"\$\{\w+:?\?", 6),
}
"""A form of writing, the pattern that finds it, and how many projects show it at least."""

each_project = pytest.mark.parametrize("project", CORPUS, ids=lambda project: project.name)
each_profile = pytest.mark.parametrize(
    ("project", "profile"),
    [(project, profile) for project in CORPUS for profile in (None, *project.profiles)],
    ids=lambda value: value.name if isinstance(value, CorpusProject) else value or "plain",
)

Resolve = Callable[[str, str | None, bytes | None], "Resolved"]
"""By a project's name, with a profile or none, with its own `.env` or another."""


class Resolved:
    """What `docker compose config` said of a project."""

    def __init__(self, directory: Path, ran: subprocess.CompletedProcess[str]) -> None:
        self.directory = str(directory)
        assert ran.returncode == 0, ran.stderr
        self.document: dict[str, Any] = json.loads(ran.stdout)
        self.unset = set(re.findall(r'The \\"(\w+)\\" variable is not set', ran.stderr))


@pytest.fixture(scope="module")
def resolve(tmp_path_factory: pytest.TempPathFactory) -> Resolve:
    """Runs `docker compose config` on a copy of a project, once for each question."""
    root = tmp_path_factory.mktemp("corpus")

    @cache
    def run(name: str, profile: str | None, dotenv: bytes | None) -> Resolved:
        directory = root / name
        compose_file = BY_NAME[name].write_to(directory, dotenv=dotenv)
        command = ["docker", "compose", "--ansi", "never", "--progress", "plain"]
        command += ["-p", name, "--project-directory", str(directory), "-f", str(compose_file)]
        command += ["--profile", profile] if profile else []
        ran = subprocess.run(
            [*command, "config", "--format", "json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd="/",
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
        )
        return Resolved(directory, ran)

    return run


def test_the_corpus_is_large_enough_to_mean_something() -> None:
    assert len(CORPUS) >= 34


@pytest.mark.parametrize("form", SHOWN)
def test_the_corpus_shows_every_form_that_people_write(form: str) -> None:
    pattern, least = SHOWN[form]
    showing = [
        project.name
        for project in CORPUS
        if re.search(pattern, project.compose.decode(), re.MULTILINE)
    ]
    assert len(showing) >= least, showing


@each_project
def test_our_reader_accepts_it(project: CorpusProject) -> None:
    check_compose_document(parse_bounded(project.compose, YamlBounds()))


@each_project
def test_a_deployment_can_carry_it(project: CorpusProject) -> None:
    ProjectName(project.name)
    files = tuple(ExtraFile(path, content) for path, content in project.files.items())
    ProjectContent(ComposeFile(project.compose), project.dotenv, files)


@each_project
def test_the_services_and_profiles_that_we_read_are_those_that_are_expected(
    project: CorpusProject,
) -> None:
    document = parse_fully(project.compose, YamlBounds())
    assert isinstance(document, dict)
    expected = project.services().union(*map(project.services, project.profiles))
    named = {name for one in document["services"].values() for name in one.get("profiles", ())}
    assert named == set(project.profiles)
    if "include" in document:
        assert set(document["services"]) < expected
    else:
        assert set(document["services"]) == expected


@each_project
def test_we_know_beforehand_which_files_compose_is_going_to_read(project: CorpusProject) -> None:
    walk = SourceWalk(parse_fully(project.compose, YamlBounds()))
    while (source := walk.next_file()) is not None:
        walk.add(source, parse_fully(project.files[source.path], YamlBounds()))
    report = walk.report()
    assert [str(problem) for problem in report.problems] == []
    assert report.remote_builds == ()
    read = {source.path for source in report.sources if source.kind in COMPOSE_FILES}
    assert read == set(project.expected.compose_files.split())
    env_files = {
        source.path
        for source in report.sources
        if source.kind is SourceKind.ENV_FILE and source.is_required
    }
    assert env_files - {".env"} == {path for path in project.files if path.endswith(".env")}


@each_profile
def test_compose_finds_in_it_what_is_expected(
    project: CorpusProject, profile: str | None, resolve: Resolve
) -> None:
    resolved = resolve(project.name, profile, None)
    assert resolved.document["name"] == project.name
    assert set(resolved.document["services"]) == project.services(profile)
    assert resolved.unset == set(project.expected.unset.split())


@each_profile
def test_our_model_knows_every_key_of_it(
    project: CorpusProject, profile: str | None, resolve: Resolve
) -> None:
    model = ComposeModel.from_document(resolve(project.name, profile, None).document)
    assert {service.name for service in model.services} == project.services(profile)
    assert not model.unknown
    assert {service.name: service.unknown for service in model.services if service.unknown} == {}


def refused(resolved: Resolved, project: CorpusProject, policy: Policy) -> set[str]:
    """The rules that a project breaks."""
    violations = judge(
        ComposeModel.from_document(resolved.document),
        policy,
        project=ProjectName(project.name),
        project_directory=resolved.directory,
    )
    assert all(violation.rule in violation.message for violation in violations)
    return {violation.rule for violation in violations}


@each_profile
def test_the_policies_refuse_what_they_should(
    project: CorpusProject, profile: str | None, resolve: Resolve
) -> None:
    resolved = resolve(project.name, profile, None)
    assert refused(resolved, project, PERMISSIVE) == set()
    assert refused(resolved, project, STANDARD) == project.refused_by_standard(profile)
    strictly = refused(resolved, project, STRICT)
    assert strictly >= project.refused_by_standard(profile)
    assert "unknown_keys" not in strictly


@pytest.mark.parametrize(
    "project", [one for one in CORPUS if one.dotenv is not None], ids=lambda project: project.name
)
def test_its_variables_mean_the_same_in_the_env_file_that_we_write(
    project: CorpusProject, resolve: Resolve
) -> None:
    ours = resolve(project.name, None, env_file_of(project.env))
    assert ours.document == resolve(project.name, None, None).document
