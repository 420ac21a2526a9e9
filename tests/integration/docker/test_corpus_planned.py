"""Every project of the corpus is planned as a control plane sends it, and judged by the policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from domain.commands import DeployCompose, PlanCompose
from domain.content import ExtraFile
from domain.policy import STANDARD
from domain.project import ComposeFile, ProjectName
from tests.corpus.projects import CorpusProject, corpus
from tests.integration.docker.driver import Driver, driver_at

CORPUS: Final = corpus()
OF_PWD: Final = {"caddy": {"binds.roots"}}
"""Rules that a project breaks by itself, and not where `$PWD` is its directory, as the agent has it."""


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[Driver]:
    async with driver_at(tmp_path) as driver:
        driver.container.policy.override(STANDARD)
        yield driver


@pytest.mark.parametrize("project", CORPUS, ids=lambda project: project.name)
async def test_it_is_planned_and_nothing_is_changed(
    driver: Driver, project: CorpusProject, project_name: str
) -> None:
    files = tuple(ExtraFile(path, content) for path, content in sorted(project.files.items()))
    wish = DeployCompose(
        ProjectName(project_name), ComposeFile(project.compose), project.dotenv, files
    )
    planned = await driver.ends(PlanCompose(wish))
    assert planned.state == "succeeded", planned
    changes = {one["service"]: one["action"] for one in planned.data["services"]}
    assert changes == dict.fromkeys(project.services(), "create")
    rules = {one["rule"] for one in planned.data["policy"].get("violations", ())}
    assert rules == project.refused_by_standard(None) - OF_PWD.get(project.name, set())
    assert planned.data["policy"]["allowed"] is not bool(rules)
    assert not driver.directory(project_name).exists()
