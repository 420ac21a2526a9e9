"""Compares three ledgers: what the control plane was told, what the journal says, what was done.

Each sentence that is given is a promise that was broken.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from adapters.filesystem.revision_store import LocalRevisionStore
from adapters.journal.durable_journal import DurableJobJournal
from domain.ledger import Ledger
from domain.ledger_jobs import LedgerJob
from domain.project import ProjectName
from tests.crash_sweep.faults import Fault, Who
from tests.crash_sweep.host import Effect, Host
from tests.crash_sweep.scenario import ALPHA, BETA, COMPOSE, ENV, Asked
from tests.support.agent_frames import OVER
from tests.support.peer_database import PeerDatabase
from tests.support.peer_ledger import JobEntry

ACTIONS: Final = {"apply": "up", "remove": "down", "rollback": "up", "take away": "down"}
"""What a step does, as Compose calls it."""
PRIVATE: Final = "private"
ATTEMPTS: Final = 3
"""More are never needed where two processes are killed in all."""


async def contradictions(
    database: PeerDatabase, host: Host, asked: Asked, fault: Fault | None
) -> list[str]:
    """Everything that does not fit, once all is settled and the agent has ended."""
    ledger, damage = await _journal(host.state)
    effects = host.effects()
    found = [*database.violations, *([f"the journal is damaged: {damage}"] if damage else [])]
    found += _between_peer_and_journal(database, ledger)
    found += against_effects(effects, ledger)
    for job in database.jobs.values():
        found += _told(job)
    if fault is None or not fault.how.is_error:
        found += _wished_for(database, host, asked)
        found += await _kept(host.state)
        if fault is None or fault.who is Who.AGENT:
            found += disturbed_steps(ledger, effects)
    return found


def _wished_for(database: PeerDatabase, host: Host, asked: Asked) -> Iterator[str]:
    """R1: on a sound disk everything comes to the end that it was to have, whoever was killed."""
    for job_id, state in asked.expected.items():
        job = database.jobs[job_id]
        if job.state != state:
            yield f"{job_id} was to be {state}: {job.finals[-1:]}"
    published = host.projects / ALPHA / "docker-compose.yml"
    if not published.exists() or published.read_text(encoding="utf-8") != COMPOSE:
        yield f"the compose file of {ALPHA} is not what was deployed"


async def _kept(state: Path) -> list[str]:
    """R11: what was good is known, and so is what failed; nothing that is private is left."""
    with tempfile.TemporaryDirectory() as copied, ThreadPoolExecutor(1) as threads:
        shutil.copytree(state / "revisions", Path(copied) / "revisions")
        store = LocalRevisionStore(Path(copied), threads)
        found = []
        for project, states in ((ALPHA, ["good", "failed"]), (BETA, ["failed"])):
            history = await store.history(ProjectName(project))
            known = [one.state.value for one in history.revisions]
            if known != states or history.wanted is not None:
                found.append(f"{project} was to have revisions that are {states}: {history}")
        kept = await store.content(ProjectName(ALPHA), 1)
        if (kept.file.content.decode(), kept.env) != (COMPOSE, ENV.encode()):
            found.append("the first revision does not consist of what was deployed")
    private = [path for path in state.rglob("*") if path.is_file() and PRIVATE in path.parts]
    return found + [f"{path} is left, which is private" for path in private]


def _told(job: JobEntry) -> Iterator[str]:
    """R1, R3, R6: the control plane has one end of each job, whole."""
    if job.state not in OVER:
        yield f"{job.job_id} has no end: it is {job.state}"
    if len({final["state"] for final in job.finals}) > 1:
        yield f"{job.job_id} has several ends: {job.finals}"
    if not job.has_all_output:
        yield f"{job.job_id}: some of its output is missing"


def _between_peer_and_journal(database: PeerDatabase, ledger: Ledger) -> Iterator[str]:
    """R1, R3: both sides of the link have the same."""
    said = database.ledger
    if ledger.jobs.keys() != said.jobs.keys():
        yield f"the journal has {sorted(ledger.jobs)}, the control plane {sorted(said.jobs)}"
        return
    if (ledger.epoch, ledger.peer_epoch) != (said.agent_epoch, said.epoch):
        yield "the two sides speak within different epochs"
    if ledger.next_seq - 1 != said.last_seq_seen:
        yield f"{ledger.next_seq - 1} messages were given, {said.last_seq_seen} were received"
    if ledger.heard != len(said.outgoing) or ledger.heard_beyond:
        yield f"{len(said.outgoing)} messages were issued, {ledger.heard} were heard"
    for job_id, job in ledger.jobs.items():
        finals = said.jobs[job_id].finals
        if job.finished is None or not finals:
            yield f"{job_id} has no end in the journal, or was not told to have one"
            continue
        told = finals[0]
        if (job.finished.state, job.finished.error) != (told["state"], told.get("error", "")):
            yield f"{job_id} was told to be {told}, and is {job.finished}"
        yield from _output_of(job, said.jobs[job_id])


def _output_of(job: LedgerJob, entry: JobEntry) -> Iterator[str]:
    known = [
        (attempt.step, attempt.number, attempt.exit.exit_code)
        if attempt.exit is not None and attempt.exit.output_sha256
        else (attempt.step, attempt.number, None)
        for attempt in job.attempts
    ]
    told = [(one["step"], one["attempt"], one["exit_code"]) for one in entry.finals[0]["output"]]
    if known != told:
        yield f"{job.job_id} made the attempts {known}, and {told} were told"


def against_effects(effects: list[Effect], ledger: Ledger) -> Iterator[str]:
    """R4, R7: nothing was done that is not written down, nothing twice, nothing at the same time."""
    plans = {
        attempt.token: (job.job_id, attempt.step, attempt.exit)
        for job in ledger.jobs.values()
        for attempt in job.attempts
    }
    counts = Counter((effect.what, effect.token) for effect in effects)
    for effect in effects:
        if effect.token not in plans:
            yield f"not in the journal: {effect}"
        elif ACTIONS[plans[effect.token][1]] != effect.action:
            yield f"another step than the journal's {plans[effect.token]}: {effect}"
        if effect.what == "overlap":
            yield f"began before the one before it had ended: {effect}"
        if counts[effect.what, effect.token] > 1:
            yield f"done {counts[effect.what, effect.token]} times under one token: {effect}"
    for token, plan in plans.items():
        exit_ = plan[2]
        if exit_ is not None and exit_.exit_code == 0 and not counts["end", token]:
            yield f"called done, and was not: {plan}"
    for job in ledger.jobs.values():
        for step in {attempt.step for attempt in job.attempts}:
            numbers = [attempt.number for attempt in job.attempts_at(step)]
            if numbers != list(range(1, len(numbers) + 1)) or len(numbers) > ATTEMPTS:
                yield f"{job.job_id}: {step} has the attempts {numbers}"
            if not all(attempt.is_over for attempt in job.attempts_at(step)):
                yield f"{job.job_id}: {step} is not over"
    yield from _one_at_a_time(effects)


def _one_at_a_time(effects: list[Effect]) -> Iterator[str]:
    """R7: between a run's start and its end there is no line of another run of its project."""
    ends = {effect.token for effect in effects if effect.what == "end"}
    running: dict[str, str] = {}
    for effect in effects:
        holder = running.get(effect.project, effect.token)
        if holder != effect.token:
            yield f"in the middle of {holder}: {effect}"
        if effect.what == "start" and effect.token in ends:
            running[effect.project] = effect.token
        elif effect.what == "end":
            running.pop(effect.project, None)


def disturbed_steps(ledger: Ledger, effects: list[Effect]) -> Iterator[str]:
    """R13: where only the agent is killed, no step is begun a second time."""
    starts = Counter(effect.token for effect in effects if effect.what == "start")
    for job in ledger.jobs.values():
        for step in {attempt.step for attempt in job.attempts}:
            begun = sum(starts[attempt.token] for attempt in job.attempts_at(step))
            if begun != 1:
                yield f"{job.job_id}: {step} was begun {begun} times"


async def _journal(state: Path) -> tuple[Ledger, str]:
    """What an agent would find that started now, read from a copy; and what is damaged of it."""
    with tempfile.TemporaryDirectory() as copied, ThreadPoolExecutor(1) as threads:
        for name in ("journal", "tombstones"):
            shutil.copy(state / name, copied)
        journal, ledger = DurableJobJournal(Path(copied), threads), Ledger()
        await journal.open(ledger.apply)
        await journal.close()
        return ledger, journal.damage
