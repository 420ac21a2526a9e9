"""How much of the jobs' output may be sent on a link, and from where on."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Final

from domain.link_messages import OutputChunk, OutputPosition

OUTPUT_WINDOW_BYTES: Final = 256 * 1024
"""How much of a job's output is sent beyond what the peer says it has."""

_Ends = dict[tuple[str, int], int]
"""Of one job: how much of what each attempt at a step has printed."""


class OutputFlow:
    """One piece waits to be sent at a time: what is read ahead of the link would only be held."""

    def __init__(self) -> None:
        self._waiting: deque[OutputChunk] = deque()
        self._seen: defaultdict[str, _Ends] = defaultdict(dict)
        self._sent: defaultdict[str, _Ends] = defaultdict(dict)

    def note_seen(self, positions: Mapping[str, OutputPosition]) -> None:
        """The peer has these jobs' output up to there.

        It names one place of a job at a time. What it has said of another stays true: an agent that
        has started again speaks of the stages before a step of which the peer has the beginning.
        """
        for job_id, where in positions.items():
            self._seen[job_id][where.step, where.attempt] = where.offset

    def wanted(
        self, job_id: str, step: str, attempt: int, *, is_over: bool = False
    ) -> tuple[int, int]:
        """From which byte on, and how many bytes of it, a step's output can be sent now.

        What is left of a step that is over is sent whether the peer says that it reads or not: the
        job's result comes behind it.
        """
        seen = _end_at(self._seen, job_id, (step, attempt))
        sent = max(seen, _end_at(self._sent, job_id, (step, attempt)))
        window = OUTPUT_WINDOW_BYTES if is_over else OUTPUT_WINDOW_BYTES - (sent - seen)
        room = 0 if self._waiting else window
        return sent, max(0, room)

    def offer(self, chunk: OutputChunk) -> None:
        """Take a piece that was wanted."""
        where = chunk.position
        self._sent[chunk.job_id][where.step, where.attempt] = where.offset + len(chunk.chunk)
        self._waiting.append(chunk)

    def next(self) -> OutputChunk | None:
        """The piece to send."""
        return self._waiting.popleft() if self._waiting else None

    def forget(self, job_id: str) -> None:
        """Nothing more will be sent of this job's output."""
        self._seen.pop(job_id, None)
        self._sent.pop(job_id, None)


def _end_at(ends: Mapping[str, _Ends], job_id: str, place: tuple[str, int]) -> int:
    return ends.get(job_id, {}).get(place, 0)
