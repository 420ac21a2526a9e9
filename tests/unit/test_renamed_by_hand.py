"""Containers that somebody has renamed get their proper names back, where Compose would not see to it."""

from __future__ import annotations

from dataclasses import replace

from application.agent.handling import Completed
from domain.drift import proper_names
from domain.project import ProjectName
from domain.verification import ExpectedService
from tests.builders import deploy
from tests.fakes.deployment import FakeDeployment
from tests.fakes.engine_state import found

BLOG = ProjectName("Blog")
WEB = ExpectedService(name="web", config_hash="a" * 64)


def test_the_name_is_the_services_own_or_the_one_that_compose_gives() -> None:
    wrong = found(name="by-hand", config_hash="a" * 64)
    assert proper_names(BLOG, [WEB], [wrong]) == {wrong.id: "blog-web-1"}
    own = replace(WEB, container_name="my-own")
    assert proper_names(BLOG, [own], [wrong]) == {wrong.id: "my-own"}


def test_what_is_right_or_is_recreated_anyway_is_left_alone() -> None:
    right = found(name="blog-web-1", config_hash="a" * 64)
    assert proper_names(BLOG, [WEB], [right]) == {}
    old = replace(right, name="by-hand", config_hash="b" * 64)
    assert proper_names(BLOG, [WEB], [old]) == {}
    stray = replace(right, name="by-hand", service="other")
    assert proper_names(BLOG, [WEB], [stray]) == {}


async def test_the_next_deployment_gives_it_back() -> None:
    host = FakeDeployment()
    await host.deploy(deploy())
    (name,) = host.runtime.names_on_engine("blog")
    host.state.change("blog", name, name="by-hand")
    assert isinstance(await host.deploy(deploy()), Completed)
    assert host.runtime.names_on_engine("blog") == [name]
