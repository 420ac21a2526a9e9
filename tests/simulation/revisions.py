"""R10 and R11, checked on what was on the engine at the moment at which each job had ended.

What should run is followed from job to job: what succeeded is what runs, and what failed has left
what ran before it, unless it says that it could not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.commands import DeployCompose, RollbackCompose, StopCompose
from domain.job import JobState
from domain.records import JobAccepted, JobFinished
from tests.simulation.engine import SERVICES, Contents, Manner, manner_of

TOUCHING: Final = ("apply", "remove", "rollback", "take away")
"""What the steps begin with that change what runs."""
UNRECORDED: Final = "could not be written down"


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended, with the steps that it began, and what was on the engine then."""

    accepted: JobAccepted
    finished: JobFinished
    steps: frozenset[str]
    contents: Contents


@dataclass(slots=True)
class _Project:
    """What is known of one. `wanted` is None where nothing should run."""

    is_known: bool = True
    """False where a job has left it half-way, and has said so."""
    wanted: bytes | None = None
    number: int | None = None
    good: dict[int, bytes] = field(default_factory=dict)
    is_history_known: bool = True
    """False where it is not known which revisions are good, or which one is wanted."""
    may_have_others: bool = False
    """Whether there may be good revisions of which no job has told, as its records are lost."""


class RunningAsWanted:
    """Is given the jobs of all projects, in the order in which they ended."""

    def __init__(self) -> None:
        self._projects: dict[str, _Project] = {}

    def wrong(self, name: str, ended: Ended) -> Iterator[str]:
        """What is not as it should be, of a project that has Compose's name `name`."""
        project = self._projects.setdefault(name, _Project())
        job_id, state = ended.finished.job_id, ended.finished.state
        if _is_untold(ended.finished):
            project.may_have_others = True
        if state is JobState.SUCCEEDED:
            yield from self._succeeded(name, project, ended)
        elif not any(step.startswith(TOUCHING) for step in ended.steps):
            # What never had its turn has ended while others were at work.
            if state is JobState.FAILED and not _is_untold(ended.finished):
                yield from _unless_it_runs(
                    name, project, ended, f"R11: {job_id} has touched nothing"
                )
        else:
            yield from self._failed(name, project, ended)

    def left(self, contents: Mapping[str, Contents]) -> Iterator[str]:
        """What does not run, or does, when all is over."""
        for name, project in self._projects.items():
            if project.is_known and not _is(contents.get(name, {}), name, project.wanted):
                yield f"R11: in the end {name} has {contents.get(name)}, not {project.wanted!r}"

    def _succeeded(self, name: str, project: _Project, ended: Ended) -> Iterator[str]:
        job_id, data = ended.finished.job_id, ended.finished.data
        match ended.accepted.command:
            case StopCompose():
                project.wanted = project.number = None
            case DeployCompose() as deploy:
                project.wanted, project.number = deploy.file.content, _number(data, "revision")
                assert project.number is not None
                project.good[project.number] = project.wanted
            case RollbackCompose():
                target = _number(data, "revision")
                assert target is not None
                before = [one for one in project.good if one < (project.number or 1 << 30)]
                is_sure = project.is_history_known and not project.may_have_others
                if is_sure and target != max(before, default=None):
                    yield f"R11: {job_id} went back to {target}, not to the last of {before}"
                project.wanted, project.number = project.good.get(target), target
            case _:
                return
        project.is_known = project.wanted is not None or project.number is None
        project.is_history_known = True
        if project.wanted is not None and manner_of(project.wanted) is not Manner.SOUND:
            yield f"R10: {job_id} has succeeded with {project.wanted!r}"
        yield from _unless_it_runs(name, project, ended, f"R10: {job_id} has succeeded")

    def _failed(self, name: str, project: _Project, ended: Ended) -> Iterator[str]:
        finished = ended.finished
        command, data = ended.accepted.command, finished.data
        says_so = "rollback_failed" in data
        if _is_untold(finished):
            project.is_known = project.is_history_known = False
            return
        match command:
            case StopCompose():
                project.is_known = project.is_history_known = False
                return
            case DeployCompose() if not command.options.auto_rollback:
                if "left" not in data:
                    yield f"R11: it is not said what is left: {finished}"
                project.is_known = project.is_history_known = False
                return
            case RollbackCompose() if "left" in data and not says_so:
                # Nothing ran that it could have gone back to.
                project.is_known = False
                return
            case _ if not says_so and "rolled_back_to" not in data:
                yield f"R11: it is not said what was gone back to: {finished}"
        if says_so:
            project.is_known = False
            return
        number = _number(data, "rolled_back_to")
        if number is not None and number in project.good:
            if project.is_history_known and project.number is not None and project.number != number:
                yield f"R11: {finished.job_id} went back to {number}, not to {project.number}"
            project.wanted, project.number, project.is_known = project.good[number], number, True
        yield from _unless_it_runs(name, project, ended, f"R11: {finished.job_id} went back")


def _is_untold(finished: JobFinished) -> bool:
    """Whether what the job has come to is more than its end says."""
    return UNRECORDED in finished.error or finished.data.get("reason") == "journal_damaged"


def _unless_it_runs(name: str, project: _Project, ended: Ended, what: str) -> Iterator[str]:
    if project.is_known and not _is(ended.contents, name, project.wanted):
        yield (
            f"{what}, and {name} has {dict(ended.contents)} instead of {project.wanted!r}: "
            f"{ended.finished}"
        )


def _is(contents: Contents, name: str, wanted: bytes | None) -> bool:
    if wanted is None:
        return not contents
    return dict(contents) == {service: (f"{name}-{service}-1", wanted) for service in SERVICES}


def _number(data: Mapping[str, object], name: str) -> int | None:
    found = data.get(name)
    return found if isinstance(found, int) else None
