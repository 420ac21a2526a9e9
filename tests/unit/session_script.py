"""A session told as what is heard and what is said."""

from __future__ import annotations

from domain.ledger import Ledger
from domain.link_messages import (
    Challenge,
    CommandMessage,
    Ending,
    Heard,
    Hello,
    OutputPosition,
    Said,
    Welcome,
)
from domain.proving import Introduction, Proof
from domain.records import EpochBegun, JobRejected, PeerMet, Record
from domain.session import Session
from domain.session_effects import Effect, EndLink
from tests.builders import stop
from tests.unit.histories import replayed

KNOWN: list[Record] = [EpochBegun("agent"), PeerMet("peer")]
NONCE = "n" * 16
FACTS = {"engine": "up"}


class Script:
    """A session on a ledger; `arriving` outlives it, and is taken over by another script."""

    def __init__(
        self,
        *records: Record,
        ledger: Ledger | None = None,
        arriving: set[int] | None = None,
        proof: Proof | None = None,
    ) -> None:
        self.ledger = ledger or replayed([*KNOWN, *records])
        self.arriving: set[int] = set() if arriving is None else arriving
        self.now = 100.0
        self.printed: dict[str, OutputPosition] = {}
        self.session = Session(
            self.ledger,
            Introduction(NONCE, "1.0.0", "linux-amd64", "web-1"),
            arriving=self.arriving,
            now=self.now,
            proof=proof,
            printed=self.printed.get,
            facts=lambda: FACTS,
        )

    def hear(self, *messages: Heard) -> list[Effect]:
        return [effect for each in messages for effect in self.session.hear(each, self.now)]

    def said(self) -> list[Said]:
        """All that there is to say now."""
        found = []
        while (message := self.session.next_message(self.now)) is not None:
            found.append(message)
        return found

    def tick(self, silence_s: float = 0.0) -> list[Effect]:
        return self.session.tick(self.now, silence_s)

    def write(self, *records: Record) -> None:
        """Let facts become durable; what was arriving with them has arrived."""
        for record in records:
            self.ledger.apply(record)
            self.arriving.discard(getattr(record, "peer_seq", None) or 0)

    def opened(self, has: int = 0, **welcome: object) -> list[Said]:
        """Go through the opening with the peer that is known; gives what is said after HELLO."""
        self.hear(Challenge("c" * 16))
        (hello,) = self.said()
        assert isinstance(hello, Hello)
        assert self.hear(Welcome("s", "peer", has, **welcome)) == []  # type: ignore[arg-type]
        return self.said()


def command(seq: int, job_id: str | None = None, *, ack: int | None = None) -> CommandMessage:
    return CommandMessage(seq, job_id or f"job-{seq}", stop(), ack=ack)


def rejections(count: int, first: int = 1) -> list[Record]:
    """What makes so many small messages for the peer, and hears as many of its own."""
    return [JobRejected(f"job-{seq}", "busy", "no", seq) for seq in range(first, first + count)]


def ending(effects: list[Effect]) -> Ending:
    (effect,) = effects
    assert isinstance(effect, EndLink)
    return effect.ending


def opened_script() -> Script:
    """One that is through the opening."""
    script = Script()
    script.opened()
    return script
