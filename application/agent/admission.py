"""Takes messages in, in the order they came.

What changes something is durable before its sender is told that it was received, and before anything
is done about it; an id that was seen before, a moment or a year ago, starts nothing. The disk writes
many at once, but what follows from a message never comes before what follows from an earlier one, and
messages about one job, or generations of one project, are decided one after another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from application.agent.dispatch import Dispatcher
from application.agent.job_book import JobBook
from application.agent.outbox import Outbox
from application.agent.turns import Follow, Turn, Turns, nothing
from application.ports.clock import Clock
from application.ports.private_parts import PrivateParts
from domain.commands import (
    CHANGING_COMMANDS,
    COMMAND_NAMES,
    Command,
    digest_of,
    is_private,
    project_of,
    weight_of,
    without_private,
)
from domain.errors import (
    Conflict,
    Draining,
    Forbidden,
    InstaDeployError,
    StaleGeneration,
    StorageUnavailable,
)
from domain.events import JobReceived, details_of, final_event_of, refusal_of, result_of_tombstone
from domain.job import Job, JobState
from domain.link_messages import CancelMessage, CommandMessage, SequencedHeard
from domain.messages import MalformedMessage, Message, RefusedRequest, Request
from domain.policy import Policy, judge_command
from domain.records import CancelRequested, JobAccepted, JobRejected, JobRepeated, job_of


@dataclass(frozen=True, slots=True)
class _Known:
    """A job whose id was seen before."""

    digest: str
    state: JobState


class Admission:
    """Lets jobs in, each once."""

    def __init__(
        self,
        *,
        book: JobBook,
        dispatcher: Dispatcher,
        outbox: Outbox,
        clock: Clock,
        private: PrivateParts,
        policy: Policy,
    ) -> None:
        self._book = book
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._clock = clock
        self._private = private
        self._policy = policy
        self.arriving: set[int] = set()
        """The sequence numbers of messages that were taken in and are not durable yet."""
        self._generations: dict[int, tuple[str, int]] = {}
        """What of them has one: its project and its generation."""
        self._turns = Turns()
        self._is_closed = False

    async def run(self, started: asyncio.Event) -> None:
        """Own the tasks that write until cancelled. Raises `JournalFailed` where that happens."""
        await self._turns.run(started)

    def close(self) -> None:
        """Take nothing more in: refuse what comes over v1, and leave what comes over v2 unheard."""
        self._is_closed = True

    async def room(self) -> None:
        """Wait until few enough messages wait for the disk for another one to be taken in."""
        await self._turns.room()

    async def settled(self) -> None:
        """Wait until nothing is being written down."""
        await self._turns.settled()

    def submit(self, message: Message) -> None:
        """Take one message of v1 in. Never waits: what cannot be taken is answered with a failure."""
        match message:
            case Request() if isinstance(message.command, CHANGING_COMMANDS):
                link = self._outbox.link_number
                self._turns.decide(
                    self._turn(message.job_id.value, message.command),
                    lambda: self._submit_change(message, link),
                )
            case Request():
                self._turns.settle(self._turn(), self._submit_read(message))
            case RefusedRequest():
                self._turns.settle(self._turn(), self._refuse(message.job_id, message.error))
            case MalformedMessage():
                refusal = refusal_of(message.job_id, message.error)
                self._turns.settle(self._turn(), lambda: self._outbox.put(refusal))
            case _:
                assert_never(message)

    def deliver(self, message: SequencedHeard) -> None:
        """Take one durable message of v2 in, which is in `arriving` until it is durable here too."""
        if self._is_closed:
            return
        if isinstance(message, CancelMessage):
            self._turns.decide(self._turn(message.job_id), lambda: self._cancel(message))
            return
        self._note_generation(message)
        turn = self._turn(message.job_id, message.command, in_order=message.generation is not None)
        self._turns.decide(turn, lambda: self._deliver_command(message))

    def arriving_generations(self) -> Mapping[str, int]:
        """The highest ones of what is not durable yet, by Compose's project name."""
        highest: dict[str, int] = {}
        for project, generation in self._generations.values():
            highest[project] = max(generation, highest.get(project, 0))
        return highest

    # Protocol v1.

    def _submit_read(self, request: Request) -> Follow:
        job_id, command = request.job_id.value, request.command
        try:
            self._check_open()
            self._check_allowed(command)
            self._dispatcher.room.check(command)
        except InstaDeployError as exc:
            return self._refuse(job_id, exc)
        self._dispatcher.room.take(command)
        return self._receive(job_id, lambda: self._dispatcher.open(Job(request.job_id, command)))

    async def _submit_change(self, request: Request, link: int) -> Follow:
        job_id, command = request.job_id.value, request.command
        digest = digest_of(command)
        try:
            self._check_open()
            known = self._known(job_id)
            if known is not None:
                _check_same(job_id, digest, known)
                return self._receive(job_id, self._result_again(job_id, known), link)
            accepted = JobAccepted(
                job_id,
                command,
                digest,
                self._clock.since_boot(),
                deadline_s=request.deadline_s,
            )
            return self._receive(job_id, await self._accept(accepted), link)
        except InstaDeployError as exc:
            return self._refuse(job_id, exc, link)

    def _result_again(self, job_id: str, known: _Known) -> Follow:
        kept = self._book.ledger.jobs.get(job_id)
        if kept is None:
            return lambda: self._outbox.put(result_of_tombstone(job_id, known.state))

        def again() -> None:
            # Looked at when it is its turn: it may have ended since, and been told before that.
            # While it is being carried out, its final event answers both.
            if kept.finished is not None:
                self._outbox.put(final_event_of(kept.finished))

        return again

    def _refuse(self, job_id: str, error: InstaDeployError, link: int | None = None) -> Follow:
        refusal = refusal_of(job_id, error)
        return self._receive(job_id, lambda: self._outbox.put(refusal), link)

    def _receive(self, job_id: str, then: Follow, link: int | None = None) -> Follow:
        """`link` is the one that the command came on, where that was not just now."""
        came_on = self._outbox.link_number if link is None else link

        def follow() -> None:
            # It only means something on the link that the command came on.
            if self._outbox.link_number == came_on:
                self._outbox.put(JobReceived(job_id))
            then()

        return follow

    def _check_open(self) -> None:
        if self._is_closed or not self._turns.is_running:
            raise Draining()

    # Protocol v2.

    async def _cancel(self, message: CancelMessage) -> Follow:
        await self._book.record(CancelRequested(message.job_id, message.seq), must=True)
        self.arriving.discard(message.seq)
        return lambda: self._dispatcher.cancel(message.job_id)

    async def _deliver_command(self, message: CommandMessage) -> Follow:
        job_id, command = message.job_id, message.command
        follow = nothing
        try:
            if isinstance(command, InstaDeployError):
                raise command
            digest = digest_of(command)
            known = self._known(job_id)
            if known is None:
                follow = await self._accept_sequenced(message, command, digest)
            else:
                _check_same(job_id, digest, known)
                await self._book.record(JobRepeated(job_id, message.seq, known.state), must=True)
        except InstaDeployError as exc:
            rejected = JobRejected(job_id, exc.code, str(exc), message.seq, details_of(exc))
            await self._book.record(rejected, must=True)
        self.arriving.discard(message.seq)
        self._generations.pop(message.seq, None)
        return follow

    def _note_generation(self, message: CommandMessage) -> None:
        if message.generation is None or isinstance(message.command, InstaDeployError):
            return
        project = project_of(message.command)
        if project is not None:
            self._generations[message.seq] = (project.compose_name, message.generation)

    async def _accept_sequenced(
        self, message: CommandMessage, command: Command, digest: str
    ) -> Follow:
        project = project_of(command)
        if message.generation is not None and project is not None:
            highest = self._book.ledger.generations.get(project.compose_name, 0)
            if message.generation <= highest:
                raise StaleGeneration(message.generation, highest)
        return await self._accept(
            JobAccepted(
                message.job_id,
                command,
                digest,
                self._clock.since_boot(),
                peer_seq=message.seq,
                generation=message.generation,
                deadline_s=message.deadline_s,
            )
        )

    # Both.

    async def _accept(self, whole: JobAccepted) -> Follow:
        command = whole.command
        assert command is not None
        self._check_allowed(command)
        project = project_of(command)
        accepted = replace(
            whole,
            command=without_private(command),
            is_private=is_private(command),
            project="" if project is None else project.compose_name,
            spelling="" if project is None else project.value,
        )
        assert accepted.command is not None
        self._dispatcher.room.check(accepted.command)
        self._dispatcher.room.take(accepted.command)
        try:
            if accepted.is_private:
                await self._private.keep(accepted.job_id, command)
            await self._book.record(accepted)
        except InstaDeployError:
            self._dispatcher.room.free(accepted.command)
            if accepted.is_private:
                with contextlib.suppress(StorageUnavailable):
                    await self._private.wipe(accepted.job_id)
            raise
        job = job_of(accepted, self._clock.since_boot())
        return lambda: self._dispatcher.open(job)

    def _check_allowed(self, command: Command) -> None:
        violations = judge_command(COMMAND_NAMES[type(command)], project_of(command), self._policy)
        if violations:
            raise Forbidden(violations[0].message)

    def _known(self, job_id: str) -> _Known | None:
        job = self._book.ledger.jobs.get(job_id)
        if job is not None:
            return _Known(job.accepted.digest, job.state)
        tombstone = self._book.tombstone(job_id)
        return None if tombstone is None else _Known(tombstone.digest, tombstone.state)

    def _turn(
        self,
        job_id: str | None = None,
        command: Command | InstaDeployError | None = None,
        *,
        in_order: bool = False,
    ) -> Turn:
        """`in_order` is for a command that must be decided after earlier ones of its project."""
        keys = [] if job_id is None else [f"job:{job_id}"]
        weight = 0
        if command is not None and not isinstance(command, InstaDeployError):
            weight = weight_of(command)
            project = project_of(command)
            if project is not None:
                line = f"project:{project.compose_name}"
                # Behind one that waits everybody waits: they are written down as they came. Private
                # parts are written before the command that they are of.
                is_slow = in_order or is_private(command)
                if is_slow or self._turns.has_any_about(line, *keys):
                    keys.append(line)
        return self._turns.take(*keys, weight=weight)


def _check_same(job_id: str, digest: str, known: _Known) -> None:
    """Raise `Conflict` where an id is used for another command than before."""
    if known.digest and known.digest != digest:
        raise Conflict(f"id: {job_id!r} belongs to another command, which was sent before")
