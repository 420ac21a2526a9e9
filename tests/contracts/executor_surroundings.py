"""What the contract of a `ComposeExecutor` needs of whoever keeps it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import pytest

from application.ports.compose_executor import ComposeAction, ComposeExecutor, RunningStep
from application.ports.engine_state import EngineState
from domain.project import Project
from domain.records import StepExit
from tests.builders import compose_content

PATIENCE_S = 60.0
"""How long a real engine may take to do what it was told; nothing waits that long in good health."""

BUILD, UP, DOWN = ComposeAction.BUILD, ComposeAction.UP, ComposeAction.DOWN
"""To build a project that has nothing to build changes nothing, and is soon over."""
RESTART, REMOVE = ComposeAction.RESTART, ComposeAction.REMOVE
UNPAUSE = ComposeAction.UNPAUSE

LONG_S = 600.0
FIRST_BYTES, LAST_BYTES = 32, 16
"""What is kept by an executor that keeps little."""

WAITING_CONTENT = (
    compose_content("db")
    + b'    healthcheck: {test: ["CMD", "false"], interval: 1h}\n'
    + compose_content("web").removeprefix(b"services:\n")
    + b"    depends_on: {db: {condition: service_healthy}}\n"
)
"""`up` starts `db`, and then waits for it to become healthy for as long as it is let."""


class ExecutorSurroundings:
    """Give the `executor`, `another_life`, which gives one that knows only what outlives an agent,
    and the `forgetful` one, which keeps `FIRST_BYTES` and `LAST_BYTES` of what is printed.

    `project` and `other_project` give a project the compose file with this content, `state` shows
    what runs, `pause` pauses a project's container of this name by hand, `interrupt` kills what
    carries a step out, at once and wholly, and `pass_time` makes time pass where it does not by
    itself. Whatever is left running is the subclass's to take away.
    """

    @pytest.fixture
    def executor(self) -> ComposeExecutor:
        raise NotImplementedError

    @pytest.fixture
    def forgetful(self) -> ComposeExecutor:
        raise NotImplementedError

    @pytest.fixture
    def another_life(self) -> Callable[[], ComposeExecutor]:
        raise NotImplementedError

    @pytest.fixture
    def state(self) -> EngineState:
        raise NotImplementedError

    @pytest.fixture
    def pause(self) -> Callable[[Project, str], Awaitable[None]]:
        raise NotImplementedError

    @pytest.fixture
    def project(self) -> Callable[[bytes], Project]:
        raise NotImplementedError

    @pytest.fixture
    def other_project(self) -> Callable[[bytes], Project]:
        raise NotImplementedError

    @pytest.fixture
    def interrupt(self) -> Callable[[str], Awaitable[None]]:
        raise NotImplementedError

    @pytest.fixture
    def pass_time(self) -> Callable[[float], Awaitable[None]]:
        raise NotImplementedError


def token() -> str:
    """One that was never used."""
    return secrets.token_hex(16)


async def over(step: RunningStep) -> StepExit:
    """The exit of a step that is not interrupted, and ends soon."""
    async with asyncio.timeout(PATIENCE_S):
        ended = await step.wait()
    assert ended is not None
    return ended


async def everything(step: RunningStep, *, piece: int = 1024) -> bytes:
    """All that a step has printed so far, where nothing was dropped."""
    printed = b""
    while True:
        offset, more = await step.output(len(printed), piece)
        assert offset == len(printed)
        if not more:
            return printed
        printed += more


async def waiting_step(executor: ComposeExecutor, name: str, project: Project) -> RunningStep:
    """An `up` that waits for what does not happen: the project's content is `WAITING_CONTENT`."""
    step = await executor.start(name, UP, project, deadline_s=LONG_S)
    async with asyncio.timeout(PATIENCE_S):
        while b"Waiting" not in (await step.output(0, 10_000))[1]:  # noqa: ASYNC110 - a process prints
            await asyncio.sleep(0.01)
    return step
