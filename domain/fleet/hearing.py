"""What becomes of jobs by what agents say: the rules of `JobStore.record`, for whoever keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from domain.fleet.changes import ended, in_state
from domain.fleet.host import HostId
from domain.fleet.job import FeedEntry, FeedKind, FleetJob, FleetJobState, JobResult, is_over
from domain.fleet.link_state import Heard, LinkState, Recorded
from domain.link_messages import (
    Accept,
    OutputChunk,
    OutputPosition,
    Reject,
    Result,
    SequencedSaid,
)

LONGEST_WORD: Final = 256
FARTHEST_OFFSET: Final = 2**62
LONGEST_STEP: Final = 128
"""No job prints that much, and no step is called that: what is beyond it is not kept."""
MOST_OUTPUT_BYTES: Final = 128 * 1024 * 1024
"""Kept of one job. An agent keeps 4.25 MiB of each attempt at a step: no honest one comes near."""
COST_OF_A_PIECE: Final = 128
"""What a piece counts beside its bytes: many small ones are to cost no more than a few large ones."""
MOST_PLACES: Final = 64
"""Attempts at steps of which one job has output."""
ALL_OUTPUT: Final = ("", 0)
"""No step, and no attempt: what is counted of all of a job's output stands there."""


@dataclass(slots=True)
class TrackedJob:
    """A job, and what is needed to judge what is said of it.

    It `awaits_result` where its agent has told of its end and of nothing else. `printed` is where
    the output of each attempt at each step ends, and under `ALL_OUTPUT` how much is kept of all of it;
    `position` is the place of what was printed last.
    """

    job: FleetJob
    awaits_result: bool = False
    position: OutputPosition | None = None
    printed: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def may_print(self) -> bool:
        """Whether its output is still wanted."""
        return self.awaits_result or not self.job.is_over

    @property
    def is_cut(self) -> bool:
        """Whether it has printed so much that no more is kept."""
        return self.printed.get(ALL_OUTPUT) == FARTHEST_OFFSET

    def has_room(self, place: tuple[str, int], size: int) -> bool:
        """Whether that many bytes can be kept of an attempt at a step."""
        if self.printed.get(ALL_OUTPUT, 0) + size > MOST_OUTPUT_BYTES:
            return False
        others = self.printed.keys() - {ALL_OUTPUT, place}
        return len(others) < MOST_PLACES


@dataclass(slots=True)
class _Outcome:
    """Dictionaries stand for sets that keep an order."""

    changed: dict[str, None] = field(default_factory=dict)
    ended: dict[str, None] = field(default_factory=dict)
    strays: dict[str, None] = field(default_factory=dict)
    forgotten: dict[str, None] = field(default_factory=dict)
    output_seen: dict[str, OutputPosition] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _End:
    """How a job has ended, as its agent says."""

    state: FleetJobState
    reason: str
    result: JobResult
    has_arrived: bool = False


class Hearing:
    """Takes in what was heard, one `Heard` after the other, and changes `jobs` accordingly.

    `jobs` has all that are named in it, by id; one that is missing is unknown. `next_number` gives
    the feed's numbers. What is new is in `entries`, `results`, `touched` and `printed`, for whoever
    keeps it.
    """

    def __init__(self, jobs: Mapping[str, TrackedJob], next_number: Callable[[], int]) -> None:
        self._jobs = jobs
        self._next_number = next_number
        self.entries: list[FeedEntry] = []
        self.results: dict[str, JobResult] = {}
        self.touched: dict[str, None] = {}
        """Ids of jobs of which anything has changed."""
        self.printed: dict[tuple[str, str, int], None] = {}
        """Jobs, steps and attempts whose output ends elsewhere now."""

    def hear(self, link: LinkState, heard: Heard) -> Recorded:
        """Take in what one host has said, whose numbers stand so."""
        outcome = _Outcome()
        for job_id in heard.running:
            tracked = self._job_of(heard.host_id, job_id, outcome)
            if tracked is not None:
                self._becomes(tracked, in_state(tracked.job, _RUNNING, heard.at), heard.at, outcome)
        number = link.heard
        is_whole = True
        for message in heard.messages:
            if isinstance(message, OutputChunk):
                self._print(heard, message, outcome)
            elif message.seq == 0 or (is_whole and message.seq == number + 1):
                number = max(number, message.seq)
                self._take(heard, message, outcome)
            elif message.seq > number:
                is_whole = False
        confirmed = max(link.confirmed, min(heard.confirmed or 0, link.next_seq - 1))
        return Recorded(
            link=LinkState(link.host_id, link.agent_epoch, number, link.next_seq, confirmed),
            changed=tuple(outcome.changed),
            ended=tuple(outcome.ended),
            strays=tuple(outcome.strays),
            forgotten=tuple(outcome.forgotten),
            output_seen=outcome.output_seen,
        )

    def _take(self, heard: Heard, message: SequencedSaid, outcome: _Outcome) -> None:
        tracked = self._job_of(heard.host_id, message.job_id, outcome)
        if tracked is None:
            if message.seq and message.job_id not in self._jobs:
                outcome.forgotten[message.job_id] = None
            return
        match message:
            case Accept():
                self._accept(tracked, message, heard.at, outcome)
            case Reject():
                end = _End(_FAILED, message.reason, JobResult("", message.error, message.data))
                self._end(tracked, end, heard.at, outcome)
            case Result():
                result = JobResult(message.logs, message.error, message.data, message.output)
                reason = _word(message.data, "reason")
                end = _End(FleetJobState.of(message.state), reason, result, has_arrived=True)
                self._end(tracked, end, heard.at, outcome)
            case _:
                assert_never(message)

    def _accept(self, tracked: TrackedJob, message: Accept, at: float, outcome: _Outcome) -> None:
        state = FleetJobState.of(message.state)
        if not is_over(state):
            self._becomes(tracked, in_state(tracked.job, state, at), at, outcome)
        elif self._becomes(tracked, ended(tracked.job, state, at, has_arrived=True), at, outcome):
            tracked.awaits_result = True

    def _end(self, tracked: TrackedJob, end: _End, at: float, outcome: _Outcome) -> None:
        job, error = tracked.job, end.result.error
        by = _word(end.result.data, "superseded_by") if end.state is _SUPERSEDED else ""
        if tracked.awaits_result and job.state is end.state:
            reason = end.reason or job.reason
            tracked.job = replace(job, reason=reason, error=error, superseded_by=by)
            self._touch(tracked, outcome)
        elif not job.is_over:
            job = ended(
                job,
                end.state,
                at,
                reason=end.reason,
                error=error,
                superseded_by=by,
                has_arrived=end.has_arrived,
            )
            self._becomes(tracked, job, at, outcome)
        else:
            return
        tracked.awaits_result = False
        self.results[job.id] = end.result

    def _print(self, heard: Heard, message: OutputChunk, outcome: _Outcome) -> None:
        tracked = self._job_of(heard.host_id, message.job_id, outcome)
        if tracked is None:
            return
        place = message.position
        end = place.offset + len(message.chunk)
        seen = replace(place, offset=end)
        if not tracked.may_print or tracked.is_cut or _is_beyond(seen):
            outcome.output_seen[message.job_id] = seen
            return
        self._becomes(tracked, in_state(tracked.job, _RUNNING, heard.at), heard.at, outcome)
        had = tracked.printed.get((place.step, place.attempt))
        if had is None or end > had:
            self._touch(tracked, outcome)
            if not self._keep(tracked, message, max(place.offset, had or 0), heard.at):
                outcome.output_seen[message.job_id] = seen
                return
            tracked.position = seen
        assert tracked.position is not None
        outcome.output_seen[message.job_id] = tracked.position

    def _keep(self, tracked: TrackedJob, message: OutputChunk, begin: int, at: float) -> bool:
        """Keep a piece from `begin` on, or cut the job's output here."""
        place = message.position
        key = (place.step, place.attempt)
        content = message.chunk[begin - place.offset :]
        size = len(content) + COST_OF_A_PIECE if content else 0
        has_room = tracked.has_room(key, size)
        if has_room:
            self._ends_at(tracked, key, place.offset + len(message.chunk))
            self._ends_at(tracked, ALL_OUTPUT, tracked.printed.get(ALL_OUTPUT, 0) + size)
        else:
            self._ends_at(tracked, ALL_OUTPUT, FARTHEST_OFFSET)
        if content or not has_room:
            kind, content = (FeedKind.OUTPUT, content) if has_room else (FeedKind.CUT, b"")
            number = self._next_number()
            entry = FeedEntry(number, tracked.job.id, at, kind, None, *key, begin, content)
            self.entries.append(entry)
        return has_room

    def _ends_at(self, tracked: TrackedJob, place: tuple[str, int], end: int) -> None:
        tracked.printed[place] = end
        self.printed[tracked.job.id, *place] = None

    def _becomes(self, tracked: TrackedJob, job: FleetJob, at: float, outcome: _Outcome) -> bool:
        """Note what it is now; returns whether it is in another state."""
        before, tracked.job = tracked.job, job
        if job is before:
            return False
        self._touch(tracked, outcome)
        if job.state is before.state:
            return False
        if job.is_over:
            outcome.ended[job.id] = None
        self.entries.append(state_entry(job, self._next_number(), at))
        return True

    def _touch(self, tracked: TrackedJob, outcome: _Outcome) -> None:
        self.touched[tracked.job.id] = None
        outcome.changed[tracked.job.id] = None

    def _job_of(self, host_id: HostId, job_id: str, outcome: _Outcome) -> TrackedJob | None:
        tracked = self._jobs.get(job_id)
        if tracked is None or tracked.job.host_id != host_id:
            outcome.strays[job_id] = None
            return None
        return tracked


def state_entry(job: FleetJob, number: int, at: float) -> FeedEntry:
    """What stands in the feed of a job that is now in another state."""
    return FeedEntry(number, job.id, at, FeedKind.STATE, job.state)


_RUNNING: Final = FleetJobState.RUNNING
_FAILED: Final = FleetJobState.FAILED
_SUPERSEDED: Final = FleetJobState.SUPERSEDED


def _word(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) and len(value) <= LONGEST_WORD else ""


def _is_beyond(end: OutputPosition) -> bool:
    """Whether no job can have printed up to there."""
    return end.offset > FARTHEST_OFFSET or len(end.step) > LONGEST_STEP or end.attempt < 1
