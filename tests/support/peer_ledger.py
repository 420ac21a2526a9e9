"""What the control plane that tests use has on its disk, and the rules that hold from message to message.

Pure: messages in, and out come sentences about what the agent has violated.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.agent_frames import OVER, Message, chunk_of, excerpt, kind_of
from tests.support.job_output import JobOutput, OutputDiffers

SPOKEN: Final = frozenset({"validate", "policy", "login", "engine", "wait", "verify"})
"""The stages of which the agent speaks itself: no run prints for them, and no result tells of them."""
READS: Final = frozenset({"STATUS", "HEALTH_CHECK"})
"""Commands that are answered afresh each time; all others change something, once."""


@dataclass
class JobEntry:
    """One job id. The lists hold what was delivered, each under a sequence number of its own."""

    job_id: str
    command: Message | None
    """What was issued first under the id; None where only the agent knows of it."""
    answers: list[Message] = field(default_factory=list)
    """ACCEPTs and REJECTs."""
    finals: list[Message] = field(default_factory=list)
    duplicates: int = 0
    """Messages about the job that were on the disk already."""
    outputs: dict[tuple[str, int], JobOutput] = field(default_factory=dict)
    """By step and attempt; the one that went on last comes last."""
    accepted_by: str = ""
    """The agent's epoch in which it was accepted as new."""
    is_inherited: bool = False
    """Whether it is from an earlier sequence than the present one."""
    owed: int = 0
    """Commands of the present sequence that neither ACCEPT nor REJECT has answered."""
    finals_due: int = 0
    """Final responses that may still come in the present sequence."""

    @property
    def accepts(self) -> list[Message]:
        return [answer for answer in self.answers if answer["type"] == "ACCEPT"]

    @property
    def rejects(self) -> list[Message]:
        return [answer for answer in self.answers if answer["type"] == "REJECT"]

    @property
    def state(self) -> str:
        """`issued`, `rejected`, `accepted`, or the state that it ended in."""
        if self.finals:
            return str(self.finals[-1]["state"])
        if self.accepts:
            return "accepted"
        return "rejected" if self.rejects else "issued"

    @property
    def is_settled(self) -> bool:
        """Whether the control plane wants nothing more of the agent for it."""
        return self.state in OVER | {"rejected"}

    @property
    def is_read(self) -> bool:
        return self.command is not None and self.command["type"] in READS

    @property
    def project(self) -> str | None:
        """The project's name as Compose knows it."""
        payload = (self.command or {}).get("payload")
        name = payload.get("project_name") if isinstance(payload, dict) else None
        return name.lower() if isinstance(name, str) else None

    @property
    def position(self) -> dict[str, Any] | None:
        """Up to where the output has come: `output_seen` of ACK and WELCOME."""
        found = None
        for (step, attempt), output in self.outputs.items():
            found = {"step": step, "attempt": attempt, "offset": output.position}
            if output.has_gap:
                break
        return found

    @property
    def has_all_output(self) -> bool:
        """Whether the final response is there, and every byte that it speaks of."""
        return bool(self.finals) and all(
            self.outputs.get((one["step"], one["attempt"]), JobOutput()).is_complete(one)
            for one in self.finals[-1]["output"]
        )


@dataclass
class Ledger:
    """All that is on the disk. A new sequence begins where either side's epoch has changed."""

    epoch: str
    agent_epoch: str = ""
    last_seq_seen: int = 0
    agent_ack: int = 0
    """Our messages up to this number are on the agent's disk."""
    outgoing: list[Message] = field(default_factory=list)
    """Our durable messages of the present sequence, from number 1."""
    incoming: list[Message] = field(default_factory=list)
    """The agent's."""
    jobs: dict[str, JobEntry] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    """The highest one issued of each project, by Compose's name."""
    accepted_generations: dict[str, int] = field(default_factory=dict)
    """The highest one that the agent said it accepted."""
    prune_below: int = 0

    def issue(self, command: Message) -> None:
        """Write down a command without its `seq`, which it is given."""
        job = self.jobs.setdefault(command["id"], JobEntry(command["id"], command))
        job.owed += 1
        job.finals_due += 1
        if "generation" in command and job.project is not None:
            highest = max(self.generations.get(job.project, 0), command["generation"])
            self.generations[job.project] = highest
        self._add(command)

    def cancel(self, job_id: str) -> None:
        """Write down that a job is to end."""
        self._add({"type": "CANCEL", "job_id": job_id})

    def _add(self, message: Message) -> None:
        self.outgoing.append(message | {"seq": len(self.outgoing) + 1})

    def begin_sequence(self, agent_epoch: str) -> None:
        """Both directions count from 1; what is not settled, or was not seen, is sent again."""
        if agent_epoch != self.agent_epoch:
            self.accepted_generations.clear()
        for job in self.jobs.values():
            job.is_inherited = bool(self.agent_epoch)
            job.owed, job.finals_due = 0, int(job.is_inherited)
        again = [message for message in self.outgoing if self._is_wanted(message)]
        self.agent_epoch = agent_epoch
        self.last_seq_seen = self.agent_ack = self.prune_below = 0
        self.outgoing, self.incoming = [], []
        for message in again:
            if message["type"] == "CANCEL":
                self.cancel(message["job_id"])
            else:
                self.issue(message)

    def _is_wanted(self, message: Message) -> bool:
        job = self.jobs.get(message["job_id" if message["type"] == "CANCEL" else "id"])
        is_settled = job is None or job.is_settled
        return not is_settled or message["seq"] > self.agent_ack

    def faults_in_hello(self, hello: Message) -> Iterator[str]:
        """What a HELLO contradicts."""
        same_agent = hello["epoch"] == self.agent_epoch
        same_peer = hello["peer_epoch"] == self.epoch
        if same_agent and same_peer and hello["last_seq_seen"] < self.agent_ack:
            yield f"forgot messages up to {self.agent_ack}, which it had acknowledged"
        if same_peer and self.agent_epoch and not same_agent and hello["last_seq_seen"]:
            yield "an epoch that is new has seen nothing yet"
        if same_agent and self.last_seq_seen and not hello["peer_epoch"]:
            yield "forgot the epoch that it spoke within"
        known: dict[str, int] = {}
        for project, generation in hello["generations"].items():
            known[project.lower()] = max(known.get(project.lower(), 0), generation)
        for project, generation in self.accepted_generations.items():
            if same_agent and known.get(project, 0) < generation:
                yield f"forgot generation {generation} of {project}"
        for running in hello["running"]:
            job = self.jobs.get(running["job_id"])
            if job is not None and job.finals and not job.is_read:
                yield f"{job.job_id} runs, and was {job.state}"

    def take(self, message: Message) -> Iterator[str]:
        """Write down the next durable message, or a piece of output; gives what it contradicts."""
        kind = kind_of(message)
        job_id = message["job_id"]
        is_known = job_id in self.jobs
        job = self.jobs.setdefault(job_id, JobEntry(job_id, None, is_inherited=True, finals_due=1))
        if kind == "OUTPUT":
            yield from _take_output(job, message)
            return
        assert message["seq"] == self.last_seq_seen + 1
        self.last_seq_seen += 1
        self.incoming.append(message)
        if kind == "FINAL":
            yield from _finish(job, message)
            return
        if not is_known or job.owed == 0:
            yield f"answers what was not asked: {excerpt(message)}"
        job.owed = max(0, job.owed - 1)
        if kind == "ACCEPT":
            yield from self._accept(job, message)
        else:
            job.answers.append(message)
            job.finals_due = max(0, job.finals_due - 1)

    def _accept(self, job: JobEntry, message: Message) -> Iterator[str]:
        is_repeat = "repeat" in message
        if is_repeat and not job.accepts and not job.is_inherited:
            yield f"calls what is new a repeat: {excerpt(message)}"
        if job.finals and not job.is_read and message["state"] != job.state:
            yield f"{job.job_id} is {message['state']}, and was {job.state}"
        if not is_repeat and not job.is_read:
            if job.accepted_by == self.agent_epoch:
                yield f"{job.job_id} is accepted as new twice"
            job.accepted_by = self.agent_epoch
            yield from self._accept_generation(job)
        job.answers.append(message)

    def _accept_generation(self, job: JobEntry) -> Iterator[str]:
        generation = (job.command or {}).get("generation")
        if generation is None or job.project is None:
            return
        highest = self.accepted_generations.get(job.project, 0)
        if generation <= highest:
            yield f"{job.job_id}: generation {generation} is accepted after {highest}"
        self.accepted_generations[job.project] = max(highest, generation)

    def faults_in_repeated(self, message: Message) -> Iterator[str]:
        """What a message contradicts whose number is on the disk already."""
        if message["job_id"] in self.jobs:
            self.jobs[message["job_id"]].duplicates += 1
        first = self.incoming[message["seq"] - 1]
        # Where a job is may have changed between two sendings of its ACCEPT.
        passing = {"ack", "state"} if message["type"] == "ACCEPT" else {"ack"}
        if _without(first, passing) != _without(message, passing):
            yield f"one seq, two messages: {excerpt(first)} and {excerpt(message)}"


def _finish(job: JobEntry, message: Message) -> Iterator[str]:
    if job.finals_due == 0:
        yield f"one result too many: {excerpt(message)}"
    if not job.accepts and not job.is_inherited:
        yield f"a result of what was not accepted: {excerpt(message)}"
    number = {"seq", "ack"}
    if (
        job.finals
        and not job.is_read
        and _without(job.finals[0], number) != _without(message, number)
    ):
        yield f"two results: {excerpt(job.finals[0])} and {excerpt(message)}"
    job.finals_due = max(0, job.finals_due - 1)
    job.finals.append(message)
    yield from _faults_in_output(job)


def _take_output(job: JobEntry, message: Message) -> Iterator[str]:
    place = (message["step"], message["attempt"])
    output = job.outputs.setdefault(place, JobOutput())
    had = output.position
    try:
        output.take(message["offset"], chunk_of(message))
    except OutputDiffers as differs:
        yield f"{job.job_id}: {message['step']}: {differs}"
    if output.position > had:
        # An agent that starts again speaks of a stage, and then goes on with a step from before.
        job.outputs[place] = job.outputs.pop(place)
    if job.finals:
        yield from _faults_in_output(job)


def _faults_in_output(job: JobEntry) -> Iterator[str]:
    try:
        assert job.has_all_output in (True, False)
    except OutputDiffers as differs:
        yield f"{job.job_id}: {differs}"
    described = {(one["step"], one["attempt"]) for one in job.finals[-1]["output"]}
    printed = {(step, attempt) for step, attempt in job.outputs if not is_spoken(step)}
    if undescribed := printed - described:
        yield f"{job.job_id}: output of {sorted(undescribed)}, of which the result says nothing"


def is_spoken(step: str) -> bool:
    """Whether the agent itself speaks in it; one that is a part of going back says so before."""
    return step.rpartition(": ")[2] in SPOKEN


def _without(message: Message, names: Set[str]) -> Message:
    return {name: value for name, value in message.items() if name not in names}
