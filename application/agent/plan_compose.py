"""PLAN_COMPOSE: what a deployment would do, without doing any of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from application.agent.goal import APPLY, Goal
from application.agent.handling import Completed, Failed, Outcome
from application.agent.images import ProjectImages
from application.agent.live_output import LiveOutput
from application.agent.project_judge import UNTOUCHED, Judged, ProjectJudge
from application.agent.revisions import RevisionFiles
from application.agent.rollout import Rollout
from application.agent.stages import Stages
from application.ports.clock import Clock
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine_state import EngineState
from application.ports.project_files import ProjectFiles
from domain.commands import DeployCompose, PlanCompose
from domain.engine_state import FoundContainer
from domain.project import Project
from domain.verification import ExpectedService, containers_of, mismatches


@dataclass(frozen=True, slots=True)
class Change:
    """What would become of one service."""

    service: str
    action: str
    """`create`, `recreate`, `start`, `restart`, `scale`, `keep` or `remove`."""
    why: str

    def as_data(self) -> dict[str, object]:
        """For `data.services`."""
        return {"service": self.service, "action": self.action, "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanComposeHandler:
    """Judges as a deployment does, and compares with what runs."""

    judge: ProjectJudge
    images: ProjectImages
    rollout: Rollout
    revisions: RevisionFiles
    state: EngineState
    files: ProjectFiles
    runtime: ComposeRuntime
    clock: Clock

    async def __call__(self, command: PlanCompose) -> Outcome:
        """Plan. A project that the policy refuses has a plan too, which says so."""
        wish = command.deployment
        stages = Stages("plan", self.clock, LiveOutput())
        has_env_files = await self.judge.read(wish.project, wish.content)
        await self.runtime.ensure_supported()
        key = f"plan{wish.content.digest[:12]}"
        async with self.files.stage(wish.project, wish.content, key) as staged:
            candidate = staged.candidate
            judged = await self.judge.resolve(
                candidate,
                wish.options.profiles,
                stages,
                directory=staged.directory,
                has_env_files=has_env_files,
            )
            if isinstance(judged, Failed):
                return judged
            refused = await self.judge.allow(wish.project, wish.content, judged, stages)
        return await self._compared(wish, judged, candidate, refused)

    async def _compared(
        self, wish: DeployCompose, judged: Judged, candidate: Project, refused: Failed | None
    ) -> Outcome:
        pulls = set(await self.images.to_pull(judged.model, wish.options))
        changes = await self._changes(wish, judged, candidate, pulls)
        networks, volumes = await self._missing_names(wish, judged)
        by_service = {one.name: one.image for one in judged.model.services}
        pulled = sorted({str(by_service[service]) for service in pulls})
        data: dict[str, object] = {
            "project_name": wish.project.value,
            "services": [one.as_data() for one in changes],
            "pull": pulled,
            "build": sorted(_built(judged)),
            "networks": networks,
            "volumes": volumes,
            "policy": (
                {"allowed": True}
                if refused is None
                else {"allowed": False, "violations": refused.data["violations"]}
            ),
            "warnings": judged.complaints.splitlines(),
        }
        lines = [f"What a deployment of project '{wish.project}' would do:"]
        lines += [f"  {one.action:<9} {one.service}  {one.why}".rstrip() for one in changes]
        lines += [f"  pull      {image}" for image in pulled]
        if refused is not None:
            lines.append("The host's policy does not allow it:")
            lines += [f"  {line}" for line in refused.logs.splitlines()]
        return Completed("\n".join(lines), data)

    async def _changes(
        self, wish: DeployCompose, judged: Judged, candidate: Project, pulls: set[str]
    ) -> Sequence[Change]:
        found = await self.state.containers(wish.project)
        expected = await self.rollout.expected(
            Goal(candidate, judged, wish.options, APPLY, UNTOUCHED)
        )
        changed = await self.revisions.changes_now(wish.project, wish.content)
        users = judged.model.users_of({f"{judged.directory}/{path}" for path in changed})
        fetched = dict.fromkeys(_built(judged), "built") | dict.fromkeys(pulls, "pulled")
        changes = [_change(wish, one, found, fetched.get(one.name, "")) for one in expected]
        return [
            replace(one, action="restart", why="a file that it mounts is another one")
            if one.action == "keep" and one.service in users
            else one
            for one in changes
        ] + _removals(wish, expected, found)

    async def _missing_names(
        self, wish: DeployCompose, judged: Judged
    ) -> tuple[Sequence[str], Sequence[str]]:
        """The networks and volumes that would be made; Compose's names for them."""
        prefix = wish.project.compose_name
        there = set(await self.state.networks(wish.project))
        networks = [
            one.name or f"{prefix}_{one.key}"
            for one in judged.model.networks
            if not one.is_external
        ]
        kept = set(await self.state.volumes(wish.project))
        volumes = [
            one.name or f"{prefix}_{one.key}" for one in judged.model.volumes if not one.is_external
        ]
        return sorted(set(networks) - there), sorted(set(volumes) - kept)


def _built(judged: Judged) -> set[str]:
    return {one.name for one in judged.model.services if one.build is not None}


def _change(
    wish: DeployCompose, service: ExpectedService, found: Sequence[FoundContainer], fetched: str
) -> Change:
    """`fetched` says how it gets an image that may be another one than now, if it does."""
    own = [one for one in containers_of(service.name, found) if one.state != "removing"]
    if not own:
        return Change(service.name, "create", "")
    for container in own:
        differing = mismatches(wish.project, service, container)
        if differing:
            return Change(service.name, "recreate", differing[0].sentence)
    if fetched:
        why = f"if the image that is {fetched} is a newer one"
        return Change(service.name, "recreate", why)
    if len(own) != service.replicas:
        return Change(service.name, "scale", f"from {len(own)} to {service.replicas} containers")
    stopped = [one for one in own if one.state not in ("running", "restarting")]
    if stopped and not (service.completes and all(one.exit_code == 0 for one in stopped)):
        return Change(service.name, "start", f"{stopped[0].name} is {stopped[0].state}")
    if service.config_hash is None:
        why = "if its configuration is another one, which cannot be told before"
        return Change(service.name, "recreate", why)
    if service.image_id is None:
        why = "if its image is another one, which the engine does not tell now"
        return Change(service.name, "recreate", why)
    return Change(service.name, "keep", "")


def _removals(
    wish: DeployCompose, expected: Sequence[ExpectedService], found: Sequence[FoundContainer]
) -> list[Change]:
    known = {one.name for one in expected}
    orphans = sorted({one.service for one in found if not one.is_oneoff} - known)
    if wish.options.remove_orphans:
        return [Change(one, "remove", "no service of the compose file") for one in orphans]
    return [Change(one, "keep", "an orphan: no service of the compose file") for one in orphans]
