"""`instadeploy` as people see it: in a real terminal."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from entrypoints.cli.texts import width_of
from tests.fleet import output_sending, results
from tests.fleet.agent import Agent
from tests.fleet.memory import KeptJob
from tests.fleet.plane_process import PlaneProcess
from tests.fleet.printing import LINE_BYTES
from tests.fleet.scripts import JobPlan, Outcome
from tests.integration.cli.rig import Rig
from tests.integration.cli.terminal import COLOUR, CURSOR, Condition, Terminal, terminal_of
from tests.support.ports import reserved_port

WAITING = JobPlan(Outcome.WAIT)
TALKING = JobPlan(Outcome.WAIT, output_bytes=2 * LINE_BYTES)
FAILING = JobPlan(Outcome.FAIL, output_bytes=2 * LINE_BYTES)
LONG_ERROR = "; ".join(f"service web{number} is not well after 60 s" for number in range(8))


@pytest.fixture
async def terminal(rig: Rig) -> AsyncIterator[Terminal]:
    """Wide, and the administrator's."""
    async with terminal_of(rig.home, rig.environment(rig.here())) as one:
        yield one


@pytest.fixture
async def narrow(rig: Rig) -> AsyncIterator[Terminal]:
    async with terminal_of(rig.home, rig.environment(rig.here()), columns=40, rows=50) as one:
        yield one


def _print(agent: Agent, lines: int = 1) -> None:
    """Let each job of it that runs print so many lines more."""
    for job in list(agent.memory.open_jobs()):
        agent.host._print(job, lines * LINE_BYTES)


def _many(text: str, times: int) -> Condition:
    """So often it can be read on the screen."""
    return lambda screen: screen.count(text) == times


def _rows(screen: str, *hosts: str) -> list[str]:
    """The lines that begin with a host's name, in their order."""
    return [line for line in screen.splitlines() if line.split()[:1] and line.split()[0] in hosts]


async def _deploying(rig: Rig, terminal: Terminal) -> tuple[Agent, Agent]:
    """Two hosts whose jobs run, and are followed on the screen."""
    one = await rig.agent("web-1", WAITING)
    two = await rig.agent("web-2", WAITING)
    await terminal.run(f"instadeploy deploy {rig.name('web-1')} {rig.name('web-2')} blog")
    await terminal.until(_many("accepted", 2), "two jobs")
    for agent in (one, two):
        _print(agent)
    await terminal.until(_many("running", 2), "two jobs that run")
    return one, two


class TestProgress:
    async def test_rows_change_in_place_and_end_in_the_summary(
        self, rig: Rig, terminal: Terminal
    ) -> None:
        agents = await _deploying(rig, terminal)
        names = rig.name("web-1"), rig.name("web-2")
        seen = []
        for number in range(1, 6):
            for agent in agents:
                _print(agent)
            told = f"line {number} "
            screen = await terminal.until(_many(told, 2), f"{told} of both")
            seen.append(screen.splitlines())
            for row in _rows(screen, *names):
                assert re.match(r"\S+ +running +apply +[\d.:]+ (s|min) +\S+ line \d", row), row
        # Each has as many lines, and but for the rows the same ones.
        assert {len(lines) for lines in seen} == {len(seen[0])}
        assert {tuple(lines[:-2]) for lines in seen} == {tuple(seen[0][:-2])}
        assert not await terminal.is_cursor_shown()
        agents[0].host.release()
        await terminal.until(_many("succeeded", 1), "the first to end")
        agents[1].host.release()
        screen = await terminal.ended()
        assert "HOST" in screen
        assert "RESULT" in screen
        assert len(_rows(screen, *names)) == 4
        assert screen.count("succeeded") == 4
        assert "running" not in await terminal.screen(with_past=True)
        assert await terminal.is_cursor_shown()

    async def test_what_one_host_prints_stands_above_its_row(
        self, rig: Rig, terminal: Terminal
    ) -> None:
        agent = await rig.agent("web-1", WAITING)
        await terminal.run(f"instadeploy deploy {rig.name('web-1')} blog")
        await terminal.shows("accepted")
        for number in range(3):
            _print(agent, 2)
            await terminal.shows(f"line {2 * number + 1} ")
        screen = await terminal.screen()
        assert re.findall(r"^apply: \S+ line (\d+)", screen, re.MULTILINE) == list("012345")
        assert len(_rows(screen, rig.name("web-1"))) == 1
        assert screen.splitlines()[-1].startswith(rig.name("web-1"))
        agent.host.release()
        await terminal.ended()

    async def test_the_terminal_may_change_its_size_meanwhile(
        self, rig: Rig, terminal: Terminal
    ) -> None:
        agents = await _deploying(rig, terminal)
        names = rig.name("web-1"), rig.name("web-2")
        number = 1
        for columns in (40, 100, 60, 120, 40):
            await terminal.resize(columns, 30)
            for agent in agents:
                _print(agent, 2)
            number += 2
            told = f" line {number - 1}"
            if columns > 60:
                await terminal.until(_many(told, 2), told)
            screen = await terminal.until(_is_whole(names, columns), "two whole rows")
            assert screen.count("running") == 2
        for agent in agents:
            agent.host.release()
        screen = await terminal.ended()
        past = await terminal.screen(with_past=True)
        assert "Traceback" not in past
        assert "running" not in screen  # A terminal keeps, above, what it has folded out of sight.
        assert len(_rows(screen, *names)) == 2  # Of the progress; the summary is in blocks.
        assert screen.count("RESULT") == 2


def _is_whole(names: tuple[str, ...], columns: int) -> Condition:
    """Nothing stands below what was said at first but the rows, each in one line."""

    def is_whole(screen: str) -> bool:
        lines = screen.splitlines()
        rows = _rows(screen, *names)
        is_below = lines[-len(names) :] == rows and len(rows) == len(names)
        return is_below and all("apply" in row and len(row) < columns for row in rows)

    return is_whole


class TestNarrow:
    @pytest.fixture(autouse=True)
    def told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What simulated agents answer, as a host with a history would."""
        usual = results._data

        def data(job: KeptJob) -> dict[str, Any]:
            revision = {
                "revision": 3, "digest": "ab", "state": "bad", "job_id": job.job_id,
                "created_at": 1.0, "requested_by": "ann", "labels": {"commit": "4ca"},
                "error": LONG_ERROR, "images": [],
            }  # fmt: skip
            container = {
                "service": "web", "container": "blog-web-1", "state": "exited", "status": "Up",
                "health": "unhealthy", "exit_code": 1, "restart_count": 0, "started_at": 1.0,
                "image": "registry.example.com/team/blog:1.27", "image_id": "sha256:2",
            }  # fmt: skip
            drift = {"kind": "health", "service": "web", "container": "blog-web-1"}
            match job.kind:
                case "LIST_REVISIONS":
                    return {"project_name": job.project, "current": 3, "revisions": [revision]}
                case "STATUS":
                    return {
                        "project_name": job.project, "exists": True, "wanted": revision,
                        "journal": {"job_id": job.job_id, "state": "failed", "error": LONG_ERROR},
                        "engine": [container], "drift": [drift | {"message": LONG_ERROR}],
                    }  # fmt: skip
                case _:
                    return usual(job)

        monkeypatch.setattr(results, "_data", data)

    async def test_what_is_listed_can_be_read(self, rig: Rig, narrow: Terminal) -> None:
        await rig.agent("web-1", group=rig.tag)
        host = rig.name("web-1")
        for command in (
            f"deploy {host} blog",
            f"deploy {host} blog --detach",
            f"deploy {host} blog --dry-run",
            f"hosts list -l group={rig.tag}",
            f"hosts show {host}",
            f"status {host} blog",
            f"status {host}",
            f"history {host} blog",
            f"jobs list --host {host} --limit 3",
            "audit list --limit 4",
            "whoami",
            f"hosts show {host}-not",
        ):
            code = 5 if command.endswith("-not") else 0
            screen = await narrow.output(f"instadeploy {command}", code)
            assert_readable(screen, 40)
            if command.startswith("history"):
                assert "..." in screen
                assert "web7" not in screen
            if command.startswith("status") and "blog" in command:
                assert "web7" in screen

    async def test_a_wide_one_has_a_line_for_each_row(self, rig: Rig, terminal: Terminal) -> None:
        await rig.agent("web-1")
        host = rig.name("web-1")
        await terminal.resize(160, 30)
        await terminal.output(f"instadeploy deploy {host} blog -q")
        screen = await terminal.output(f"instadeploy history {host} blog")
        assert_readable(screen, 160)
        (row,) = [line for line in screen.splitlines() if line.startswith("*")]
        assert row.endswith("...")
        assert "service web0 is" in row
        screen = await terminal.output(f"instadeploy history {host} blog > out; wc -l out")
        assert len((rig.home / "out").read_text().splitlines()) == 5
        assert max(len(line) for line in (rig.home / "out").read_text().splitlines()) < 240

    async def test_a_failure_can_be_read(self, rig: Rig, narrow: Terminal) -> None:
        await rig.agent("web-1", FAILING)
        screen = await narrow.output(f"instadeploy deploy {rig.name('web-1')} blog", 1)
        assert_readable(screen, 40)
        assert "failed" in screen


def assert_readable(screen: str, columns: int) -> None:
    """Nothing that was written is wider than the screen, but for ids, and commands to be copied."""
    assert screen
    for line in screen.splitlines():
        longest = max(map(width_of, line.split()), default=0)
        is_command = "instadeploy " in line
        assert width_of(line) <= columns or longest > columns / 2 or is_command, screen


class TestPlain:
    @pytest.mark.parametrize("how", ["NO_COLOR=1 instadeploy", "instadeploy --no-color"])
    async def test_no_colour(self, rig: Rig, terminal: Terminal, how: str) -> None:
        agent = await rig.agent("web-1", TALKING)
        host = rig.name("web-1")
        await terminal.run(f"{how} deploy {host} blog")
        await terminal.shows("running")
        await terminal.shows("line 1 ")
        assert not COLOUR.search(await terminal.screen(with_escapes=True))
        agent.host.release()
        await terminal.ended()
        await terminal.output(f"{how} hosts list; {how} jobs list; {how} hosts show {host}")
        assert not COLOUR.search(terminal.printed)
        assert not COLOUR.search(await terminal.screen(with_escapes=True, with_past=True))

    async def test_colour_where_there_is_some(self, rig: Rig, terminal: Terminal) -> None:
        await rig.agent("web-1")
        await terminal.output("instadeploy hosts list")
        assert COLOUR.search(await terminal.screen(with_escapes=True))

    async def test_a_dumb_terminal(self, rig: Rig, terminal: Terminal) -> None:
        one = await rig.agent("web-1", TALKING)
        two = await rig.agent("web-2", TALKING)
        names = rig.name("web-1"), rig.name("web-2")
        await terminal.run(f"TERM=dumb instadeploy deploy {names[0]} {names[1]} blog")
        await terminal.until(_many("line 1 ", 2), "what they print")
        one.host.release()
        two.host.release()
        screen = await terminal.ended()
        assert f"{names[0]}  apply: " in screen
        assert f"{names[1]}  succeeded" in screen
        # The first line is the shell's, which has cleared the screen.
        mine = terminal.printed[terminal.printed.index("blog: ") :]
        assert "\x1b" not in mine
        assert not CURSOR.search(mine)


class TestInterrupting:
    async def test_what_is_followed_goes_on_and_the_terminal_can_be_used(
        self, rig: Rig, terminal: Terminal
    ) -> None:
        agents = await _deploying(rig, terminal)
        await terminal.press("C-c")
        screen = await terminal.ended(130)
        assert "Traceback" not in screen
        assert "^C" not in screen
        assert "interrupted" in screen
        again = re.search(
            r"`(instadeploy jobs follow dep_\w+)` follows it", " ".join(screen.split())
        )
        assert again, screen
        assert "instadeploy jobs cancel dep_" in screen
        assert await terminal.is_cursor_shown()
        assert await terminal.does_echo()
        await terminal.run(again[1])
        await terminal.until(_many("running", 2), "both jobs")
        for agent in agents:
            agent.host.release()
        await terminal.ended()

    async def test_twice(self, rig: Rig, terminal: Terminal) -> None:
        await _deploying(rig, terminal)
        await terminal.press("C-c", "C-c")
        screen = await terminal.ended(130)
        assert "Traceback" not in screen
        assert "Exception" not in screen
        assert await terminal.is_cursor_shown()
        assert await terminal.does_echo()

    async def test_while_a_password_is_asked(self, rig: Rig, terminal: Terminal) -> None:
        await terminal.run(f"instadeploy login {rig.plane.url} --user ann")
        await terminal.shows("password:")
        await terminal.type("wrong")
        await terminal.ended(4)
        await terminal.run(f"instadeploy login {rig.plane.url} --user ann")
        await terminal.shows("password:")
        await terminal.press("C-c")
        screen = await terminal.ended(130)
        assert "Traceback" not in screen
        assert await terminal.does_echo()


class TestAsking:
    async def test_a_password_is_typed_and_not_shown(self, rig: Rig, terminal: Terminal) -> None:
        await terminal.run(
            f"unset INSTADEPLOY_URL INSTADEPLOY_TOKEN; instadeploy login {rig.plane.url}"
        )
        await terminal.shows("user:")
        await terminal.type("ann")
        await terminal.shows("password:")
        await terminal.type("correct horse battery")
        screen = await terminal.ended()
        assert "ann at http" in screen
        assert "horse" not in terminal.printed
        assert await terminal.does_echo()
        assert "ann" in await terminal.output("instadeploy whoami")

    async def test_setup_asks_twice(self, rig: Rig, terminal: Terminal, tmp_path: Path) -> None:
        (tmp_path / "new").mkdir()
        with reserved_port() as port:
            plane = PlaneProcess(tmp_path / "new", port, token="not set up yet")
            await plane.start()
            try:
                found = re.search(r"ids_[A-Za-z0-9_-]+", plane.log)
                assert found
                for again, code in (("correct horse butter", 7), ("correct horse battery", 0)):
                    await terminal.run(f"instadeploy setup {plane.url}")
                    await terminal.shows("code:")
                    await terminal.type(found[0])
                    await terminal.shows("user:")
                    await terminal.type("eve")
                    await terminal.shows("password:")
                    await terminal.type("correct horse battery")
                    await terminal.shows("password again:")
                    await terminal.type(again)
                    screen = await terminal.ended(code)
                    assert ("not the same" in screen) == bool(code)
                    assert "horse" not in terminal.printed
                    assert found[0] not in terminal.printed
            finally:
                plane.kill()

    async def test_a_host_is_revoked_only_where_that_is_said(
        self, rig: Rig, narrow: Terminal
    ) -> None:
        await rig.agent("web-1")
        host = rig.name("web-1")
        for answer, code in (("n", 2), ("", 2), ("y", 0)):
            await narrow.run(f"instadeploy hosts revoke {host}")
            await narrow.shows("[y/N]")
            assert_readable(await narrow.screen(is_joined=True), 40)
            await narrow.type(answer)
            screen = await narrow.ended(code)
            assert ("nothing was done" in screen) == bool(code)
            listed = await rig.ok("hosts", "list", "-q")
            assert (host in listed.out.split()) == bool(code)

    async def test_the_end_of_what_is_typed_is_no_leave(self, rig: Rig, narrow: Terminal) -> None:
        await rig.agent("web-1")
        await narrow.run(f"instadeploy hosts revoke {rig.name('web-1')}")
        await narrow.shows("[y/N]")
        await narrow.press("C-d")
        screen = await narrow.ended(2)
        assert re.search(r"^instadeploy: nothing was done", screen, re.MULTILINE)


@pytest.mark.parametrize("hosts", [1, 2])
async def test_what_containers_print_does_nothing_to_the_terminal(
    rig: Rig, terminal: Terminal, hosts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = b"\x1b]0;evil\x07\x1b[2J\x1b[31m\x9b31m\xe2\x80\xaeend\n"

    def printed(job_id: str, offset: int, length: int, *, is_text: bool = True) -> bytes:
        return (evil * (1 + (offset + length) // len(evil)))[offset : offset + length]

    monkeypatch.setattr(output_sending, "printed", printed)
    names = [f"web-{number}" for number in range(hosts)]
    agents = [await rig.agent(name, WAITING) for name in names]
    title = await terminal.title()
    await terminal.run(f"instadeploy deploy {' '.join(map(rig.name, names))} blog")
    await terminal.until(_many("accepted", hosts), "all to begin")
    for agent in agents:
        for job in list(agent.memory.open_jobs()):
            agent.host._print(job, len(evil))
    screen = await terminal.shows(r"\x1b]0;evil\x07\x1b[2J\x1b[31m")
    assert r"\u202eend" in screen
    assert "blog: " in screen  # It was not cleared.
    assert await terminal.title() == title
    await terminal.press("C-c")
    await terminal.ended(130)
