"""What a job has come to, stage by stage: for its live output, and for its result."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from application.agent.live_output import LiveOutput, SpokenOutput
from application.ports.clock import Clock
from domain.errors import Canceled

MAX_SPOKEN_BYTES: Final = 64 * 1024
"""What one stage may say; a sentence more, and it says nothing more."""


class StageState(StrEnum):
    """How a stage went."""

    OK = "ok"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(slots=True)
class Stage:
    """One of a job's stages. It has failed where somebody says so, or where it raises."""

    name: str
    state: StageState = StageState.OK
    seconds: float = 0.0
    spoken: SpokenOutput | None = None

    def fail(self) -> None:
        """It did not succeed."""
        self.state = StageState.FAILED

    def say(self, sentence: str) -> None:
        """Have a line in the live output."""
        assert self.spoken is not None, "what Compose does speaks for itself"
        if len(self.spoken.content) < MAX_SPOKEN_BYTES:
            self.spoken.content += f"{sentence}\n".encode()


class Stages:
    """The stages of one job, in the order in which they began."""

    def __init__(
        self,
        job_id: str,
        clock: Clock,
        live: LiveOutput,
        *,
        prefix: str = "",
        first_attempt: int = 1,
    ) -> None:
        self._job_id = job_id
        self._clock = clock
        self._live = live
        self._prefix = prefix
        self._first_attempt = first_attempt
        self._stages: list[Stage] = []

    def within(self, prefix: str) -> Stages:
        """The same stages; those that begin here say what they are a part of."""
        stages = Stages(
            self._job_id,
            self._clock,
            self._live,
            prefix=f"{prefix}: ",
            first_attempt=self._first_attempt,
        )
        stages._stages = self._stages
        return stages

    @contextlib.contextmanager
    def speaking(self, name: str) -> Iterator[Stage]:
        """A stage of the agent's own, whose sentences become live output under its name."""
        full_name = f"{self._prefix}{name}"
        spoken = SpokenOutput()
        self._live.add_spoken(self._job_id, full_name, spoken, self._first_attempt)
        try:
            with self.running(full_name) as stage:
                stage.spoken = spoken
                yield stage
        finally:
            spoken.is_over = True

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[Stage]:
        """A stage that prints by itself, or not at all."""
        stage = Stage(name)
        self._stages.append(stage)
        begun = self._clock.monotonic()
        try:
            yield stage
        except (Canceled, asyncio.CancelledError):
            stage.state = StageState.CANCELED
            raise
        except BaseException:
            stage.state = StageState.FAILED
            raise
        finally:
            # One that was over before this life of the agent knows better how long it took.
            stage.seconds = max(stage.seconds, self._clock.monotonic() - begun)

    def data(self) -> dict[str, object]:
        """The part of a result's `data` that tells of them."""
        return {"steps": self.report()}

    def report(self) -> list[dict[str, object]]:
        """`data.steps` of a result: name, state and duration of each."""
        return [
            {"step": stage.name, "state": stage.state.value, "seconds": round(stage.seconds, 3)}
            for stage in self._stages
        ]
