"""How a deployment is carried out, beside what it is to run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.errors import InvalidInput
from domain.validation import check_label, check_number, check_profile, check_requester

MAX_PROFILES: Final = 64
MAX_LABELS: Final = 64
LONGEST_WAIT_S: Final = 24 * 3600.0


class PullPolicy(StrEnum):
    """When images are pulled, before anything that runs is touched."""

    MISSING = "missing"
    """Those that the engine does not have, and those of which the compose file says `always`."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """How a deployment is carried out; part of the revision that it makes.

    Without `wait` it is enough that the containers were started. `wait_timeout_s` is how long they
    may take to become healthy, None for as long as the host allows. `labels` are the operator's own
    notes, by name; `requested_by` says who asked, as the control plane puts it.
    """

    pull: PullPolicy = PullPolicy.MISSING
    wait: bool = True
    wait_timeout_s: float | None = None
    remove_orphans: bool = False
    profiles: tuple[str, ...] = ()
    auto_rollback: bool = True
    labels: tuple[tuple[str, str], ...] = ()
    requested_by: str = ""

    def __post_init__(self) -> None:
        check_number("profiles", len(self.profiles), MAX_PROFILES)
        check_number("labels", len(self.labels), MAX_LABELS)
        for profile in self.profiles:
            check_profile(profile)
        for name, value in self.labels:
            check_label(name, value)
        if self.requested_by:
            check_requester(self.requested_by)
        if self.wait_timeout_s is not None and not 0 < self.wait_timeout_s <= LONGEST_WAIT_S:
            raise InvalidInput(
                "wait_timeout_s", f"must be over 0 and at most {LONGEST_WAIT_S:g} seconds"
            )


PLAINLY: Final = DeployOptions()
"""As an agent of the first days deployed, but for looking whether it came up."""


def options_document(options: DeployOptions) -> dict[str, object]:
    """The options that differ from the default, as the wire has them."""
    values: dict[str, object] = {
        "pull": options.pull.value,
        "wait": options.wait,
        "wait_timeout_s": options.wait_timeout_s,
        "remove_orphans": options.remove_orphans,
        "profiles": list(options.profiles),
        "auto_rollback": options.auto_rollback,
        "labels": dict(options.labels),
        "requested_by": options.requested_by,
    }
    return {
        name: value
        for name, value in values.items()
        if getattr(options, name) != getattr(PLAINLY, name)
    }
