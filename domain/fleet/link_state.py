"""Where the sequence numbers between the control plane and one host stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.fleet.host import HostId
from domain.fleet.job import FleetJob
from domain.link_messages import OutputChunk, OutputPosition, SequencedSaid


@dataclass(frozen=True, slots=True)
class LinkState:
    """Of one host, durable. docs/protocol-v2.md says what the numbers mean.

    `heard` counts within the agent's `agent_epoch`, empty where none has been met; `next_seq` and
    `confirmed` count our own messages, within the database's epoch.
    """

    host_id: HostId
    agent_epoch: str = ""
    heard: int = 0
    next_seq: int = 1
    confirmed: int = 0


class OutgoingKind(StrEnum):
    """What is sent under a number."""

    COMMAND = "command"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A numbered message to an agent that it has not acknowledged; its payload is read when it is sent.

    The rest is of commands. `payload_context` is the id that the payload was sealed for: jobs of one
    deployment share it. `is_wanted` says that the job was not over yet. `expires_at` is None, too, once
    an agent has said that it has the job.
    """

    seq: int
    kind: OutgoingKind
    job_id: str
    generation: int | None = None
    deadline_s: float | None = None
    command: str = ""
    payload_context: str = ""
    is_wanted: bool = True
    expires_at: float | None = None

    @classmethod
    def command_of(cls, job: FleetJob, seq: int) -> Outgoing:
        """The job's command, under this number."""
        return cls(
            seq,
            OutgoingKind.COMMAND,
            job.id,
            job.generation,
            job.deadline_s,
            job.kind,
            job.payload_context,
            not job.is_over,
            job.expires_at if job.accepted_at is None else None,
        )


@dataclass(frozen=True, slots=True)
class Numbered:
    """What was given numbers, in order; where `is_all` is False, there is more that has none."""

    said: tuple[Outgoing, ...] = ()
    is_all: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """Where things stand with a host that connects.

    `output_seen` is up to where the output of its jobs that may still print is durable here. `is_owed`
    says that something waits for it: a job that has no number, or what it has not acknowledged.
    """

    link: LinkState
    output_seen: Mapping[str, OutputPosition] = field(default_factory=dict)
    is_owed: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What came from one host on one link, in order, to be written down at once; `at` is when.

    `messages` are of v2 as they came, each durable one being the next after the last; over v1, which
    has no numbers, they have the `seq` 0. `running` are jobs of which it is known that they run.
    `confirmed` is the agent's highest `ack`, None where it has said nothing new.
    """

    host_id: HostId
    at: float
    messages: tuple[SequencedSaid | OutputChunk, ...] = ()
    running: tuple[str, ...] = ()
    confirmed: int | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a `Heard`: jobs that changed, or have printed, and what was not for this host.

    Those that `ended` are among those that `changed`, each once, in the order in which that was
    heard. `strays` are ids of jobs that are no job of this host, whose messages changed nothing.
    `forgotten` are those of them that no host has, as a message told that was the next one: after a
    backup was restored, agents report what it does not know. That is as it should be, and can happen
    once with each number.
    """

    link: LinkState
    changed: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    output_seen: Mapping[str, OutputPosition] = field(default_factory=dict)
    """Up to where the output of the jobs that have printed is durable here."""
