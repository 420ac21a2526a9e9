"""A sample of the crash sweep (`make crash-sweep` is all of it), and the checker's own tests."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from domain.commands import DeployCompose
from domain.ledger import Ledger
from domain.project import ComposeFile, ProjectName
from domain.records import JobAccepted, Moment, StepExit, StepExited, StepStarting
from tests.crash_sweep.case import Report, run_case
from tests.crash_sweep.faults import Fault, How, Who
from tests.crash_sweep.host import Effect
from tests.crash_sweep.ledgers import against_effects, disturbed_steps
from tests.crash_sweep.strace import LineReader
from tests.crash_sweep.sweep import COUNTED, USUAL

AT_ONCE = 2
A_CHUNK = 4
EVERY = {
    (Who.AGENT, How.AFTER): 24,
    (Who.AGENT, How.BEFORE): 24,
    (Who.AGENT, How.OPENED): 9,
    (Who.RUNNER, How.AFTER): 12,
    (Who.RUNNER, How.BEFORE): 12,
}
SAMPLES = (
    "agent/eio/15 agent/eio/54 agent/enospc/33 agent/enospc/64 agent/enospc/130 agent/eio/170 "
    "agent/after/30+11 agent/before/96+5 agent/after/150+60"
)


def _sample() -> list[Fault]:
    faults = [
        Fault(who, how, number)
        for (who, how), every in EVERY.items()
        for number in range(every // 2, USUAL[COUNTED[who, how]], every)
    ]
    return [*faults, *map(Fault.named, SAMPLES.split())]


def _chunks() -> list[list[Fault]]:
    """Each holds something of everything."""
    faults = _sample()
    count = -(-len(faults) // A_CHUNK)
    return [faults[number::count] for number in range(count)]


@pytest.mark.parametrize("faults", _chunks(), ids=lambda faults: str(faults[0]))
async def test_nothing_is_lost_and_nothing_doubled(faults: list[Fault]) -> None:
    assert shutil.which("strace"), "strace is missing: run these tests with 'make test'"
    turns = asyncio.Semaphore(AT_ONCE)

    async def run(fault: Fault) -> Report:
        async with turns:
            return await run_case(fault)

    reports = await asyncio.gather(*map(run, faults))
    violated = [
        f"{report.fault} ({'; '.join(map(str, report.struck))}): {violation}\n{report.log}"
        for report in reports
        for violation in report.violations
    ]
    assert not violated, "\n".join(violated)
    assert any(report.struck for report in reports), "the scenario has become another one"


DONE = [Effect(what, "a" * 32, "up", "web") for what in ("start", "end")]


def test_what_was_done_once_and_written_down_is_in_order() -> None:
    assert list(against_effects(DONE, _journal())) == []
    assert list(disturbed_steps(_journal(), DONE)) == []


@pytest.mark.parametrize(
    ("effects", "words"),
    [
        ([], "called done, and was not"),
        (DONE[:1], "called done, and was not"),
        ([*DONE, *DONE], "2 times under one token"),
        ([*DONE, Effect("start", "b" * 32, "up", "web")], "not in the journal"),
        ([Effect(one.what, one.token, "down", "web") for one in DONE], "another step"),
        ([DONE[0], Effect("overlap", "a" * 32, "up", "web"), DONE[1]], "had ended"),
        ([DONE[0], Effect("start", "b" * 32, "up", "web"), DONE[1]], "in the middle of"),
    ],
)
def test_what_was_done_otherwise_is_found(effects: list[Effect], words: str) -> None:
    assert any(words in one for one in against_effects(effects, _journal()))


def test_a_step_that_was_begun_twice_is_found() -> None:
    ledger = _journal()
    ledger.apply(StepStarting("d1", "apply", 2, "b" * 32, "boot"))
    ledger.apply(StepExited("d1", "apply", 2, None))
    again = Effect("start", "b" * 32, "up", "web")
    assert list(against_effects([*DONE, again], ledger)) == []
    assert list(disturbed_steps(ledger, [*DONE, again])) == ["d1: apply was begun 2 times"]


def test_a_call_that_others_came_in_the_middle_of_is_put_together() -> None:
    text = (
        b'7 fsync(3</s/journal> <unfinished ...>\n8 rename("/s/a", "/s/b") = 0 (INJECTED)\n'
        b"7 <... fsync resumed>) = 0\n7 fsync(3</s/journal> <unfinished ...>\n7 +++ killed by SIGKILL +++\n"
    )
    reader = LineReader()
    lines = [line for at in range(len(text)) for line in reader.take(text[at : at + 1])]
    assert [(line.thread, line.call, line.is_injected) for line in lines] == [
        (8, "rename", True),
        (7, "fsync", False),
        (7, "fsync", False),
        (7, "", False),
    ]
    assert lines[2].text == "fsync(3</s/journal>) = ?"


def _journal() -> Ledger:
    """A job that came to its end in one attempt."""
    ledger = Ledger()
    deploy = DeployCompose(ProjectName("web"), ComposeFile(b"services: {}\n"))
    ledger.apply(JobAccepted("d1", deploy, "", Moment("boot", 0.0)))
    ledger.apply(StepStarting("d1", "apply", 1, "a" * 32, "boot"))
    ledger.apply(StepExited("d1", "apply", 1, StepExit(0, output_sha256="0" * 64)))
    return ledger
