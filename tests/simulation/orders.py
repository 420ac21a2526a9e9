"""What a control plane knows of one job id: what was asked under it, and what was answered."""

from __future__ import annotations

from copy import copy as shallow
from dataclasses import dataclass, field, replace
from typing import Final

from domain.commands import CHANGING_COMMANDS, Command
from domain.job import JobState, is_terminal
from domain.link_messages import Accept, Reject, Result, SequencedSaid

REFUSED: Final = "refused"
"""In the place of a reason, of what was refused over v1."""


class AgentBroke(AssertionError):
    """The agent did what protocol v2, or a promise, forbids."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One wish of an operator's. Two may have one id, and ask for different things."""

    number: int
    job_id: str
    command: Command
    generation: int | None = None
    deadline_s: float | None = None


@dataclass(slots=True)
class Order:
    """All that is known of one job id."""

    job_id: str
    submissions: list[Submission] = field(default_factory=list)
    unanswered: list[Submission] = field(default_factory=list)
    """Those of the present sequence that neither ACCEPT nor REJECT has answered."""
    accepted: Submission | None = None
    reported: JobState | None = None
    """The state that the last ACCEPT of a repeat told; another one's may be newer than the next one's."""
    rejections: dict[int, str] = field(default_factory=dict)
    """The reason, by the number of the submission."""
    results: list[Result] = field(default_factory=list)
    is_cancelled: bool = False

    @property
    def changes(self) -> bool:
        """Whether the id is taken for ever."""
        command = self.submissions[0].command if self.submissions else None
        return command is None or isinstance(command, CHANGING_COMMANDS)

    @property
    def end(self) -> JobState | None:
        """The state that it ended in, as far as is known."""
        if self.results:
            return self.results[-1].state
        return self.reported if self.reported and is_terminal(self.reported) else None

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is wanted of the agent."""
        if self.accepted is not None and self.end is None:
            return False
        return all(
            each.number in self.rejections or self.accepted is not None for each in self.submissions
        )

    def copy(self) -> Order:
        """As it is now."""
        other = shallow(self)
        other.submissions, other.unanswered = self.submissions[:], self.unanswered[:]
        other.rejections, other.results = dict(self.rejections), self.results[:]
        return other

    def take_accept(self, message: Accept) -> None:
        """The first that is not answered is accepted, or was before."""
        if not self.unanswered:
            raise AgentBroke(f"it answers what was not asked: {message}")
        answered = self.unanswered.pop(0)
        if self.accepted is None:
            self.accepted = answered
        elif not message.is_repeat and self.changes:
            raise AgentBroke(f"{self.job_id} is accepted as new twice")
        if not message.is_repeat:
            return
        if self.end is not None and self.changes and message.state is not self.end:
            raise AgentBroke(f"{self.job_id} has ended as {self.end}, and is {message.state} now")
        self.reported = message.state

    def take_reject(self, message: Reject) -> None:
        """The first that is not answered is refused."""
        if not self.unanswered:
            raise AgentBroke(f"it answers what was not asked: {message}")
        refused = self.unanswered.pop(0)
        self.rejections[refused.number] = message.reason
        if refused is self.accepted and self.end is None and not self.changes:
            # A question whose answer went with what a backup did not have: it is asked anew, and an
            # agent that cannot take it now has answered, as it need not know it from before.
            self.accepted = None

    def take_result(self, message: Result) -> None:
        """It has ended, in the one way in which it ends."""
        if self.accepted is None:
            # Its ACCEPT was of a sequence that is over.
            self.accepted = next(
                (each for each in self.submissions if each.number not in self.rejections), None
            )
        if self.changes and self.end not in (None, message.state):
            raise AgentBroke(f"{self.job_id} has ended as {self.end}, and as {message.state}")
        if (
            self.changes
            and self.results
            and lasting(self.results[-1]) != replace(lasting(message), seq=self.results[-1].seq)
        ):
            raise AgentBroke(f"two results: {self.results[-1]} and {message}")
        self.results.append(message)


def lasting(message: SequencedSaid) -> SequencedSaid:
    """What may not change when it is sent again: where a job is may have, in an ACCEPT."""
    if isinstance(message, Accept) and not message.is_repeat:
        return replace(message, ack=None, state=JobState.ACCEPTED)
    return replace(message, ack=None)
