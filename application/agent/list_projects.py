"""LIST_PROJECTS: which projects this host has, and how they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.agent.get_status import journal_column, wanted_column
from application.agent.handling import Completed, Deadlines, Outcome, StepTimedOut, run_step
from application.agent.job_book import JobBook
from application.ports.clock import Clock
from application.ports.engine_state import EngineState
from application.ports.project_files import ProjectFiles
from application.ports.revision_store import RevisionStore
from domain.commands import ListProjects
from domain.engine_state import FoundContainer
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProjectsHandler:
    """Reads only. Projects of others, which the engine runs and nobody deployed here, are named too."""

    files: ProjectFiles
    store: RevisionStore
    state: EngineState
    book: JobBook
    clock: Clock
    deadlines: Deadlines

    async def __call__(self, _command: ListProjects, /) -> Outcome:
        """Report; an engine that does not answer is said, and the rest is said all the same."""
        trouble = ""
        running: Mapping[str, Sequence[FoundContainer]] = {}
        try:
            running = await run_step(
                self.clock,
                "asking Docker Engine for its containers",
                self.deadlines.status_s,
                self.state.all_projects(),
            )
        except (RuntimeUnavailable, StepTimedOut) as exc:
            trouble = str(exc)
        projects = [
            await self._project(name, None if trouble else running.get(name.compose_name, ()))
            for name in await self.files.names()
        ]
        ours = {str(one["project_name"]).lower() for one in projects}
        others = [
            {"project_name": name, "containers": _counted(found)}
            for name, found in sorted(running.items())
            if name not in ours
        ]
        lines = [f"Projects on this host: {len(projects)}."]
        lines += [f"  {one['project_name']}  {_in_words(one['containers'])}" for one in projects]
        if trouble:
            lines.append(trouble)
        engine = {"reachable": False, "detail": trouble} if trouble else {"reachable": True}
        data = {"projects": projects, "others": others, "engine": engine}
        return Completed("\n".join(lines), data)

    async def _project(
        self, name: ProjectName, found: Sequence[FoundContainer] | None
    ) -> Mapping[str, object]:
        return {
            "project_name": name.value,
            "wanted": wanted_column(await self.store.history(name)),
            "journal": journal_column(self.book, name),
            "containers": None if found is None else _counted(found),
        }


def _counted(found: Sequence[FoundContainer]) -> dict[str, int]:
    states = Counter(one.state for one in found if not one.is_oneoff)
    return {"total": states.total(), **dict(sorted(states.items()))}


def _in_words(containers: object) -> str:
    if not isinstance(containers, dict):
        return "how it is cannot be said"
    if not containers["total"]:
        return "stopped"
    return f"{containers.get('running', 0)} of {containers['total']} containers running"
