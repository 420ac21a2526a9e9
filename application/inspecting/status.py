"""How a host is: what an operator wants to know who has come over ssh.

Every part is asked at the same time, each with a deadline of its own; what cannot be said is told beside
the rest, with why.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from application.ports.agent_records import AgentRecords
from application.ports.aside import Aside
from application.ports.clock import Clock
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine import Engine, EngineInfo
from application.ports.engine_state import EngineState
from application.ports.machine import Machine
from application.ports.machine_facts import DiskRoom, MachineFacts
from domain.engine_state import FoundContainer, last_line
from domain.errors import InstaDeployError
from domain.installation import UNIT, Layout, UnitState
from domain.ledger import Ledger
from domain.ledger_jobs import LedgerJob
from domain.policy import Policy
from domain.revision import ProjectHistory

WITHIN_S: Final = 5.0
LAST_JOBS: Final = 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ShownProject:
    """`running` and `total` are None where the engine did not say."""

    name: str
    revision: int | None = None
    state: str = ""
    running: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job that changes something. `command` is empty where only its end is kept.

    `finished_at` is seconds since 1970; `open_for_s` is there for one that has not ended, and began
    since the machine booted.
    """

    id: str
    command: str
    project: str
    state: str
    finished_at: float | None = None
    open_for_s: float | None = None
    error: str = ""


@dataclass(slots=True)
class HostStatus:
    """`unsaid` has what could not be said, by the part that it is about, and why."""

    version: str
    control_plane: str
    release: str = ""
    host_id: str = ""
    policy: str = ""
    unit: UnitState | None = None
    pid: int | None = None
    engine: EngineInfo | None = None
    compose: str = ""
    projects: list[ShownProject] = field(default_factory=list)
    running: list[ShownJob] = field(default_factory=list)
    jobs: list[ShownJob] = field(default_factory=list)
    disks: dict[str, DiskRoom] = field(default_factory=dict)
    unsaid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """Asks; it takes no lock and changes nothing."""

    version: str
    control_plane: str
    machine: Machine
    records: AgentRecords
    facts: MachineFacts
    engine: Engine
    engine_state: EngineState
    runtime: ComposeRuntime
    policy: Callable[[], Policy]
    disks: Mapping[str, str]
    clock: Clock
    aside: Aside
    layout: Layout = Layout()  # noqa: RUF009 - it is frozen

    async def __call__(self) -> HostStatus:
        """All that can be said."""
        found = HostStatus(self.version, self.control_plane)
        async with asyncio.TaskGroup() as group:
            for name, part in (
                ("unit", self._unit),
                ("release", self._release),
                ("host id", self._identity),
                ("policy", self._policy),
                ("engine", self._engine),
                ("Compose", self._compose),
                ("projects", self._projects),
                ("jobs", self._jobs),
                ("disks", self._disks),
            ):
                group.create_task(self._said(found, name, part(found)), name=f"status of {name}")
        return found

    async def _said(self, found: HostStatus, name: str, part: Awaitable[None]) -> None:
        """One part, which may break also over what it was answered."""
        try:
            await part
        except Exception as exc:  # noqa: BLE001 - the others are told all the same
            found.unsaid[name] = _broken(exc)

    async def _ask(self, found: HostStatus, part: str, answer: Awaitable[T]) -> T | None:
        try:
            async with self.clock.timeout(WITHIN_S):
                return await answer
        except TimeoutError:
            found.unsaid[part] = f"no answer within {WITHIN_S:g} s"
        except InstaDeployError as exc:
            found.unsaid[part] = str(exc)
        except Exception as exc:  # noqa: BLE001 - the others are told all the same
            found.unsaid[part] = _broken(exc)
        return None

    async def _unit(self, found: HostStatus) -> None:
        found.unit, found.pid = await asyncio.gather(
            self._ask(found, "unit", self.aside(lambda: self.machine.unit(UNIT))),
            self._ask(found, "process", self.aside(self.records.running_pid)),
        )

    async def _release(self, found: HostStatus) -> None:
        current = self.layout.current
        link = await self._ask(found, "release", self.aside(lambda: self.machine.look(current)))
        found.release = (link.target or "") if link is not None else ""

    async def _identity(self, found: HostStatus) -> None:
        membership = await self._ask(found, "host id", self.aside(self.records.membership))
        found.host_id = membership.host_id if membership is not None else ""

    async def _policy(self, found: HostStatus) -> None:
        policy = await self._ask(found, "policy", self.aside(self.policy))
        found.policy = policy.name if policy is not None else ""

    async def _engine(self, found: HostStatus) -> None:
        found.engine = await self._ask(found, "engine", self.engine.info())

    async def _compose(self, found: HostStatus) -> None:
        found.compose = await self._ask(found, "Compose", self.runtime.version()) or ""

    async def _projects(self, found: HostStatus) -> None:
        names, kept, containers = await asyncio.gather(
            self._ask(found, "projects", self.aside(self.records.projects)),
            self._ask(found, "revisions", self.aside(self.records.histories)),
            self._ask(found, "containers", self.engine_state.all_projects()),
        )
        histories = kept or {}
        spelled = {name.compose_name: name.value for name in names or ()}
        spelled |= {
            key: key for key, history in histories.items()
            if key not in spelled and (history is None or history.wanted is not None)
        }  # fmt: skip
        found.projects = [
            _project(
                spelled[key],
                histories,
                key,
                None if containers is None else containers.get(key, ()),
            )
            for key in sorted(spelled)
        ]

    async def _jobs(self, found: HostStatus) -> None:
        kept = await self._ask(found, "jobs", self.aside(self.records.jobs))
        if kept is not None:
            jobs = [job for job in kept.ledger.open_jobs() if job.changes]
            found.running = [self._shown(job, kept.commands) for job in jobs]
            found.jobs = [self._shown(job, kept.commands) for job in _last_ended(kept.ledger)]

    async def _disks(self, found: HostStatus) -> None:
        for what, path in self.disks.items():
            asked = self.aside(lambda path=path: self.facts.room(path))  # type: ignore[misc]
            room = await self._ask(found, f"disk of {what}", asked)
            if room is not None:
                found.disks[what] = room

    def _shown(self, job: LedgerJob, commands: Mapping[str, str]) -> ShownJob:
        now, began = self.clock.since_boot(), job.accepted.accepted_at
        is_open = job.finished is None
        return ShownJob(
            id=job.job_id,
            command=commands.get(job.job_id, ""),
            project=job.accepted.project,
            state=job.state.value,
            finished_at=None if job.finished is None else job.finished.finished_at,
            open_for_s=now.seconds - began.seconds
            if is_open and now.boot_id == began.boot_id
            else None,
            error="" if job.finished is None else last_line(job.finished.error),
        )


def _broken(exc: Exception) -> str:
    # Without its text, which may quote anything.
    return f"looking itself broke: {type(exc).__name__}"


def _last_ended(ledger: Ledger) -> Sequence[LedgerJob]:
    """The newest first."""
    ended = [ledger.jobs[job_id] for job_id in ledger.finish_order]
    return [job for job in reversed(ended) if job.changes][:LAST_JOBS]


def _project(
    name: str,
    histories: Mapping[str, ProjectHistory | None],
    key: str,
    containers: Sequence[FoundContainer] | None,
) -> ShownProject:
    history = histories.get(key)
    wanted = None if history is None else history.wanted
    state = "" if wanted is None else wanted.state.value
    if key in histories and history is None:
        state = "history is damaged"
    elif history is not None and wanted is None:
        state = "stopped"
    states = Counter(one.state for one in containers or () if not one.is_oneoff)
    said = containers is not None
    return ShownProject(
        name=name,
        revision=None if wanted is None else wanted.number,
        state=state,
        running=states["running"] if said else None,
        total=states.total() if said else None,
    )
