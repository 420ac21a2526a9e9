"""A deployment: the wish that these hosts run this, and what has become of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from domain.commands import DeployCompose
from domain.content import variables_in
from domain.deploy_options import options_document
from domain.fleet.job import DeploymentId, FleetJobState, is_over
from domain.fleet.labels import Selector


class DeploymentState(StrEnum):
    """What the states of its jobs amount to."""

    RUNNING = "running"
    """At least one job is not over."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """No host has it."""
    PARTIAL = "partial"
    """Some hosts have it, some do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What was asked for; its jobs say what came of it. `digest` is of the content that is deployed."""

    id: DeploymentId
    project: str
    selector: Selector
    digest: str
    created_at: float
    requested_by: str
    redeploy_of: DeploymentId | None = None
    summary: Mapping[str, object] = field(default_factory=dict)
    """What may be shown of it: sizes, paths of files, names of variables, options; never content."""


def outcome_of(states: Iterable[FleetJobState]) -> DeploymentState:
    """The state of a deployment whose jobs are in these states, of which there is at least one."""
    known = set(states)
    if not all(is_over(state) for state in known):
        return DeploymentState.RUNNING
    if known == {FleetJobState.SUCCEEDED}:
        return DeploymentState.SUCCEEDED
    return DeploymentState.PARTIAL if FleetJobState.SUCCEEDED in known else DeploymentState.FAILED


def summary_of(command: DeployCompose) -> dict[str, object]:
    """What may be shown of a deployment by whoever may see it."""
    return {
        "compose_bytes": len(command.file.content),
        "env_bytes": None if command.env is None else len(command.env),
        "variables": list(variables_in(command.env or b"")),
        "files": [
            {"path": extra.path, "bytes": len(extra.content), "mode": f"{extra.mode:04o}"}
            for extra in command.files
        ],
        "registries": [login.registry for login in command.registry_auth],
        "options": options_document(replace(command.options, requested_by="")),
    }
