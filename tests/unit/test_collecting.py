"""What was collected, and why something cannot be."""

from __future__ import annotations

import pytest

from domain.collecting import (
    MAX_PROBLEMS_SHOWN,
    CannotCollect,
    CollectedProject,
    content_of,
    is_kept_by_agent,
    mode_of,
)
from domain.content import ExtraFile
from domain.errors import InstaDeployError


@pytest.mark.parametrize(
    ("permissions", "mode"),
    [
        (0o644, 0o644), (0o664, 0o644), (0o666, 0o644), (0o444, 0o644), (0o604, 0o644),
        (0o600, 0o600), (0o400, 0o600), (0o640, 0o600), (0o660, 0o600), (0o000, 0o600),
        (0o755, 0o755), (0o700, 0o755), (0o500, 0o755), (0o777, 0o755), (0o655, 0o644),
    ],
)  # fmt: skip
def test_a_mode_becomes_one_of_those_that_can_be_sent(permissions: int, mode: int) -> None:
    assert mode_of(permissions) == mode


@pytest.mark.parametrize(
    ("path", "is_kept"),
    [
        (".env", True), (".env/bin/python", True), ("docker-compose.yml", True),
        ("Docker-Compose.yml", True), (".instadeploy.pins.yml", True), (".instadeploy/x", True),
        (".docker-compose.yml.swp", True), ("compose.yaml", False), ("docker-compose.yaml", False),
        ("app/.env", False), ("app/docker-compose.yml", False), (".envrc", False), ("a\nb", False),
        ("a/b", False),
    ],
)  # fmt: skip
def test_the_agents_own_names_are_known(path: str, is_kept: bool) -> None:
    assert is_kept_by_agent(path) is is_kept


def test_an_error_has_every_problem_once_and_shows_only_so_many() -> None:
    problems = [f"problem {number}" for number in range(MAX_PROBLEMS_SHOWN + 2)]
    error = CannotCollect([*problems, problems[0]])
    assert error.problems == tuple(problems)
    assert str(error).splitlines()[-2:] == ["problem 99", "and 2 more"]
    assert isinstance(error, InstaDeployError)
    assert error.code == "invalid_input"


def test_what_was_collected_is_sorted_counted_and_kept_out_of_its_repr() -> None:
    content = content_of(
        b"services: {}", b"A=1", [ExtraFile("b", b"22"), ExtraFile("a", b"hunter2")]
    )
    project = CollectedProject.of(content, name=None, compose_path="c", notes=["n", "m", "n"])
    assert [file.path for file in project.files] == ["a", "b"]
    assert project.total_bytes == len(b"services: {}") + len(b"A=1") + 9
    assert project.notes == ("n", "m")
    assert "hunter2" not in repr(project)


@pytest.mark.parametrize(
    ("compose", "env", "problem"),
    [
        (b"", None, "compose_file_base64: the compose file is empty"),
        (b"x", b"PATH=/x", "env.PATH: would reach the programs that Docker Compose starts"),
    ],
)
def test_content_is_judged_as_the_agent_judges_it(
    compose: bytes, env: bytes | None, problem: str
) -> None:
    with pytest.raises(CannotCollect) as refused:
        content_of(compose, env, [])
    assert refused.value.problems[0].startswith(problem)
