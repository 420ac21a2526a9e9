"""What a simulated agent keeps, whatever becomes of its links and its process. Pure.

It is changed by methods and can be written as JSON at any moment: what is in it counts as durable.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tests.fleet.plane_frames import CHANGING, Message

OVER: Final = frozenset({"succeeded", "failed", "canceled", "expired", "superseded"})


def new_epoch() -> str:
    """A text that no journal had before."""
    return secrets.token_hex(8)


@dataclass(slots=True)
class KeptJob:
    """A job that was accepted. Of one that changes something the id is kept for ever."""

    job_id: str
    kind: str
    project: str
    """Compose's name of it; empty for a command that is about none."""
    digest: str
    state: str = "accepted"
    is_plain: bool = False
    """Whether its command came over v1."""
    was_begun: bool = False
    is_cancel_requested: bool = False
    printed: int = 0
    """How many bytes its step has printed so far."""
    result: Message | None = None
    """The final response without `seq` and `ack`."""
    result_seq: int = 0
    is_delivered: bool = False

    @property
    def changes(self) -> bool:
        return self.kind in CHANGING

    @property
    def is_over(self) -> bool:
        return self.state in OVER


@dataclass(slots=True)
class Memory:
    """`notices` are durable messages that the control plane has not acknowledged, by number, ascending."""

    epoch: str = field(default_factory=new_epoch)
    peer_epoch: str = ""
    heard: int = 0
    confirmed: int = 0
    prune_below: int = 0
    next_seq: int = 1
    notices: dict[int, Message] = field(default_factory=dict)
    jobs: dict[str, KeptJob] = field(default_factory=dict)
    """In the order in which they were accepted."""
    ended: dict[str, None] = field(default_factory=dict)
    """The ids of jobs whose results are kept, in the order in which they ended."""
    generations: dict[str, int] = field(default_factory=dict)
    enrolment_token: str = ""
    """To become a host with; of no use once `host_id` is there."""
    bearer_token: str = ""
    secret_key: str = ""
    """In hexadecimal; empty for an agent that proves itself by its bearer token."""
    host_id: str = ""
    pinned_key: str = ""

    @property
    def has_key(self) -> bool:
        return self.secret_key != ""

    # Numbers.

    def begin_epoch(self, epoch: str = "") -> None:
        """Count from 1 again, as somebody who does not know any more where it was."""
        self.epoch, self.peer_epoch = epoch or new_epoch(), ""
        self._renumber([one for one in self.ended if not self.jobs[one].is_delivered])

    def meet(self, peer_epoch: str) -> None:
        """Count from 1 again, as the control plane is another one, or has forgotten."""
        self.peer_epoch = peer_epoch
        self._renumber(list(self.ended))

    def _renumber(self, results: Iterable[str]) -> None:
        self.heard = self.confirmed = self.prune_below = 0
        self.next_seq = 1
        self.notices = {}
        for job in self.jobs.values():
            job.result_seq = 0
        for job_id in results:
            self.tell_result(self.jobs[job_id])

    def tell(self, message: Message) -> int:
        """Make it the next durable message; returns its number."""
        seq = self.next_seq
        self.next_seq += 1
        self.notices[seq] = message | {"seq": seq}
        return seq

    def tell_result(self, job: KeptJob) -> None:
        """Report a job's end, perhaps once more."""
        assert job.result is not None
        job.result_seq = self.tell(job.result)

    def confirm(self, ack: int, prune_below: int = 0) -> None:
        """The control plane has our messages up to `ack`, and needs no result below the other."""
        self.confirmed = max(self.confirmed, ack)
        self.prune_below = max(self.prune_below, prune_below)
        while self.notices and (seq := next(iter(self.notices))) <= self.confirmed:
            notice = self.notices.pop(seq)
            if "final" in notice:
                self.delivered(notice["job_id"])
        if prune_below:
            for job_id in [one for one in self.ended if self._is_prunable(self.jobs[one])]:
                del self.ended[job_id]
                self.jobs[job_id].result = None

    def delivered(self, job_id: str) -> None:
        """A result has arrived. A command that changes nothing is done with, and its id free."""
        job = self.jobs.get(job_id)
        if job is None:
            return
        self.notices.pop(job.result_seq, None)
        job.is_delivered = True
        if not job.changes:
            self.forget(job_id)

    def forget(self, job_id: str) -> None:
        """Know nothing of a job any more that is over; its id is free."""
        job = self.jobs.pop(job_id, None)
        self.ended.pop(job_id, None)
        if job is not None:
            self.notices.pop(job.result_seq, None)

    def _is_prunable(self, job: KeptJob) -> bool:
        return job.is_delivered and 0 < job.result_seq < self.prune_below

    # Jobs.

    def open_jobs(self) -> Iterator[KeptJob]:
        """Those that are not over, in the order in which they were accepted."""
        return (job for job in self.jobs.values() if not job.is_over)

    def undelivered(self) -> list[KeptJob]:
        """Those that are over and nobody has confirmed that, in the order in which they ended."""
        jobs = (self.jobs[job_id] for job_id in self.ended)
        return [job for job in jobs if not job.is_delivered]

    def reach(self, project: str, generation: int) -> None:
        self.generations[project] = max(generation, self.generations.get(project, 0))

    def end(self, job: KeptJob, result: Message) -> None:
        """Write a job's end down, and that it is to be told."""
        job.state, job.result = result["state"], result
        self.ended[job.job_id] = None
        self.tell_result(job)

    # On a disk.

    def to_json(self) -> str:
        """All of it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Memory:
        """What `to_json` has written."""
        fields: dict[str, Any] = json.loads(text)
        fields["notices"] = {int(seq): one for seq, one in fields["notices"].items()}
        fields["jobs"] = {one["job_id"]: KeptJob(**one) for one in fields["jobs"].values()}
        return cls(**fields)


def digest_of(kind: str, payload: Message) -> str:
    """What tells two commands apart that have one id: all but what may be newer in the same one."""
    same = {n: v for n, v in payload.items() if n not in ("registry_auth", "deadline_s")}
    text = json.dumps([kind, same], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
