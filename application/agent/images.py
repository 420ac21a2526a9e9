"""A project's images: that they are there before anything that runs is touched, and which ones ran."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from application.agent.handling import Deadlines, Failed
from application.agent.project_judge import UNTOUCHED
from application.agent.step_plan import StepPlan
from application.agent.steps import JobSteps
from application.ports.compose_executor import ComposeAction, ComposeOptions
from application.ports.engine_state import EngineState
from domain.compose_model import ComposeModel, Service
from domain.deploy_options import DeployOptions, PullPolicy
from domain.engine_state import FoundContainer
from domain.errors import RuntimeUnavailable
from domain.project import Project, ProjectName
from domain.revision import RanImage

logger = logging.getLogger(__name__)

PULL: Final = "pull"
BUILD: Final = "build"


class ProjectImages:
    """Pulls and builds. A service's own `pull_policy` counts where the deployment says `missing`."""

    def __init__(self, *, state: EngineState, deadlines: Deadlines) -> None:
        self._state = state
        self._deadlines = deadlines

    async def fetch(
        self,
        project: Project,
        model: ComposeModel,
        options: DeployOptions,
        steps: JobSteps,
        *,
        step: str = PULL,
        consequence: str = UNTOUCHED,
        docker_config: str = "",
    ) -> Failed | None:
        """Pull what has to be pulled; None where all images are there then."""
        if not steps.has_begun(step):
            missing = await self._missing(model)
            wanted = _to_pull(model, options, missing)
            absent = sorted(missing - set(wanted))
            if absent and options.pull is PullPolicy.NEVER:
                return Failed(
                    f"images are missing that may not be pulled; {consequence}",
                    cause=", ".join(f"'{name}'" for name in absent),
                    data={"reason": "image_missing", "services": absent},
                )
            if not wanted:
                return None
        else:
            wanted = []  # What was begun is found again; it knows what it fetches.
        report = await steps.run(
            StepPlan(
                step,
                ComposeAction.PULL,
                project,
                self._deadlines.deploy_s,
                consequence=consequence,
                options=ComposeOptions(
                    profiles=options.profiles, services=tuple(wanted), docker_config=docker_config
                ),
            )
        )
        return _renamed(report.failure, "pull_failed")

    async def to_pull(self, model: ComposeModel, options: DeployOptions) -> Sequence[str]:
        """The services whose images a deployment would pull."""
        return _to_pull(model, options, await self._missing(model))

    async def build(
        self,
        project: Project,
        model: ComposeModel,
        options: DeployOptions,
        steps: JobSteps,
        *,
        consequence: str,
        docker_config: str = "",
    ) -> Failed | None:
        """Build what has a build section; None where that succeeded, or nothing has."""
        services = tuple(sorted(one.name for one in model.services if one.build is not None))
        if not services:
            return None
        report = await steps.run(
            StepPlan(
                BUILD,
                ComposeAction.BUILD,
                project,
                self._deadlines.deploy_s,
                consequence=consequence,
                options=ComposeOptions(
                    profiles=options.profiles, services=services, docker_config=docker_config
                ),
            )
        )
        return _renamed(report.failure, "build_failed")

    async def that_ran(self, name: ProjectName, model: ComposeModel) -> tuple[RanImage, ...]:
        """The images that the project's containers are made from, to find them again."""
        try:
            containers = await self._state.containers(name)
        except RuntimeUnavailable as exc:
            logger.warning("the containers of project '%s' cannot be read: %s", name, exc)
            return ()
        found: dict[str, FoundContainer] = {}
        for container in containers:
            if not container.is_oneoff and container.image_id:
                found.setdefault(container.service, container)
        images = []
        for service, reference in references(name, model).items():
            one = found.get(service)
            if one is not None and one.image_id is not None:
                digest = await self._digest(reference, one.image_id)
                images.append(RanImage(service, reference, one.image_id, digest))
        return tuple(images)

    async def _digest(self, reference: str, image_id: str) -> str:
        try:
            image = await self._state.image(image_id)
        except RuntimeUnavailable:
            return ""
        if image is None or not image.repo_digests:
            return ""
        repository = reference.partition("@")[0]
        last = repository.rpartition("/")[2]
        if ":" in last:
            repository = repository[: -len(last)] + last.partition(":")[0]
        own = [one for one in image.repo_digests if one.partition("@")[0] == repository]
        return (own or list(image.repo_digests))[0]

    async def _missing(self, model: ComposeModel) -> set[str]:
        known: dict[str, bool] = {}
        missing = set()
        for service in model.services:
            if service.image is None or service.build is not None or service.provider is not None:
                continue
            if service.image not in known:
                known[service.image] = await self._state.image(service.image) is not None
            if not known[service.image]:
                missing.add(service.name)
        return missing


def references(name: ProjectName, model: ComposeModel) -> Mapping[str, str]:
    """What each service calls its image; Compose's own name for one that is only built."""
    return {
        service.name: service.image or f"{name.compose_name}-{service.name}"
        for service in model.services
        if service.provider is None
    }


def _to_pull(model: ComposeModel, options: DeployOptions, missing: set[str]) -> list[str]:
    return sorted(
        service.name
        for service in model.services
        if _is_pulled(service, options.pull, is_missing=service.name in missing)
    )


def _is_pulled(service: Service, policy: PullPolicy, *, is_missing: bool) -> bool:
    if service.image is None or service.build is not None or service.provider is not None:
        return False
    own = service.place.at("pull_policy").text().strip()
    match policy:
        case PullPolicy.NEVER:
            return False
        case PullPolicy.ALWAYS:
            return own != "never"
        case PullPolicy.MISSING if own in ("", "missing", "if_not_present", "build"):
            return is_missing
        case PullPolicy.MISSING:
            # `always`, `daily`, `weekly` and the like: Compose knows when it was last.
            return own != "never"


def _renamed(failure: Failed | None, reason: str) -> Failed | None:
    if failure is None or failure.data.get("reason") != "compose_failed":
        return failure
    return Failed(failure.what, failure.cause, failure.logs, {**failure.data, "reason": reason})
