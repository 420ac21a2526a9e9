"""Asking a host something that its agent answers: how long that is waited for, and what it found."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from entrypoints.cli.exits import Failed, NotOver
from entrypoints.cli.following import away_since, job_pair
from entrypoints.cli.parsing import seconds_in
from entrypoints.cli.program import Invocation

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient
    from adapters.api_client.documents import Job

USUAL_TIMEOUT_S: Final = 90.0
OFFLINE_TIMEOUT_S: Final = 5.0
"""An agent that only connects again is back by then; for another one, nobody has to sit and wait."""
OFFLINE: Final = "offline"

WithinOption = Annotated[
    str | None,
    typer.Option("--timeout", help="Wait so long, such as 90s; for a host that is offline, too"),
]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer is waited for. `away` says since when the host is offline, where it is."""

    seconds: float
    away: str = ""

    @property
    def first_s(self) -> float:
        """How long the request itself may wait: with nobody there to answer, it comes back at once."""
        return 0.0 if self.away else self.seconds


async def patience_with(it: Invocation, api: ApiClient, host: str, within: str | None) -> Patience:
    """How long this host's answer is waited for. That it is offline is said before anybody waits.

    Raises `InvalidInput` and `ApiFailure`.
    """
    chosen_s = seconds_in(within, "--timeout")
    found = await api.hosts.show(host)
    if found["online"] or found["revoked_at"] is not None:
        return Patience(chosen_s or USUAL_TIMEOUT_S)
    patience = Patience(chosen_s or OFFLINE_TIMEOUT_S, away_since(it, found))
    it.printer.note(f"{patience.away}. Waiting {patience.seconds:g} s for it ...")
    return patience


async def answered(it: Invocation, api: ApiClient, job: Job, patience: Patience) -> dict[str, Any]:
    """What a question's job has found, waited for. Raises `Failed`, `NotOver` and `ApiFailure`."""
    if not job["over"]:
        if not patience.away:
            it.printer.note(f"Waiting for {job_pair(job)[1]} ...")
        try:
            async with (
                asyncio.timeout(patience.seconds),
                aclosing(api.jobs.follow(job["id"])) as feed,
            ):
                async for _ in feed:
                    pass
        except TimeoutError:
            raise _unanswered(job, patience) from None
    if not job["over"] or job.get("result") is None:
        job = await api.jobs.show(job["id"])
    result = job.get("result")
    if job["state"] != "succeeded" or result is None:
        why = job["error"] or (result["error"] if result else "") or job["reason"] or job["state"]
        raise Failed(f"{job_pair(job)[1]}: {why}{_offline(job)}", job["reason"])
    return result["data"]


def _unanswered(job: Job, patience: Patience) -> Failed | NotOver:
    if patience.away:
        error = Failed(f"{patience.away}, and has not answered", OFFLINE)
        error.add_note("--timeout 60s waits longer for it")
        return error
    return NotOver(
        f"{job_pair(job)[1]} has not answered within {patience.seconds:g} s; job {job['id']}"
    )


def _offline(job: Job) -> str:
    return "; its agent is offline" if job["state"] == "expired" and not job["sent_at"] else ""
