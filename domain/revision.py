"""The history of a project on a host: what was deployed, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from domain.content import ProjectContent
from domain.deploy_options import PLAINLY, DeployOptions
from domain.errors import NotFound
from domain.project import ProjectName
from domain.verification import ExpectedService

KEPT_REVISIONS: Final = 20


class RevisionState(StrEnum):
    """What is known of a revision."""

    PENDING = "pending"
    """Its deployment is under way."""
    GOOD = "good"
    """It ran: inspected, and healthy."""
    FAILED = "failed"
    """Its deployment failed, or was ended."""


@dataclass(frozen=True, slots=True)
class RanImage:
    """The image that a service's containers were made from, when the revision was found good.

    `reference` is the compose file's word for it, `image_id` the engine's; `repo_digest`
    (`name@sha256:...`) finds it again in its registry, and is empty for an image that came from none.
    """

    service: str
    reference: str
    image_id: str
    repo_digest: str = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """One deployment's content, by number; the content itself lies beside it, under its digest.

    `created_at` is the wall clock's (seconds since 1970, UTC), for people to read. `error` says why
    it failed. `options` are what it was deployed with.
    """

    number: int
    digest: str
    job_id: str
    created_at: float
    options: DeployOptions = PLAINLY
    state: RevisionState = RevisionState.PENDING
    error: str = ""
    images: tuple[RanImage, ...] = ()
    expected: tuple[ExpectedService, ...] = ()
    """What the engine should have of it, as it was when it was found good."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to become a revision."""

    job_id: str
    content: ProjectContent
    options: DeployOptions
    created_at: float


@dataclass(frozen=True, slots=True)
class ProjectHistory:
    """The revisions that are kept, by number ascending; `current` is the one that is wanted now.

    None is wanted where nothing was ever deployed well, or the project was stopped before that.
    """

    name: ProjectName
    revisions: tuple[Revision, ...] = ()
    current: int | None = None

    @property
    def wanted(self) -> Revision | None:
        """The revision that should run."""
        return next((one for one in self.revisions if one.number == self.current), None)

    @property
    def last_published(self) -> Revision | None:
        """The revision whose files lie in the project's directory, as far as the history tells."""
        pending = [one for one in self.revisions if one.state is RevisionState.PENDING]
        # Of a stopped project, the files of what ran last are still there.
        return pending[-1] if pending else self.wanted or self.good_before(None)

    def find(self, number: int) -> Revision:
        """The revision of this number; raises `NotFound` that says which there are."""
        for one in self.revisions:
            if one.number == number:
                return one
        kept = ", ".join(str(one.number) for one in self.revisions) or "none"
        raise NotFound(f"revision: project '{self.name}' has no revision {number}; kept are {kept}")

    def of_job(self, job_id: str) -> Revision | None:
        """The revision that a job made."""
        return next((one for one in self.revisions if one.job_id == job_id), None)

    def good_before(self, number: int | None) -> Revision | None:
        """The last good revision, of those before `number` where one is given."""
        good = [
            one
            for one in self.revisions
            if one.state is RevisionState.GOOD and (number is None or one.number < number)
        ]
        return good[-1] if good else None

    def good_instead_of(self, number: int) -> Revision | None:
        """What to go back to from a revision: the wanted one, or the last good one before it.

        None for a stopped project.
        """
        wanted = self.wanted
        if wanted is None:
            return None
        is_good = wanted.number != number and wanted.state is RevisionState.GOOD
        return wanted if is_good else self.good_before(number)

    def with_revision(self, revision: Revision) -> ProjectHistory:
        """The history with this revision in the place of the one of its number, or at its end."""
        others = [one for one in self.revisions if one.number != revision.number]
        ordered = sorted([*others, revision], key=lambda one: one.number)
        return replace(self, revisions=tuple(ordered))

    def pruned(self, kept: int) -> ProjectHistory:
        """The last `kept` revisions; the wanted one, the last good one and those under way stay too."""
        last_good = self.good_before(None)
        stays = {self.current, None if last_good is None else last_good.number}
        newest = {one.number for one in self.revisions[-kept:]}
        return replace(
            self,
            revisions=tuple(
                one
                for one in self.revisions
                if one.number in newest | stays or one.state is RevisionState.PENDING
            ),
        )
