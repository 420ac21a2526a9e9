"""What a session of a simulated agent needs of the agent that it belongs to, and the other way round."""

from __future__ import annotations

from typing import Protocol

from tests.fleet.host import SimulatedHost
from tests.fleet.memory import KeptJob, Memory
from tests.fleet.scripts import JobPlan, Manners, Moment


class Served(Protocol):
    """The agent, as its sessions see it."""

    @property
    def memory(self) -> Memory: ...

    @property
    def host(self) -> SimulatedHost: ...

    @property
    def manners(self) -> Manners: ...

    @property
    def hostname(self) -> str: ...

    def count(self, what: str, number: int = 1) -> None:
        """Count something that is of interest."""

    def blame(self, fault: str) -> None:
        """Note what the control plane must not do."""

    def complained(self, what: str) -> None:
        """Note that the control plane could not use what it got."""

    def welcomed(self) -> None:
        """The link is open for jobs from now on, and `is_welcome`."""

    def accepted(self, job_id: str) -> None:
        """A command was acknowledged just now."""

    def leaves(self, job_id: str, plan: JobPlan, moment: Moment) -> bool:
        """Leave, where the plan says so for this moment and it was not done yet; whether it was done."""

    def keep(self) -> None:
        """Have on the disk what is in the memory, before it is told."""

    def changed(self) -> None:
        """Something has changed that somebody may wait for."""

    def go_elsewhere(self, window_s: float) -> None:
        """Connect again at a random moment within the window."""


class Session(Protocol):
    """What becomes of a link once it is upgraded."""

    @property
    def is_welcome(self) -> bool: ...

    def begin(self) -> None:
        """The link is open."""

    def hear(self, text: str) -> None:
        """A message has come."""

    def heard_all(self) -> None:
        """All that came at once was heard."""

    def has_room(self) -> None:
        """The socket takes more again."""

    def ponged(self, payload: bytes) -> None:
        """The answer to a ping has come."""

    def tell(self, job: KeptJob) -> None:
        """A job has printed, or ended, and that is in the memory."""

    def say_bye(self) -> None:
        """The last message."""

    def over(self) -> None:
        """The link is gone."""
