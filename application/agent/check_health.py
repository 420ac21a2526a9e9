"""HEALTH_CHECK: the agent works when it can say so; engine and Compose are reported beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from application.agent.credential import Credential
from application.agent.finding import CachedFinding
from application.agent.handling import Completed, Deadlines, Outcome
from application.agent.job_book import JobBook
from application.agent.steps import VERSION
from application.ports.clock import Clock
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine import Engine
from application.ports.host import Host
from domain.commands import CheckHealth
from domain.policy import Policy

ENGINE_FRESH_S: Final = 5.0
COMPOSE_FRESH_S: Final = 60.0


class CheckHealthHandler:
    """Answers from what it found a moment ago; `checked_at` says when that was."""

    def __init__(
        self,
        *,
        host: Host,
        engine: Engine,
        runtime: ComposeRuntime,
        book: JobBook,
        policy: Policy,
        credential: Credential,
        clock: Clock,
        deadlines: Deadlines,
    ) -> None:
        async def ask_engine() -> Mapping[str, object]:
            info = await engine.info()
            return {"version": info.version, "api_version": info.api_version}

        async def ask_compose() -> Mapping[str, object]:
            return {"version": await runtime.version()}

        self._host = host
        self._book = book
        self._policy = policy
        self._credential = credential
        self._clock = clock
        self._started = clock.monotonic()
        self._engine = CachedFinding(
            "asking Docker Engine",
            works="reachable",
            ask=ask_engine,
            clock=clock,
            fresh_s=ENGINE_FRESH_S,
            deadline_s=deadlines.health_s,
        )
        self._compose = CachedFinding(
            VERSION,
            works="available",
            ask=ask_compose,
            clock=clock,
            fresh_s=COMPOSE_FRESH_S,
            deadline_s=deadlines.health_s,
        )

    async def __call__(self, _command: CheckHealth, /) -> Outcome:
        """Report. Completed while the agent works, whatever the engine does."""
        async with asyncio.TaskGroup() as asking:
            engine_answer = asking.create_task(self._engine.get(), name="ask-engine")
            compose_answer = asking.create_task(self._compose.get(), name="ask-compose")
        engine, compose = engine_answer.result(), compose_answer.result()
        facts = self._host.facts()
        logs = ["Agent is healthy and operational"]
        if not engine["reachable"]:
            logs.append(str(engine["detail"]))
        if not compose["available"]:
            logs.append(str(compose["detail"]))
        if damage := self._book.damage:
            logs.append(f"The journal was damaged: {damage}")
        logs += self._policy.warnings()
        return Completed(
            "\n".join(logs),
            {
                "version": facts.agent_version,
                "architecture": facts.architecture,
                "hostname": facts.hostname,
                "uptime_s": round(self._clock.monotonic() - self._started, 3),
                "host_uptime_s": self._host.uptime_s(),
                "engine": engine,
                "compose": compose,
                "identity": dict(self._credential.facts()),
                "policy": {
                    "name": self._policy.name,
                    "digest": self._policy.digest,
                    "warnings": list(self._policy.warnings()),
                },
                "journal": {
                    "intact": not damage,
                    **({"detail": damage} if damage else {}),
                    "open_jobs": sum(job.changes for job in self._book.ledger.open_jobs()),
                },
            },
        )
