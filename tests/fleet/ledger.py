"""What was really done on a simulated host, written down beside what its agent remembers. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Deed:
    """One job id on one host."""

    job_id: str
    kind: str = ""
    project: str = ""
    commands: int = 0
    """How often its command came and was taken in."""
    begun: int = 0
    """How often its effect was begun: what must happen once."""
    refused: str = ""
    """Why it was refused last; it may be accepted at another time all the same."""
    state: str = ""
    """`accepted` and on, once it was."""
    reason: str = ""
    output_bytes: int = 0
    sha256: str = ""
    accepted_at: float = 0.0
    """When its ACCEPT was handed to the socket first, on `time.monotonic`'s scale."""
    ended_at: float = 0.0


@dataclass(slots=True)
class Ledger:
    """All deeds of one host. `amnesias` counts how often its agent has lost what it kept."""

    name: str
    host_id: str = ""
    protocol: int = 2
    amnesias: int = 0
    deeds: dict[str, Deed] = field(default_factory=dict)

    def deed(self, job_id: str) -> Deed:
        """The entry, made where there is none."""
        found = self.deeds.get(job_id)
        if found is None:
            found = self.deeds[job_id] = Deed(job_id)
        return found

    def to_json(self) -> dict[str, Any]:
        """As objects and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Ledger:
        """What `to_json` has given."""
        deeds = {job_id: Deed(**one) for job_id, one in value["deeds"].items()}
        return cls(**value | {"deeds": deeds})
