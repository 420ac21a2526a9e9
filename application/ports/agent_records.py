"""What an agent has on its disk, read by somebody else while it runs, or while it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from domain.identity import Membership
from domain.ledger import Ledger
from domain.project import ProjectName
from domain.revision import ProjectHistory


@dataclass(frozen=True, slots=True)
class KeptJobs:
    """The jobs that a journal has. `commands` are the names of their commands, as far as it has them."""

    ledger: Ledger = field(default_factory=Ledger)
    commands: Mapping[str, str] = field(default_factory=dict)


class AgentRecords(Protocol):
    """Takes no lock, writes nothing, and never has the agent wait. Blocking.

    Each method raises `StorageUnavailable` where this user may not read, or nobody can.
    """

    def membership(self) -> Membership | None:
        """Which host this is, and where; None where it has no key that is enrolled."""
        ...

    def jobs(self) -> KeptJobs:
        """What the job journal amounts to now; what is just being appended may be missing."""
        ...

    def projects(self) -> Sequence[ProjectName]:
        """The projects that have a compose file, sorted; none where their directory is not there."""
        ...

    def histories(self) -> Mapping[str, ProjectHistory | None]:
        """The revisions of each project, by Compose's name; None for a history that is spoilt."""
        ...

    def running_pid(self) -> int | None:
        """The process that runs as the agent of this state directory; None where none does."""
        ...
