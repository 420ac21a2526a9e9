"""Deploy, status and stop through the agent, against the same calls by hand, in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.compose_by_hand import ComposeByHand
from benchmarks.control_plane import AgentLink, Answer, control_plane
from benchmarks.figures import Figure, Target, Unit, at_most
from benchmarks.sample import Sample, ratios
from benchmarks.stage import Stage

COMPOSE: Final = """\
services:
  web:
    image: {image}
    command: ["sleep", "3600"]
    init: true
    environment: {{GREETING: hello}}
  worker:
    image: {image}
    command: ["sleep", "3600"]
    init: true
    depends_on: [web]
"""


@dataclass(slots=True)
class _Operation:
    """One thing to do on both sides, and the seconds it took."""

    name: str
    note: str
    target: Target | None
    ask: Callable[[], Awaitable[Answer]]
    call: Callable[[], float]
    asked: list[float] = field(default_factory=list)
    called: list[float] = field(default_factory=list)

    async def measure(self, *, agent_first: bool) -> None:
        """Once on each side. Who begins alternates, so that neither is always the second."""
        if not agent_first:
            self.called.append(self.call())
        self.asked.append((await self.ask()).ended_s)
        if agent_first:
            self.called.append(self.call())

    def forget(self) -> None:
        """The first round warms caches and finds out which Compose this is."""
        self.asked.clear()
        self.called.clear()

    def figures(self) -> list[Figure]:
        agent, by_hand = Sample(tuple(self.asked)), Sample(tuple(self.called))
        ratio = ratios(agent, by_hand)
        return [
            Figure(f"{self.name}: ratio", ratio, Unit.RATIO, self.target, self.note),
            Figure(f"{self.name}: agent", agent, Unit.SECONDS),
            Figure(f"{self.name}: by hand", by_hand, Unit.SECONDS),
        ]


async def measure(stage: Stage) -> Sequence[Figure]:
    """A row of figures for each of fresh deploy, unchanged deploy, status and stop."""
    compose = COMPOSE.format(image=stage.image)
    project = stage.project("agent")
    by_hand = ComposeByHand(
        stage.project("hand"), stage.home / "by-hand", stage.compose_environment()
    )
    by_hand.write(compose)
    try:
        async with control_plane() as plane, stage.connected_agent(plane) as agent:
            operations = _operations(agent.link, project, by_hand, compose)
            await _rounds(operations, stage.effort.rounds)
            await agent.link.stop(project)
    finally:
        by_hand.stop()
        stage.take_down(project)
    return [figure for operation in operations for figure in operation.figures()]


async def _rounds(operations: Sequence[_Operation], count: int) -> None:
    for number in range(count + 1):
        for operation in operations:
            await operation.measure(agent_first=number % 2 == 0)
            if number == 0:
                operation.forget()


def _operations(
    link: AgentLink, project: str, by_hand: ComposeByHand, compose: str
) -> list[_Operation]:
    """In the order that makes each what it is called: the last, stop, makes the next deploy fresh."""
    return [
        _Operation(
            "fresh deploy",
            "against `config --quiet` and `up -d`, after a `down`: a network and two containers; "
            "a Go agent of this protocol takes 1.23-1.38 x",
            at_most(1.05),
            lambda: link.deploy(project, compose),
            by_hand.deploy,
        ),
        _Operation(
            "unchanged deploy",
            "the same calls, nothing to be done; the Go agent takes 1.6-2.0 x",
            at_most(1.15),
            lambda: link.deploy(project, compose),
            by_hand.deploy,
        ),
        _Operation(
            "status",
            "against `ps -a --format json`",
            None,
            lambda: link.status(project),
            by_hand.status,
        ),
        _Operation("stop", "against `down`", None, lambda: link.stop(project), by_hand.stop),
    ]
