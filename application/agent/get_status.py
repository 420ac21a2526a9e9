"""STATUS: what a project should run, what was done last, and what really runs, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from application.agent.handling import Completed, Deadlines, Failed, Outcome, StepTimedOut, run_step
from application.agent.job_book import JobBook
from application.ports.clock import Clock
from application.ports.engine_state import EngineState
from application.ports.project_files import ProjectFiles
from application.ports.revision_store import RevisionStore
from domain.commands import GetStatus
from domain.drift import Drift, drift_of
from domain.engine_state import FoundContainer
from domain.errors import NotFound
from domain.project import ProjectName
from domain.revision import ProjectHistory, Revision
from domain.services import describe_services

_CONSEQUENCE = "how the project is cannot be said"
_QUESTION = "asking Docker Engine for the project's containers"


@dataclass(frozen=True, slots=True, kw_only=True)
class GetStatusHandler:
    """Reads only. An engine that does not answer is a failure, never 'stopped'."""

    files: ProjectFiles
    store: RevisionStore
    state: EngineState
    book: JobBook
    clock: Clock
    deadlines: Deadlines

    async def __call__(self, command: GetStatus) -> Outcome:
        """Report; a project that this host does not know is a fact to report, not a failure."""
        name = command.project
        try:
            await self.files.locate(name)
        except NotFound as exc:
            return Completed(str(exc), self._data(name, None, ()))
        history = await self.store.history(name)
        try:
            found = await run_step(
                self.clock, _QUESTION, self.deadlines.status_s, self.state.containers(name)
            )
        except StepTimedOut as exc:
            return Failed(f"{exc}; {_CONSEQUENCE}", data={"reason": "deadline"})
        data = self._data(name, history, found)
        services = [one.as_service_container() for one in found if not one.is_oneoff]
        text = describe_services(name, services)
        for one in drift_in(history, found):
            text += f"\n  {one.kind}: {one.sentence}"
        return Completed(text, data)

    def _data(
        self, name: ProjectName, history: ProjectHistory | None, found: Sequence[FoundContainer]
    ) -> dict[str, object]:
        exists = history is not None
        history = history or ProjectHistory(name)
        own = [one for one in found if not one.is_oneoff]
        return {
            "project_name": name.value,
            "exists": exists,
            "services": [asdict(one.as_service_container()) for one in own],
            "wanted": wanted_column(history),
            "journal": journal_column(self.book, name),
            "engine": [_container_data(one) for one in own],
            "drift": [one.as_data() for one in drift_in(history, found)],
        }


def drift_in(history: ProjectHistory, found: Sequence[FoundContainer]) -> Sequence[Drift]:
    """How what runs differs from the wanted revision; of a stopped project, whatever there is."""
    wanted = history.wanted
    if wanted is not None and not wanted.expected:
        return ()  # Of one that was adopted, or never came up, nothing is known to compare with.
    if wanted is None and not history.revisions:
        return ()
    return drift_of(history.name, () if wanted is None else wanted.expected, found)


def wanted_column(history: ProjectHistory) -> dict[str, object] | None:
    """The revision that should run; None for a project that should run nothing."""
    return None if history.wanted is None else revision_data(history.wanted)


def revision_data(revision: Revision) -> dict[str, object]:
    """What is told of a revision; never what it consists of."""
    return {
        "revision": revision.number,
        "digest": revision.digest,
        "state": revision.state.value,
        "job_id": revision.job_id,
        "created_at": revision.created_at,
        "requested_by": revision.options.requested_by,
        "labels": dict(revision.options.labels),
        "error": revision.error,
        "images": [asdict(one) for one in revision.images],
    }


def journal_column(book: JobBook, name: ProjectName) -> dict[str, object] | None:
    """The last job of the project that the journal knows of.

    Of another spelling it is none: to Compose they are one project, and so they share a lane, but one
    of them is refused, and has done nothing to this one.
    """
    last = None
    for job in book.ledger.jobs.values():
        is_same = job.accepted.project == name.compose_name
        if job.changes and is_same and job.accepted.spelling in ("", name.value):
            last = job
    if last is None:
        return None
    return {
        "job_id": last.job_id,
        "state": last.state.value,
        "error": last.finished.error if last.finished is not None else "",
        "finished_at": last.finished.finished_at if last.finished is not None else None,
    }


def _container_data(one: FoundContainer) -> dict[str, object]:
    return {
        "service": one.service,
        "container": one.name,
        "state": one.state,
        "status": one.status,
        "health": one.health.value,
        "exit_code": one.exit_code,
        "restart_count": one.restart_count,
        "started_at": one.started_at,
        "image": one.image,
        "image_id": one.image_id,
    }
