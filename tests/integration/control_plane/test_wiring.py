"""The wiring: everything can be made, there is one of each, and settings come to where they are meant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest

from adapters.storage.database import Database
from entrypoints.control_plane.container import ControlPlaneContainer
from entrypoints.control_plane.rest.app import create_app
from entrypoints.control_plane.serving import database_url
from entrypoints.control_plane.settings import ControlPlaneSettings


@pytest.fixture
def settings(tmp_path: Path) -> ControlPlaneSettings:
    return ControlPlaneSettings(
        state_dir=tmp_path,
        change_ttl=11,
        read_ttl=12,
        enrolment_ttl=120,
        retention_days=2,
        heartbeat=20,
        trusted_proxies="10.0.0.0/8",
        public_url="https://cp.example",
    )


@pytest.fixture
async def container(settings: ControlPlaneSettings) -> AsyncIterator[ControlPlaneContainer]:
    async with Database.opened(database_url(settings)) as database:
        yield ControlPlaneContainer(settings=settings, database=database)


async def test_every_provider_makes_its_object(container: ControlPlaneContainer) -> None:
    providers: Iterable[Callable[[], object]] = container.traverse()
    made = [provider() for provider in providers]
    assert len(made) >= 30
    assert not any(asyncio.isfuture(thing) for thing in made)
    assert len(create_app(container.parts()).routes) > 30


async def test_there_is_one_of_each_for_all_who_use_it(container: ControlPlaneContainer) -> None:
    parts, tools = container.parts(), container.link_tools()
    live, happenings = container.live_hosts(), container.happenings()
    for user, name, part in [
        (container.hosts(), "_links", live),
        (container.jobs(), "_links", live),
        (container.measuring(), "_links", live),
        (container.reception(), "_live", live),
        (container.hosts(), "_happenings", happenings),
        (container.jobs(), "_happenings", happenings),
        (container.following(), "_happenings", happenings),
        (container.chores(), "_happenings", happenings),
        (container.submitting(), "_payloads", tools.payloads),
        (container.deployments(), "_payloads", tools.payloads),
        (live, "_crew", tools.crew),
        (container.welcoming(), "_tools", tools),
        (container.reception(), "_tools", tools),
        (container.sessions(), "_access", parts.access),
        (container.token_reset(), "_access", parts.access),
        (container.hub(), "reception", container.reception()),
    ]:
        assert vars(user)[name] is part, f"{type(user).__name__}.{name}"
    notice = vars(container.submitting())["_notice"]
    assert (notice.links, notice.happenings, notice.times) == (live, happenings, container.times())


async def test_settings_come_to_where_they_are_meant(
    container: ControlPlaneContainer, tmp_path: Path
) -> None:
    ttls = vars(container.submitting())["_ttls"]
    assert (ttls.change_s, ttls.read_s) == (11, 12)
    assert vars(container.enrolments())["_ttl_s"] == 120
    assert vars(container.chores())["_retention"].kept_s == 2 * 24 * 3600
    assert container.link_tools().heartbeat_s == 20
    assert [str(one) for one in container.hub().trusted] == ["10.0.0.0/8"]
    assert container.parts().public_url == "https://cp.example"
    assert container.parts().control_plane_key == container.signer().public_key
    assert {path.name for path in tmp_path.iterdir()} >= {"payload.key", "identity.json"}


async def test_it_is_of_use_while_its_database_answers(container: ControlPlaneContainer) -> None:
    await container.parts().check_ready()


def test_the_database_is_the_one_that_is_set(tmp_path: Path) -> None:
    assert database_url(ControlPlaneSettings(state_dir=tmp_path)) == (
        f"sqlite:///{tmp_path}/control-plane.db"
    )
    chosen = ControlPlaneSettings.model_validate({"DATABASE_URL": "postgresql://cp@db/fleet"})
    assert database_url(chosen) == "postgresql://cp@db/fleet"
