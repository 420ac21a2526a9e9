"""LIST_REVISIONS: what a project had deployed, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from application.agent.get_status import revision_data
from application.agent.handling import Completed, Outcome
from application.agent.revisions import RevisionFiles
from domain.commands import ListRevisions


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRevisionsHandler:
    """Reads only; contents and environments stay on the host."""

    revisions: RevisionFiles

    async def __call__(self, command: ListRevisions, /) -> Outcome:
        """Report; a project that this host does not know is refused."""
        history = await self.revisions.known(command.project)
        lines = [f"Revisions of project '{command.project}': {len(history.revisions)}."]
        for one in history.revisions:
            mark = "*" if one.number == history.current else " "
            error = f"  {one.error.splitlines()[0]}" if one.error else ""
            lines.append(f"{mark} {one.number:>4}  {one.state}  {one.digest[:12]}{error}")
        return Completed(
            "\n".join(lines),
            {
                "project_name": command.project.value,
                "current": history.current,
                "revisions": [revision_data(one) for one in history.revisions],
            },
        )
