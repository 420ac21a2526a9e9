"""What somebody who looks at a machine finds: how it is, why that matters, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should look at it."""
    FAILURE = "failure"
    UNKNOWN = "unknown"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` is a sentence without its full stop, `why` one too, and `remedy` a command or a sentence."""

    verdict: Verdict
    found: str
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """What one check has found; never nothing."""

    check: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of them; what could not be looked at is worse than what is well."""
        return worst(finding.verdict for finding in self.findings)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that counts."""
    found = set(verdicts)
    by_weight = (Verdict.FAILURE, Verdict.WARNING, Verdict.UNKNOWN)
    return next((verdict for verdict in by_weight if verdict in found), Verdict.OK)


def well(found: str) -> Finding:
    """Nothing to do."""
    return Finding(Verdict.OK, found)


def warning(found: str, why: str, remedy: str) -> Finding:
    """It works, for now."""
    return Finding(Verdict.WARNING, found, why, remedy)


def failure(found: str, why: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(Verdict.FAILURE, found, why, remedy)


def unknown(found: str, remedy: str = "") -> Finding:
    """It could not be looked at; `found` says why."""
    return Finding(Verdict.UNKNOWN, found, "", remedy)
