"""The audit trail: who changed what, one entry after the other, each bound to the one before.

An entry's hash is the SHA-256 of the hash before it and of its own content in canonical JSON
(RFC 8785 for what stands in it: sorted keys, no blanks, UTF-8). Whoever changes, removes, adds or moves
an entry has to write all later ones anew; and what was exported before shows that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from domain.fleet.access import Principal
from domain.fleet.host import HostId

GENESIS: Final = "0" * 64
"""What stands before the first entry."""
DONE: Final = "done"
ACCEPTED: Final = "accepted"
"""Of what an agent has yet to carry out: another entry tells what has become of it."""
LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What somebody has done, before it has its place. `at` is in seconds since 1970.

    `user` and `address` say who, from where; `action` what; the others on what. Nothing in it is
    secret: no value of a variable, no content of a file, no token.
    """

    at: float
    user: str
    action: str
    address: str = ""
    token_id: str = ""
    outcome: str = DONE
    host_id: HostId | None = None
    host: str = ""
    project: str = ""
    job_id: str = ""
    deployment_id: str = ""
    target: str = ""
    """What else was changed: a user, a token, an enrolment."""
    detail: Mapping[str, Any] = field(default_factory=dict)


def noted_by(by: Principal, at: float, action: str, **what: Any) -> Noted:
    """What somebody does now."""
    return Noted(
        at=at, user=by.name, action=action, address=by.address, token_id=by.token_id, **what
    )


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What was noted, in its place. `number` counts from 1 without a gap."""

    number: int
    noted: Noted
    previous_hash: str
    hash: str

    @property
    def content(self) -> dict[str, Any]:
        """What its hash is of, and what is exported beside the hashes."""
        return content_of(self.number, self.noted)


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Where the trail ends: how many entries there are, and the hash of the last one."""

    number: int = 0
    hash: str = GENESIS


def chained(head: AuditHead, noted: Noted) -> AuditEntry:
    """The entry behind this head."""
    number = head.number + 1
    return AuditEntry(number, noted, head.hash, hash_of(head.hash, content_of(number, noted)))


def content_of(number: int, noted: Noted) -> dict[str, Any]:
    """An entry as JSON has it, without its hashes."""
    return {
        "number": number,
        "at": noted.at,
        "user": noted.user,
        "address": noted.address,
        "token_id": noted.token_id,
        "action": noted.action,
        "outcome": noted.outcome,
        "host_id": noted.host_id,
        "host": noted.host,
        "project": noted.project,
        "job_id": noted.job_id,
        "deployment_id": noted.deployment_id,
        "target": noted.target,
        "detail": dict(noted.detail),
    }


def hash_of(previous_hash: str, content: Mapping[str, Any]) -> str:
    """The hash of an entry with this content, behind the one with that hash."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous_hash}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Something that is wrong with the trail: `gap`, `edited`, `reordered`, `clock_set_back`, `cut`."""

    number: int
    problem: str
    detail: str

    @property
    def is_damage(self) -> bool:
        """Whether somebody has changed the trail; a clock that was set back has not."""
        return self.problem != CLOCK_SET_BACK


CLOCK_SET_BACK: Final = "clock_set_back"


class Verification:
    """Takes exported entries one by one, in the order in which they are kept, and finds what is wrong.

    `head` is where the trail has got so far.
    """

    def __init__(self, head: AuditHead = AuditHead()) -> None:
        self.head = head
        self.entries = 0
        self._at: float | None = None

    def take(self, document: Mapping[str, Any]) -> Iterator[AuditFinding]:
        """What is wrong with the next entry; it is content, `previous_hash` and `hash`."""
        number = _whole(document.get("number"))
        content = {k: v for k, v in document.items() if k not in ("previous_hash", "hash")}
        previous, stated = str(document.get("previous_hash")), str(document.get("hash"))
        expected = self.head.number + 1
        if number is None or number < expected:
            yield AuditFinding(number or expected, "reordered", f"entry {expected} was to come")
        elif number > expected:
            yield AuditFinding(expected, "gap", f"entries {expected} to {number - 1} are missing")
        elif previous != self.head.hash:
            yield AuditFinding(number, "edited", "it does not follow the entry before it")
        if hash_of(previous, content) != stated:
            yield AuditFinding(number or expected, "edited", "it is not what its hash was made of")
        at = content.get("at")
        if isinstance(at, int | float):
            if self._at is not None and at < self._at:
                detail = f"it is {self._at - at:.3f} s before the entry before it"
                yield AuditFinding(number or expected, CLOCK_SET_BACK, detail)
            self._at = float(at)
        self.entries += 1
        self.head = AuditHead(number or expected, stated)

    def end(self, head: AuditHead) -> Iterator[AuditFinding]:
        """What is wrong with where it ends; `head` is where it is known to end."""
        if self.head.number < head.number:
            missing = f"entries {self.head.number + 1} to {head.number} are missing"
            yield AuditFinding(head.number, "cut", missing)
        elif self.head != head:
            yield AuditFinding(self.head.number, "edited", "the trail is known to end otherwise")


def document_of(entry: AuditEntry) -> dict[str, Any]:
    """An entry as it is exported, and verified."""
    return {**entry.content, "previous_hash": entry.previous_hash, "hash": entry.hash}


def verified(
    entries: Iterable[Mapping[str, Any]], head: AuditHead | None = None
) -> list[AuditFinding]:
    """All that is wrong with a whole trail."""
    verification = Verification()
    found = [finding for entry in entries for finding in verification.take(entry)]
    return found if head is None else [*found, *verification.end(head)]


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
