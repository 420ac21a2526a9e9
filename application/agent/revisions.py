"""Makes a revision's files the current ones of its project, and finds the one to go back to."""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import dataclass
from typing import Final

from application.ports.clock import Clock
from application.ports.engine_state import EngineState
from application.ports.project_files import ProjectFiles
from application.ports.revision_store import RevisionStore
from domain.content import COMPOSE_FILE_NAME, ENV_FILE_NAME, ProjectContent
from domain.deploy_options import DeployOptions
from domain.errors import InstaDeployError, NotFound, RuntimeUnavailable
from domain.project import ComposeFile, Project, ProjectName
from domain.revision import Draft, ProjectHistory, RanImage, Revision, RevisionState

logger = logging.getLogger(__name__)

ADOPTED: Final = "adopted"
"""The job of a revision that was found on the host, deployed before revisions were kept."""


@dataclass(frozen=True, slots=True)
class Published:
    """A revision whose files are the current ones."""

    revision: Revision
    content: ProjectContent
    project: Project


class RevisionFiles:
    """Between the history of projects and their directories."""

    def __init__(
        self, *, store: RevisionStore, files: ProjectFiles, state: EngineState, clock: Clock
    ) -> None:
        self._store = store
        self._files = files
        self._state = state
        self._clock = clock

    async def history(self, name: ProjectName) -> ProjectHistory:
        """The project's history. One that was deployed before revisions were kept has its file in it.

        Otherwise its first failed deployment would have nothing to go back to.
        """
        history = await self._store.history(name)
        adopted = history.of_job(ADOPTED)
        is_cut_short = adopted is not None and adopted.state is RevisionState.PENDING
        if history.revisions and not is_cut_short:
            return history
        try:
            await self._files.locate(name)
            content = await self._files.read(name, COMPOSE_FILE_NAME)
        except NotFound:
            return history
        if content is None:
            return history
        draft = Draft(
            ADOPTED,
            ProjectContent(ComposeFile(content)),
            DeployOptions(wait=False),
            self._clock.now().timestamp(),
        )
        revision = await self._store.add(name, draft)
        await self._store.want(name, revision.number)
        # Last: for as long as it is pending, an agent that starts again goes on with this.
        await self._store.settle(name, revision.number, RevisionState.GOOD)
        return await self._store.history(name)

    async def known(self, name: ProjectName) -> ProjectHistory:
        """The history of a project of this host; raises `NotFound` where there is no such project."""
        history = await self._store.history(name)
        if not history.revisions:
            await self._files.locate(name)
        return history

    async def content_now(
        self, name: ProjectName, history: ProjectHistory
    ) -> ProjectContent | None:
        """What was published last, as far as it is known: what of it is not wanted any more can go."""
        last = history.last_published
        if last is None:
            return None
        try:
            return await self._store.content(name, last.number)
        except InstaDeployError as exc:
            logger.warning("revision %d of project '%s': %s", last.number, name, exc)
            return None

    async def close_stale(self, history: ProjectHistory, job_id: str) -> None:
        """Settle what earlier jobs have left pending, whose disk was full at the end.

        Jobs of one project run one after another: none but `job_id` is under way.
        """
        for one in history.revisions:
            if one.state is RevisionState.PENDING and one.job_id != job_id:
                why = "what became of it could not be written down"
                await self._store.settle(history.name, one.number, RevisionState.FAILED, error=why)

    async def changes_now(self, name: ProjectName, content: ProjectContent) -> frozenset[str]:
        """Which files beside the compose file would be others than in the wanted revision."""
        history = await self._store.history(name)
        return await self.changed_files(name, content, history.wanted)

    async def changed_files(
        self, name: ProjectName, content: ProjectContent, before: Revision | None
    ) -> frozenset[str]:
        """Which files beside the compose file are others than in the revision before."""
        if before is None or not content.files:
            return frozenset()
        try:
            return content.changes_from(await self._store.content(name, before.number))
        except InstaDeployError as exc:
            logger.warning("revision %d of project '%s': %s", before.number, name, exc)
            return frozenset(one.path for one in content.files)

    async def publish(
        self, name: ProjectName, revision: Revision, replaced: ProjectContent | None
    ) -> Published:
        """Make the files of a revision that is kept the current ones."""
        content = await self._store.content(name, revision.number)
        async with self._files.stage(name, content, content.digest[:16]) as staged:
            project = await staged.publish(replaced)
        return Published(revision, content, project)

    async def is_current(self, name: ProjectName, content: ProjectContent) -> bool:
        """Whether the files of a content lie in the project's directory, as they are."""
        brought = {one.path: one.content for one in content.files}
        if content.env is not None:
            brought[ENV_FILE_NAME] = content.env
        brought[COMPOSE_FILE_NAME] = content.file.content
        try:
            for path, there in brought.items():
                if await self._files.read(name, path) != there:
                    return False
        except InstaDeployError:
            return False
        return True

    async def pins(self, images: tuple[RanImage, ...]) -> dict[str, str]:
        """By service, the images that ran, where their names mean other ones to the engine now.

        An image that is gone is named by its digest in the registry, so that it can be pulled; where
        there is none, by its id, so that Compose says what is missing.
        """
        pinned = {}
        for image in images:
            with contextlib.suppress(RuntimeUnavailable):
                now = await self._state.image(image.reference)
                if now is not None and now.id == image.image_id:
                    continue
                kept = await self._state.image(image.image_id)
                pinned[image.service] = (
                    image.image_id
                    if kept is not None or not image.repo_digest
                    else image.repo_digest
                )
        return pinned


def pins_document(pins: dict[str, str]) -> bytes:
    """A compose file that names nothing but images; JSON is YAML."""
    services = {service: {"image": image} for service, image in sorted(pins.items())}
    return json.dumps({"services": services}, indent=2).encode()
