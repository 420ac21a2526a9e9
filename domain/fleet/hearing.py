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


@dataclass(slots=True)
class TrackedJob:
    """A job, and what is needed to judge what is said of it.

    It `awaits_result` where its agent has told of its end and of nothing else. `printed` is where
    the output of each attempt at each step ends, `position` the place of what was printed last.
    """

    job: FleetJob
    awaits_result: bool = False
    position: OutputPosition | None = None
    printed: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def may_print(self) -> bool:
        """Whether its output is still wanted."""
        return self.awaits_result or not self.job.is_over


@dataclass(slots=True)
class _Outcome:
    """Dictionaries stand for sets that keep an order."""

    changed: dict[str, None] = field(default_factory=dict)
    ended: dict[str, None] = field(default_factory=dict)
    strays: dict[str, None] = field(default_factory=dict)
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
            output_seen=outcome.output_seen,
        )

    def _take(self, heard: Heard, message: SequencedSaid, outcome: _Outcome) -> None:
        tracked = self._job_of(heard.host_id, message.job_id, outcome)
        if tracked is None:
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
        key = (place.step, place.attempt)
        is_beyond = end > FARTHEST_OFFSET or len(place.step) > LONGEST_STEP
        if is_beyond or not tracked.may_print:
            outcome.output_seen[message.job_id] = replace(place, offset=end)
            return
        self._becomes(tracked, in_state(tracked.job, _RUNNING, heard.at), heard.at, outcome)
        had = tracked.printed.get(key)
        if had is None or end > had:
            begin = max(place.offset, had or 0)
            content = message.chunk[begin - place.offset :]
            tracked.printed[key] = end
            self.printed[message.job_id, place.step, place.attempt] = None
            tracked.position = replace(place, offset=end)
            self._touch(tracked, outcome)
            if content:
                self.entries.append(_output_of(message, self._next_number(), heard.at, begin))
        assert tracked.position is not None
        outcome.output_seen[message.job_id] = tracked.position

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


def _output_of(message: OutputChunk, number: int, at: float, begin: int) -> FeedEntry:
    place = message.position
    return FeedEntry(
        number,
        message.job_id,
        at,
        FeedKind.OUTPUT,
        step=place.step,
        attempt=place.attempt,
        offset=begin,
        content=message.chunk[begin - place.offset :],
    )
