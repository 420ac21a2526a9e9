"""The wiring: everything can be made, and each part is what its port says."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from adapters.websocket.client import WebSocketTransport
from application.agent.agent import Agent
from application.agent.check_health import CheckHealthHandler
from application.agent.handling import Deadlines
from application.agent.room import DispatchLimits
from domain.backoff import no_jitter
from entrypoints.agent.container import (
    AgentContainer,
    backoff_of,
    compose_environment,
    full_jitter,
)
from entrypoints.agent.settings import AgentSettings, load_settings

Settings = Callable[..., AgentSettings]


@pytest.fixture
def settings(bare_environment: pytest.MonkeyPatch) -> Settings:
    def load(**variables: str) -> AgentSettings:
        for name, value in {
            "SERVER_URL": "wss://cp.example/ws",
            "AGENT_SECRET_TOKEN": "tok-s3cr3t",
            **variables,
        }.items():
            bare_environment.setenv(name, value)
        return load_settings()

    return load


async def test_every_provider_makes_its_object(settings: Settings) -> None:
    container = AgentContainer(settings=settings())
    providers: Iterable[Callable[[], object]] = container.traverse()
    with container.executor():
        made = [provider() for provider in providers]
        assert len(made) >= 20
        assert not any(asyncio.isfuture(thing) for thing in made)
        assert isinstance(container.agent(), Agent)
        assert isinstance(container.transport(), WebSocketTransport)


async def test_there_is_one_of_each_part(settings: Settings) -> None:
    container = AgentContainer(settings=settings())
    for name in (
        "agent",
        "admission",
        "book",
        "clock",
        "compose_executor",
        "compose_runtime",
        "dispatcher",
        "journal",
        "live",
        "outbox",
        "project_files",
    ):
        provider: Callable[[], Any] = getattr(container, name)
        assert provider() is provider()


async def test_each_handler_has_the_parts_that_it_asks_for(settings: Settings) -> None:
    container = AgentContainer(settings=settings())
    shared = {
        "clock": container.clock(),
        "book": container.book(),
        "engine": container.engine(),
        "files": container.project_files(),
        "store": container.revision_store(),
        "state": container.engine_state(),
        "logins": container.registry_logins(),
        "reader": container.compose_reader(),
        "runtime": container.compose_runtime(),
        "deadlines": container.deadlines(),
        "host": container.host(),
        "policy": container.policy(),
        "paths": container.host_paths(),
        "places": container.host_places(),
        "judge": container.judge(),
        "images": container.images(),
        "registries": container.registries(),
        "rollout": container.rollout(),
        "revisions": container.revisions(),
        "going_back": container.going_back(),
    }
    asked_for: set[str] = set()
    for user in (
        *container.handlers().values(),
        container.judge(),
        container.images(),
        container.registries(),
        container.rollout(),
        container.revisions(),
        container.going_back(),
    ):
        parts = {name: part for name, part in parts_of(user).items() if name in shared}
        assert parts
        if isinstance(user, CheckHealthHandler):
            del parts["engine"]  # Its own, which remembers what it was told.
        assert all(part is shared[name] for name, part in parts.items())
        asked_for |= parts.keys()
    assert asked_for == shared.keys()


def parts_of(user: object) -> dict[str, object]:
    """What a handler, or a part of several, works with, by the name that it was given as."""
    if dataclasses.is_dataclass(user):
        return {one.name: getattr(user, one.name) for one in dataclasses.fields(user)}
    return {name.removeprefix("_"): part for name, part in vars(user).items()}


async def test_what_survives_the_agent_is_one_for_all_who_use_it(settings: Settings) -> None:
    container = AgentContainer(settings=settings())
    tools = container.step_tools()
    for part, used in [
        (container.book(), tools.book),
        (container.compose_executor(), tools.executor),
        (container.live(), tools.live),
        (container.book(), vars(container.agent())["_book"]),
        (container.book(), vars(container.dispatcher())["_book"]),
        (container.book(), vars(container.admission())["_book"]),
        (container.book(), vars(container.leftovers())["_book"]),
        (container.live(), vars(container.leftovers())["_live"]),
        (container.live(), container.sequenced().live),
        (container.private_parts(), tools.private),
        (container.private_parts(), vars(container.admission())["_private"]),
        (container.private_parts(), vars(container.leftovers())["_private"]),
        (container.registry_logins(), vars(container.leftovers())["_logins"]),
        (container.policy(), vars(container.admission())["_policy"]),
        (container.outbox(), vars(container.dispatcher())["_results"]),
        (container.admission(), container.sequenced().admission),
    ]:
        assert part is used


def test_limits_and_deadlines_come_from_the_settings(settings: Settings) -> None:
    container = AgentContainer(
        settings=settings(
            AGENT_MAX_QUEUED="2000",
            AGENT_MAX_PARALLEL="3",
            AGENT_CHECK_TIMEOUT="1",
            AGENT_DEPLOY_TIMEOUT="2",
            AGENT_STOP_TIMEOUT="3",
            AGENT_STATUS_TIMEOUT="4",
            AGENT_HEALTH_TIMEOUT="5",
        )
    )
    assert container.limits() == DispatchLimits(open_jobs=2000, running_projects=3)
    assert container.deadlines() == Deadlines(
        check_s=1, deploy_s=2, stop_s=3, status_s=4, health_s=5
    )


@pytest.mark.parametrize(("jitter", "expected"), [("on", full_jitter), ("off", no_jitter)])
def test_jitter_may_be_switched_off(
    settings: Settings, jitter: str, expected: Callable[[float], float]
) -> None:
    delays = backoff_of(settings(AGENT_RECONNECT_JITTER=jitter))
    if expected is no_jitter:
        series = delays()
        assert [next(series) for _ in range(3)] == [1.0, 2.0, 4.0]
    else:
        firsts = {next(delays()) for _ in range(50)}
        assert len(firsts) > 10
        assert max(firsts) <= 1.0


SECRETS_AND_TRAPS = {
    "AGENT_SECRET_TOKEN": "tok-s3cr3t",
    "AGENT_TOKEN": "tok-s3cr3t",
    "SERVER_URL": "wss://cp.example/ws?key=tok-s3cr3t",
    "CREDENTIALS_DIRECTORY": "/run/credentials",
    "LD_PRELOAD": "/tmp/evil.so",
    "LD_LIBRARY_PATH": "/tmp",
    "COMPOSE_FILE": "/tmp/other.yml",
    "COMPOSE_PROJECT_NAME": "other",
    "COMPOSE_PROFILES": "debug",
    "PYTHONPATH": "/tmp",
    "PYTHONSTARTUP": "/tmp/x.py",
    "DOCKER_CONTEXT": "elsewhere",
    "DOCKER_TLS_VERIFY": "1",
    "BASH_ENV": "/tmp/x",
    "AWS_SECRET_ACCESS_KEY": "tok-s3cr3t",
    "USER": "root",
}


def test_compose_sees_nothing_of_the_agents_environment_but_a_short_list(
    settings: Settings,
) -> None:
    inherited = {
        **SECRETS_AND_TRAPS,
        "PATH": "/usr/bin",
        "HOME": "/root",
        "DOCKER_HOST": "tcp://evil.example:2375",
        "DOCKER_CONFIG": "/tmp/evil",
        "HTTPS_PROXY": "http://proxy.example",
        "no_proxy": "localhost",
    }
    assert compose_environment(settings(), inherited) == {
        "PATH": "/usr/bin",
        "HOME": "/root",
        "DOCKER_HOST": "unix:///var/run/docker.sock",
        "HTTPS_PROXY": "http://proxy.example",
        "no_proxy": "localhost",
    }


def test_compose_gets_the_engine_and_the_configuration_that_the_settings_name(
    settings: Settings,
) -> None:
    chosen = settings(
        AGENT_DOCKER_HOST="tcp://127.0.0.1:2375",
        AGENT_DOCKER_CONFIG="/etc/instadeploy/docker",
        AGENT_STATE_DIR="/var/lib/instadeploy",
    )
    environment = compose_environment(chosen, {})
    assert environment.pop("PATH")
    assert environment == {
        "HOME": "/var/lib/instadeploy",
        "DOCKER_HOST": "tcp://127.0.0.1:2375",
        "DOCKER_CONFIG": "/etc/instadeploy/docker",
    }
