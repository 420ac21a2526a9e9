"""Whether each job came to its one end, and the host is as the last command of each project wanted it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.agents import QUESTIONS, AgentHost
from tests.faults.counting import Verdict
from tests.faults.effects import SERVICES, Effects
from tests.support.peer_database import PeerDatabase


@dataclass
class Project:
    """`wanted` is the revision that the last command wants, 0 for none at all."""

    name: str
    wanted: int = 0
    revisions: int = 0


@dataclass
class Given:
    """A command that was given, and the states in which it may end."""

    job_id: str
    project: str
    revision: int
    ends: frozenset[str]


@dataclass
class Allowed:
    """What a fault excuses."""

    repeats: bool = False
    """Executors are killed: steps are tried again, and make containers again."""
    unknown_effect: set[str] = field(default_factory=set)
    """Projects whose containers may be in any state, as where a job is canceled."""
    no_output: set[str] = field(default_factory=set)
    """Jobs whose output was delivered, and is not there to be delivered once more."""


class Judge:
    """Looks at what three of them have: the control plane, the agent's host, and the engine."""

    def __init__(
        self,
        database: PeerDatabase,
        agent: AgentHost,
        effects: Effects,
        *,
        given: Sequence[Given],
        projects: Mapping[str, Project],
        allowed: Allowed,
        verdict: Verdict,
    ) -> None:
        self._database = database
        self._agent = agent
        self._effects = effects
        self._given = given
        self._projects = projects
        self._allowed = allowed
        self._verdict = verdict

    async def everything(self) -> None:
        """Once all jobs are over, and no executor runs."""
        self.jobs()
        self._starts()
        await self._effects.caught_up()
        self._done()
        await self._containers()

    def jobs(self) -> None:
        """R1, R3: each has come to one of its ends, once."""
        for given in self._given:
            job = self._database.jobs[given.job_id]
            if not job.finals:
                self._verdict.lost.append(f"{given} is {job.state}: {job.answers}")
                continue
            if len(job.finals) > 1 and not job.is_inherited:
                self._verdict.doubled.append(f"{given} has {len(job.finals)} results")
            if job.state not in given.ends and not self._is_superseded(given):
                self._verdict.wrong.append(f"{given} is {job.state}: {job.finals[-1]}")

    def _is_superseded(self, given: Given) -> bool:
        """Whether it gave way to a later deployment of its project, as a queued one does."""
        final = self._database.jobs[given.job_id].finals[-1]
        by = [one.job_id for one in self._given].index
        return (
            final["state"] == "superseded"
            and by(final["data"]["superseded_by"]) > by(given.job_id)
            and self._given[by(final["data"]["superseded_by"])].project == given.project
        )

    def _starts(self) -> None:
        """R4: at most one start a run; where no executor was killed, one run a step of a job."""
        starts = self._agent.docker_starts()
        runs = Counter(start.run for start in starts if start.action not in QUESTIONS)
        for run, times in runs.items():
            if times > 1:
                self._verdict.doubled.append(f"the run {run} was started {times} times")
        if self._allowed.repeats:
            return
        for project in self._projects.values():
            given = [one for one in self._given if one.project == project.name]
            back = self._taken_back(project)
            for action, is_deployment in (("up", True), ("down", False)):
                most = back + sum(bool(one.revision) is is_deployment for one in given)
                found = sum((one.action, one.project) == (action, project.name) for one in starts)
                if found > most:
                    self._verdict.doubled.append(f"{found} starts of {action} for {most} jobs")

    def _taken_back(self, project: Project) -> int:
        """How many deployments may have been taken back, each by one more run."""
        return sum(
            bool(one.revision) and self._database.jobs[one.job_id].state in ("failed", "canceled")
            for one in self._given
            if one.project == project.name
        )

    def _wanted(self, project: Project) -> int:
        """R11: what did not succeed has left what was there before, unless it was forgotten."""
        wanted = 0
        for one in self._given:
            if one.project != project.name:
                continue
            job = self._database.jobs[one.job_id]
            if job.finals[-1].get("data", {}).get("reason") == "journal_damaged":
                return project.wanted
            if job.state == "succeeded":
                wanted = one.revision
        return wanted

    def _done(self) -> None:
        if self._allowed.repeats:
            return
        for given in self._given:
            state = self._database.jobs[given.job_id].state
            if not given.revision or given.project in self._allowed.unknown_effect:
                continue
            most = int(state not in ("superseded", "expired"))
            most += self._taken_back(self._projects[given.project])
            for service in SERVICES:
                made = self._effects.times("create", given.project, service, given.revision)
                if made > most:
                    self._verdict.doubled.append(f"{given}: {service} was created {made} times")
                elif made == 0 and state == "succeeded":
                    self._verdict.wrong.append(f"{given}: {service} was never created")
        for project in self._projects.values():
            order = [
                one.revision
                for one in self._effects.happened
                if one.action == "create" and one.project == project.name
            ]
            if order != sorted(order) and not self._taken_back(project):
                self._verdict.wrong.append(f"{project.name} was made in the order {order}")

    async def _containers(self) -> None:
        found = await self._effects.containers()
        for project in self._projects.values():
            if project.name in self._allowed.unknown_effect:
                continue
            own = [one for one in found if one.project == project.name]
            wanted = self._wanted(project)
            is_as_wanted = (
                {one.name for one in own} == {f"{project.name}-{name}-1" for name in SERVICES}
                and len(own) == len(SERVICES)
                and all(one.state == "running" for one in own)
                and all(one.revision == wanted for one in own)
            )
            if not (is_as_wanted if wanted else not own):
                self._verdict.wrong.append(f"{project} has {own}, and revision {wanted} is wanted")
