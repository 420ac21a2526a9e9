"""Tells a deployment that came up from one that crashes, over several looks at it.

One look does not tell a container that runs from one that is about to exit for the fifth time. So a
container without a health check has to run for a while, and one that the engine starts again and
again is a crash loop, while one that takes long to become healthy is only slow. Pure: whoever looks
says when, by a clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from domain.engine_state import FoundContainer
from domain.project import ProjectName
from domain.verification import (
    ExpectedService,
    Finding,
    Kind,
    Verdict,
    containers_of,
    ended,
    finding,
    verify,
)

SETTLE_S: Final = 2.0
CRASHES: Final = 5
"""The engine waits 0.1 s before it starts a container again, and twice as long each time: a command
that fails at once has failed so often after 3 s, and 8 times after 25 s. Software that is made to
crash until its database answers needs as many as the database takes."""

_MAY_CRASH: Final = frozenset({Kind.RUNNING, Kind.STARTING, Kind.COMPLETING, Kind.RESTARTING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """What is taken for a container that goes on running, and what for a crash loop."""

    settle_s: float = SETTLE_S
    crashes: int = CRASHES


@dataclass(slots=True)
class _Life:
    """What was seen of one container so far."""

    started_at: float | None
    state: str
    count: int | None
    since: float
    """When it was first seen to run as it does now."""
    crashes: int = 0
    ending: str = ""
    """How it ended, when it was last seen to have ended."""

    def see(self, container: FoundContainer, at: float) -> None:
        if container.restart_count is not None and self.count is not None:
            self.crashes += max(0, container.restart_count - self.count)
        elif container.is_restarting and self.state != "restarting":
            self.crashes += 1
        if (container.started_at, container.state) != (self.started_at, self.state):
            self.since = at
        if container.is_restarting:
            self.ending = ended(container)
        self.started_at, self.state = container.started_at, container.state
        self.count = container.restart_count


@dataclass(slots=True)
class HealthWatch:
    """Is fed one look after another, from the moment on that `up` has ended with 0.

    `before` is what ran before `up`: what has not been started again since need not settle.
    """

    name: ProjectName
    expected: Sequence[ExpectedService]
    patience: Patience = Patience()
    before: Sequence[FoundContainer] = ()
    _lives: dict[str, _Life] = field(default_factory=dict, init=False)

    def observe(self, at: float, found: Sequence[FoundContainer]) -> Verdict:
        """Good: all is healthy, or has completed, or has settled. Bad: waiting longer is no use.

        `at` is in seconds, from any moment on. Of what still has to be waited for, and is at fault
        when that takes too long, the findings that wait tell.
        """
        watched = [
            (service, container)
            for service in self.expected
            for container in containers_of(service.name, found)
        ]
        for _, container in watched:
            self._see(container, at)
        by_name = {container.name: container for _, container in watched}
        return Verdict(
            tuple(
                self._seen_over_time(one, by_name[one.container], at) if one.container else one
                for one in verify(self.name, self.expected, found).findings
            )
        )

    def _see(self, container: FoundContainer, at: float) -> None:
        life = self._lives.get(container.id)
        if life is None:
            since = -inf if _is_known(container, self.before) else at
            life = self._lives[container.id] = _Life(
                container.started_at, container.state, container.restart_count, since
            )
        life.see(container, at)

    def _seen_over_time(self, seen: Finding, container: FoundContainer, at: float) -> Finding:
        life = self._lives[container.id]
        if seen.kind not in _MAY_CRASH:
            return seen
        if seen.kind is Kind.RUNNING and at - life.since >= self.patience.settle_s:
            return seen
        if life.crashes >= self.patience.crashes:
            words = f"crashes again and again ({life.crashes} times); it {life.ending or 'exited'}"
            return finding(seen.service, container, Kind.RESTARTING, words)
        if seen.kind is Kind.RUNNING:
            again = f" after {life.crashes} crashes" if life.crashes else ""
            words = f"runs{again}, for less than {self.patience.settle_s:g} s"
            return finding(seen.service, container, Kind.SETTLING, words)
        if seen.kind is Kind.RESTARTING:
            words = f"{ended(container)} and is about to be started again"
            return finding(seen.service, container, Kind.SETTLING, words)
        return seen


def _is_known(container: FoundContainer, before: Iterable[FoundContainer]) -> bool:
    """Whether it runs as it did before, and has not been crashing then."""
    return container.restart_count == 0 and any(
        one.id == container.id and one.started_at == container.started_at is not None
        for one in before
        if one.state == "running"
    )
