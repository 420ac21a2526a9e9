"""The agent's durable messages on one link: which is next, and whether the peer has room for it."""

from __future__ import annotations

from collections import deque
from typing import Final

from domain.job import JobState
from domain.ledger import Ledger
from domain.ledger_jobs import Attempt, LedgerJob
from domain.link_messages import Accept, Reject, Result, SequencedSaid, StepOutput
from domain.records import NoticeKept, NoticeKind

WINDOW_MESSAGES: Final = 256
WINDOW_BYTES: Final = 1024 * 1024
_SMALL_BYTES: Final = 256
_ENVELOPE_BYTES: Final = 1024


class SendWindow:
    """Sends the ledger's notices in order; they leave the ledger when the peer has them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._in_flight: deque[tuple[int, int, float]] = deque()
        self._in_flight_bytes = 0
        self.sent = 0
        """The number after which it is gone on: the last one sent, or known to be there."""
        self.reached = 0
        """The highest number that was ever sent on this link, or known to be there."""
        self.confirmed = 0
        """The highest number that the peer has said on this link that it has."""

    @property
    def waiting_since(self) -> float | None:
        """When the oldest message was sent that the peer has not acknowledged."""
        return self._in_flight[0][2] if self._in_flight else None

    @property
    def result_due(self) -> str | None:
        """The job whose result is the next message, where it is a result."""
        notice = self._ledger.notices.get(self.sent + 1)
        return None if notice is None or notice.kind is not NoticeKind.RESULT else notice.job_id

    def resume(self, peer_has: int) -> None:
        """The peer has everything up to this number."""
        self.sent = self.confirmed = self.reached = peer_has

    def next(self, ack: int, now: float) -> SequencedSaid | None:
        """The next message, which then counts as sent; None where there is none, or no room."""
        notice = self._ledger.notices.get(self.sent + 1)
        if notice is None:
            return None
        message, size = self._message_of(notice, ack)
        has_room = (
            len(self._in_flight) < WINDOW_MESSAGES and self._in_flight_bytes + size <= WINDOW_BYTES
        )
        if self._in_flight and not has_room:
            return None
        self.sent = notice.seq
        self.reached = max(self.reached, self.sent)
        self._in_flight.append((notice.seq, size, now))
        self._in_flight_bytes += size
        return message

    def confirm(self, seq: int) -> None:
        """The peer has everything up to this number."""
        self.confirmed = max(self.confirmed, seq)
        # What came on an earlier link may be confirmed before it is sent on this one.
        self.sent = max(self.sent, seq)
        self.reached = max(self.reached, self.sent)
        while self._in_flight and self._in_flight[0][0] <= seq:
            self._in_flight_bytes -= self._in_flight.popleft()[1]

    def send_again_from(self, seq: int) -> None:
        """The peer misses this one."""
        self.sent = seq - 1
        while self._in_flight and self._in_flight[-1][0] >= seq:
            self._in_flight_bytes -= self._in_flight.pop()[1]

    def _message_of(self, notice: NoticeKept, ack: int) -> tuple[SequencedSaid, int]:
        seq, job_id = notice.seq, notice.job_id
        job = self._ledger.jobs.get(job_id)
        match notice.kind:
            case NoticeKind.REJECT:
                reject = Reject(seq, job_id, notice.reason, notice.error, notice.data, ack)
                return reject, _ENVELOPE_BYTES
            case NoticeKind.ACCEPT | NoticeKind.REPEAT:
                is_repeat = notice.kind is NoticeKind.REPEAT
                return Accept(seq, job_id, _state_in(notice, job), is_repeat, ack), _SMALL_BYTES
            case NoticeKind.RESULT:
                assert job is not None
                assert job.finished is not None
                return _result(seq, job, ack), len(job.finished.logs) + _ENVELOPE_BYTES


def _state_in(notice: NoticeKept, job: LedgerJob | None) -> JobState:
    return notice.state or (JobState.ACCEPTED if job is None else job.state)


def _result(seq: int, job: LedgerJob, ack: int) -> Result:
    assert job.finished is not None
    finished = job.finished
    output = tuple(_output_of(attempt) for attempt in job.attempts)
    return Result(
        seq,
        job.job_id,
        finished.state,
        finished.logs,
        finished.error,
        finished.data,
        output,
        ack,
    )


def _output_of(attempt: Attempt) -> StepOutput:
    ended = attempt.exit
    if ended is None or not ended.output_sha256:
        # Killed before it could record what it had printed, though perhaps by us.
        return StepOutput(attempt.step, attempt.number, None, 0, "", truncated=True)
    return StepOutput(
        step=attempt.step,
        attempt=attempt.number,
        exit_code=ended.exit_code,
        length=ended.output_bytes,
        sha256=ended.output_sha256,
        truncated=ended.is_truncated,
    )
