"""Commands about hosts and projects: what is asked, what is shown, and what they end with."""

from __future__ import annotations

from typing import Any

import pytest

from entrypoints.cli import questions
from tests.unit.cli.running import CommandLine
from tests.unit.cli.told import PLAN, REFUSED, REVISION, STATUS, ends
from tests.unit.cli.world import AT


class TestHosts:
    def test_listing(self, cli: CommandLine) -> None:
        cli.world.add_host("db-1", env="test")["revoked_at"] = AT
        rows = [line.split()[:2] for line in cli.ok("hosts", "list").out.splitlines()]
        assert rows == [["HOST", "STATE"], ["web-1", "online"], ["web-2", "online"]]
        assert "db-1" in cli.ok("hosts", "list", "--all").out
        assert cli.ok("hosts", "list", "-q").out == "web-1\nweb-2\n"
        assert [
            one["name"] for one in cli.ok("hosts", "list", "-o", "json").document()["items"]
        ] == [
            "web-1",
            "web-2",
        ]
        assert "No hosts" in cli.ok("hosts", "list", "-l", "env=no").out

    def test_the_options_of_every_command_stand_anywhere(self, cli: CommandLine) -> None:
        assert cli.ok("-o", "json", "hosts", "list").document()["items"]
        assert cli.ok("--quiet", "hosts", "list").out == "web-1\nweb-2\n"

    def test_showing(self, cli: CommandLine) -> None:
        assert "env=prod" in cli.ok("hosts", "show", "web-1").out
        assert cli.ok("hosts", "show", "web-1", "-o", "json").document()["id"] == "host_web-1"
        ran = cli.run("hosts", "show", "nope")
        assert ran.code == 5
        assert "instadeploy hosts list" in ran.err

    def test_enrolling_prints_the_command_alone(self, cli: CommandLine) -> None:
        ran = cli.ok("hosts", "enroll", "new-1", "-l", "env=prod")
        assert ran.out == "SERVER_URL=wss://cp/ws AGENT_ENROLL_TOKEN=ide_secret instadeploy-agent\n"
        assert "as root" in ran.err
        assert cli.ok("hosts", "enroll", "new-2", "-o", "json").document()["token"] == "ide_secret"
        assert cli.run("hosts", "enroll", "web-1").code == 6

    def test_waiting_for_one_that_does_not_come(self, cli: CommandLine) -> None:
        ran = cli.run("hosts", "enroll", "new-1", "--wait", "--timeout", "0.05s")
        assert ran.code == 8
        assert "AGENT_ENROLL_TOKEN" in ran.out

    def test_labels(self, cli: CommandLine) -> None:
        ran = cli.ok("hosts", "label", "web-1", "zone=a", "env-")
        assert ran.out == "web-1  zone=a\n"
        assert cli.world.hosts["web-1"]["labels"] == {"zone": "a"}
        assert cli.run("hosts", "label", "web-1", "zone").code == 7
        assert cli.run("hosts", "label", "web-1", "zone=b", "zone-").code == 7

    def test_renaming(self, cli: CommandLine) -> None:
        cli.ok("hosts", "rename", "web-1", "web-9")
        assert "web-9" in cli.world.hosts
        assert cli.run("hosts", "rename", "web-9", "web-2").code == 6

    def test_revoking_asks(self, cli: CommandLine) -> None:
        ran = cli.run("hosts", "revoke", "web-1")
        assert ran.code == 2
        assert cli.world.hosts["web-1"]["revoked_at"] is None
        cli.ok("hosts", "revoke", "web-1", "--yes")
        assert cli.world.hosts["web-1"]["revoked_at"]

    def test_health(self, cli: CommandLine) -> None:
        engine = {"reachable": False, "detail": "no socket"}
        cli.world.endings["web-1"] = ends(version="1.0.0", hostname="h", uptime_s=90, engine=engine,
                                          compose={"available": True, "version": "2.26"},
                                          policy={"name": "open", "warnings": ["root"]},
                                          journal={"intact": True, "open_jobs": 0})  # fmt: skip
        ran = cli.ok("hosts", "health", "web-1")
        assert "unreachable: no socket" in ran.out
        assert cli.ok("hosts", "health", "web-1", "-o", "json").document()["version"] == "1.0.0"


class TestProjects:
    def test_status_has_all_three_and_marks_drift(self, cli: CommandLine) -> None:
        cli.world.endings["web-1"] = ends(**STATUS)
        out = cli.ok("status", "web-1", "blog").out
        assert "revision 3 (good)" in out
        assert "succeeded, 60 s ago, job job_9" in out
        assert "nginx (another one is wanted)" in out
        assert "! image: another image" in out
        assert any(line.startswith("!  web") for line in out.splitlines())
        assert cli.ok("status", "web-1", "blog", "-o", "json").document() == STATUS

    def test_status_of_what_is_not_there(self, cli: CommandLine) -> None:
        cli.world.endings["web-1"] = ends(project_name="blog", exists=False)
        ran = cli.run("status", "web-1", "blog")
        assert ran.code == 5
        assert "does not have" in ran.out
        assert "instadeploy status web-1" in ran.err
        ran = cli.run("status", "web-1", "blog", "-o", "json")
        assert (ran.code, ran.document()["exists"], ran.err) == (5, False, "")
        assert cli.run("status", "web-1", "blog", "-q").code == 5

    def test_all_projects_of_a_host(self, cli: CommandLine) -> None:
        cli.world.endings["web-1"] = ends(
            projects=[{"project_name": "blog", "wanted": REVISION, "journal": None,
                       "containers": {"total": 2, "running": 2}}],
            others=[{"project_name": "old"}], engine={"reachable": False, "detail": "no socket"},
        )  # fmt: skip
        out = cli.ok("status", "web-1").out
        assert "2 running" in out
        assert "not deployed with this: old" in out
        assert "no socket" in out

    def test_a_question_that_fails(self, cli: CommandLine) -> None:
        cli.world.endings["web-1"] = ends("failed", "no engine", reason="runtime_unavailable")
        ran = cli.run("status", "web-1", "blog", "-o", "json")
        assert (ran.code, ran.error()["code"]) == (1, "runtime_unavailable")
        cli.world.endings["web-1"] = ends("running")
        assert cli.run("status", "web-1", "blog", "--timeout", "0.05s").code == 8

    @pytest.mark.parametrize(
        "question",
        [
            ["status", "web-2", "blog"], ["status", "web-2"], ["hosts", "health", "web-2"],
            ["history", "web-2", "blog"], ["plan", "web-2", "blog"],
        ],
    )  # fmt: skip
    def test_a_question_to_a_host_that_is_offline(
        self, cli: CommandLine, question: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(questions, "OFFLINE_TIMEOUT_S", 0.05)
        cli.world.hosts["web-2"]["online"] = False
        cli.world.endings["web-2"] = ends("queued")
        ran = cli.run(*question)
        assert ran.code == 1
        assert "web-2 is offline, and was last seen 60 s ago. Waiting 0.05 s for it" in ran.err
        ran = cli.run(*question, "--timeout", "0.1", "-o", "json")
        assert (ran.code, ran.error()["code"], ran.out) == (1, "offline", "")
        # It may have come back meanwhile.
        cli.world.endings["web-2"] = ends(**{**STATUS, "engine": {}})
        cli.ok(*question)

    @pytest.mark.parametrize(
        ("arguments", "word", "expected"),
        [
            (["stop", "web-1", "blog"], "stop", {}),
            (["restart", "web-1", "blog", "-s", "web"], "restart", {"services": ["web"]}),
            (["rollback", "web-1", "blog"], "rollback", {"revision": None}),
            (["rollback", "web-1", "blog", "2"], "rollback", {"revision": 2}),
            (["remove", "web-1", "blog", "--yes"], "remove", {"volumes": False}),
            (["remove", "web-1", "blog", "-y", "--volumes"], "remove", {"volumes": True}),
        ],
    )
    def test_what_changes_something(
        self, cli: CommandLine, arguments: list[str], word: str, expected: dict[str, Any]
    ) -> None:
        ran = cli.ok(*arguments)
        (asked,) = cli.asked(word)
        assert expected.items() <= asked.items()
        assert "web-1  succeeded" in ran.out
        assert cli.ok(*arguments, "-o", "json").document()["result"]["data"]["revision"] == 3
        detached = cli.ok(*arguments, "--detach")
        assert detached.out.strip() in cli.world.jobs
        cli.world.endings["web-1"] = ends("failed", "it broke")
        assert cli.run(*arguments).code == 1

    def test_removing_asks(self, cli: CommandLine) -> None:
        ran = cli.run("remove", "web-1", "blog", "--volumes")
        assert ran.code == 2
        assert "ALL DATA" in ran.err
        assert cli.asked("remove") == []

    def test_a_plan_reads_like_a_diff(self, cli: CommandLine) -> None:
        cli.world.endings["web-1"] = ends(**PLAN)
        lines = cli.ok("plan", "web-1", "blog").out.splitlines()
        assert lines[0] == "+ web    create"
        assert lines[1].split() == ["~", "db", "recreate", "another", "image"]
        assert lines[2:4] == ["- old    remove", "= cache  keep"]
        assert "+ volume blog_data" in lines
        assert "  pull nginx:1.27" in lines
        assert lines[-1] == "The host's policy allows it."
        assert cli.asked("plan")[0]["content"]["compose"].startswith("services:")

    def test_a_plan_that_would_be_refused(self, cli: CommandLine) -> None:
        cli.world.endings["web-1"] = ends(**REFUSED)
        ran = cli.run("plan", "web-1", "blog")
        assert ran.code == 1
        assert "! web: web is privileged (line 3)" in ran.out
        assert "privileged = true" in ran.out
        ran = cli.run("plan", "web-1", "blog", "-o", "json")
        assert (ran.code, ran.document()["policy"]["allowed"]) == (1, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["hosts", "list"], ["hosts", "show", "web-1"], ["jobs", "list"], ["users", "list"],
        ["tokens", "list"], ["audit", "list"], ["whoami"], ["status", "web-1", "blog"],
        ["history", "web-1", "blog"], ["plan", "web-1", "blog"], ["context", "list"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_narrow_terminal_and_escapes_of_others_do_no_harm(
    cli: CommandLine, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "\x1b[2J\u202e[red]"
    monkeypatch.setenv("COLUMNS", "40")
    cli.environment |= {"TERM": "xterm", "NO_COLOR": "1"}
    cli.world.add_host("evil-1", env=evil)
    cli.world.hosts["web-1"]["hostname"] = evil
    cli.world.endings["web-1"] = ends(**{**STATUS, **PLAN, "revisions": [{**REVISION, "error": evil}],
                                         "drift": [{"kind": evil, "message": evil}]})  # fmt: skip
    cli.world.submit("web-1", evil, "blog")
    cli.world.add_token(evil, "ann")
    ran = cli.ok(*arguments, is_terminal=True)
    assert "\x1b" not in ran.out + ran.err
    assert "\u202e" not in ran.out + ran.err
