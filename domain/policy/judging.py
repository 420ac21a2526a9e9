"""Judges a project's resolved model, and a command, by the host's policy."""

from __future__ import annotations

from collections.abc import Iterator

from domain.compose_model import ComposeModel, Place
from domain.policy.binds import judge_binds
from domain.policy.builds import judge_images
from domain.policy.case import Case, HostPlaces
from domain.policy.containers import judge_containers
from domain.policy.globs import fits_any
from domain.policy.networks import judge_networks
from domain.policy.policy import Policy
from domain.policy.resources import judge_resources, judge_unknown
from domain.policy.violation import Finding, Violation, put_into_words, shown
from domain.project import ProjectName

_RULES = (
    judge_containers,
    judge_binds,
    judge_networks,
    judge_images,
    judge_resources,
    judge_unknown,
)
_NO_PLACES = HostPlaces()


def judge(
    model: ComposeModel,
    policy: Policy,
    *,
    project: ProjectName,
    project_directory: str,
    places: HostPlaces = _NO_PLACES,
) -> tuple[Violation, ...]:
    """Everything that the model asks for and the policy does not allow, each thing once.

    `project_directory` is absolute. The model must be what Compose is going to carry out: resolved
    with the same profiles, env and files.
    """
    case = Case(model, policy, project, project_directory, places)
    findings = [*_judge_project(project, policy)]
    for rule in _RULES:
        findings += rule(case)
    return tuple(dict.fromkeys(put_into_words(finding, policy.name) for finding in findings))


def judge_command(
    command_name: str, project: ProjectName | None, policy: Policy
) -> tuple[Violation, ...]:
    """Whether a command, by its name on the wire, is for this host at all."""
    findings = []
    if not fits_any(command_name, policy.commands.allow):
        what = f"asks for {shown(command_name)}"
        findings.append(Finding("commands.allow", Place(None, ("type",)), what, command_name))
    if project is not None:
        findings += _judge_project(project, policy)
    return tuple(put_into_words(finding, policy.name) for finding in findings)


def _judge_project(project: ProjectName, policy: Policy) -> Iterator[Finding]:
    """Two names that are one project to Compose are one here."""
    if not fits_any(project.compose_name, policy.projects.allow):
        what = f"is {shown(project.value)}"
        yield Finding("projects.allow", Place(None, ("project_name",)), what, project.compose_name)
