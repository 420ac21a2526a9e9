"""The reference control plane's view of its jobs, as `checking` takes it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from tests.fleet.checking import PlaneJob
from tests.support.peer_database import PeerDatabase


def jobs_of(database: PeerDatabase, host_id: str = "") -> Iterator[PlaneJob]:
    """All jobs; the reference has one agent, whatever it is called."""
    for job in database.jobs.values():
        final = job.finals[-1] if job.finals else {}
        reason = str(final.get("data", {}).get("reason", ""))
        if job.state == "rejected":
            reason = str(job.rejects[-1]["reason"])
        output = {
            step: (sum(len(piece) for _, piece in one.pieces), _sha256(one.pieces))
            for (step, _), one in job.outputs.items()
        }
        yield PlaneJob(
            job.job_id,
            host_id,
            str((job.command or {}).get("type", "")),
            {"issued": "queued", "rejected": "failed"}.get(job.state, job.state),
            reason,
            output=output,
        )


def _sha256(pieces: list[tuple[int, bytes]]) -> str:
    return hashlib.sha256(b"".join(piece for _, piece in pieces)).hexdigest()
