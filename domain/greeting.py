"""What an agent says of itself, and of all that it has begun, when a link opens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from domain.ledger import Ledger
from domain.link_messages import Hello, OutputPosition, RunningJob
from domain.proving import Introduction

GENERATIONS_TOLD: Final = 1000
JOBS_TOLD: Final = 1024


def hello(
    who: Introduction,
    ledger: Ledger,
    printed: Callable[[str], OutputPosition | None],
    arriving: Mapping[str, int],
) -> Hello:
    """Of jobs and generations, as many as a message bears: the oldest jobs, the newest generations.

    `arriving` are the generations of commands that are being written down. They may be accepted
    before the first command that is sent on this link is: where the control plane does not know them
    any more, it would give that one a generation that is taken.
    """
    running = [
        RunningJob(job.job_id, job.state, printed(job.job_id))
        for job, _ in zip(ledger.open_jobs(), range(JOBS_TOLD), strict=False)
    ]
    generations = dict(ledger.generations)
    for project, generation in arriving.items():
        generations[project] = max(generation, generations.pop(project, 0))
    return Hello(
        nonce=who.nonce,
        epoch=ledger.epoch,
        peer_epoch=ledger.peer_epoch,
        last_seq_seen=ledger.heard,
        version=who.version,
        architecture=who.architecture,
        hostname=who.hostname,
        capabilities=who.capabilities,
        running=tuple(running),
        generations=dict(list(generations.items())[-GENERATIONS_TOLD:]),
    )
