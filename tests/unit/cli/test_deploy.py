"""deploy: what is sent where, what is shown, and what it ends with."""

from __future__ import annotations

import json

import pytest

from adapters.api_client.errors import FieldError, Refused, Unreachable
from adapters.api_client.feed import FeedEvent
from tests.unit.cli.running import CommandLine
from tests.unit.cli.world import result


def failing(job: object) -> tuple[str, object]:
    return "failed", result("the containers are not well", reason="unhealthy", rolled_back_to=2)


def hanging(job: object) -> tuple[str, object]:
    return "running", result()


def output(text: str, step: str = "pull") -> FeedEvent:
    data = {"step": step, "attempt": 1, "offset": 0}
    return FeedEvent("output", data, content=text.encode())


class TestWhichHosts:
    def test_the_last_word_is_the_project(self, cli: CommandLine) -> None:
        cli.ok("deploy", "web-1", "web-2", "blog")
        (asked,) = cli.asked("deploy")
        assert (asked["hosts"], asked["project"]) == (["web-1", "web-2"], "blog")
        assert "host_labels" not in asked

    def test_or_all_with_these_labels(self, cli: CommandLine) -> None:
        cli.ok("deploy", "-l", "env=prod", "blog")
        (asked,) = cli.asked("deploy")
        assert asked["host_labels"] == {"env": "prod"}
        assert "hosts" not in asked

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["blog"], "which hosts?"),
            (["-l", "env=prod", "web-1", "blog"], "'web-1' is too much"),
            ([], "Missing argument"),
            (["web-1", "blog", "--unknown"], "--unknown"),
            (["web-1", "blog", "--pull", "often"], "often"),
        ],
    )
    def test_what_cannot_be_meant_is_usage(
        self, cli: CommandLine, arguments: list[str], says: str
    ) -> None:
        ran = cli.run("deploy", *arguments)
        assert ran.code == 2
        assert says in ran.err
        ran = cli.run("deploy", *arguments, "-o", "json")
        assert (ran.code, ran.out) == (2, "")
        assert ran.error()["code"] == "usage"
        assert cli.world.asked == []

    @pytest.mark.parametrize("label", ["env", "=prod"])
    def test_a_label_that_is_none(self, cli: CommandLine, label: str) -> None:
        ran = cli.run("deploy", "-l", label, "blog", "-o", "json")
        assert ran.code == 7
        assert ran.error()["errors"][0]["field"] == "-l"


class TestWhatIsSent:
    def test_the_project_and_how_it_is_carried_out(self, cli: CommandLine) -> None:
        (cli.home / ".env").write_text("TAG=1\n")
        (cli.home / "logo.png").write_bytes(b"\x89PNG\xff")
        ran = cli.ok(
            "deploy", "web-1", "blog", "--file", "logo.png", "--pull", "always", "--profile", "a",
            "--label", "commit=4ca26a0", "--wait-timeout", "2m", "--no-rollback", "--ttl", "1h",
            "--deadline", "10m", "--remove-orphans", "--no-health-wait",
        )  # fmt: skip
        (asked,) = cli.asked("deploy")
        assert asked["compose"].startswith("services:")
        assert asked["env"] == "TAG=1\n"
        assert asked["files"] == {"logo.png": {"content_base64": "iVBOR/8=", "mode": "0644"}}
        assert asked["options"] == {
            "pull": "always",
            "profiles": ["a"],
            "labels": {"commit": "4ca26a0"},
            "wait_timeout_s": 120.0,
            "remove_orphans": True,
            "auto_rollback": False,
            "wait": False,
        }
        assert (asked["ttl_s"], asked["deadline_s"]) == (3600.0, 600.0)
        assert "logo.png" in ran.err
        assert "TAG" not in ran.out + ran.err

    def test_a_directory_names_its_project(self, cli: CommandLine) -> None:
        (cli.home / "My Blog").mkdir()
        (cli.home / "My Blog" / "compose.yml").write_text("services: {web: {image: nginx}}\n")
        cli.ok("deploy", "web-1", "./My Blog")
        assert cli.asked("deploy")[0]["project"] == "myblog"

    def test_or_its_compose_file_does(self, cli: CommandLine) -> None:
        (cli.home / "compose.yml").write_text("name: site\nservices: {web: {image: nginx}}\n")
        cli.ok("deploy", "web-1", ".")
        assert cli.asked("deploy")[0]["project"] == "site"

    def test_compose_files_are_found_from_here(self, cli: CommandLine) -> None:
        (cli.home / "other").mkdir()
        (cli.home / "other" / "prod.yml").write_text("services: {db: {image: postgres}}\n")
        cli.ok("deploy", "web-1", "blog", "-f", "other/prod.yml")
        assert "postgres" in cli.asked("deploy")[0]["compose"]

    def test_logins_are_read_and_not_shown(self, cli: CommandLine) -> None:
        logins = {"r.example": {"username": "robot", "password": "s3cret"}}
        ran = cli.ok("deploy", "web-1", "blog", "--registry-auth-stdin", stdin=json.dumps(logins))
        assert cli.asked("deploy")[0]["registry_auth"] == logins
        assert "s3cret" not in ran.out + ran.err

    @pytest.mark.parametrize(
        "text",
        ["", "s3cret", "[]", "{}", '{"r": {"username": "s3cret"}}', '{"r": "s3cret"}',
         '{"r": {"username": "a", "password": 5}}'],
    )  # fmt: skip
    def test_logins_that_cannot_be_read_are_not_quoted(self, cli: CommandLine, text: str) -> None:
        ran = cli.run("deploy", "web-1", "blog", "--registry-auth-stdin", stdin=text)
        assert ran.code == 7
        assert "--registry-auth-stdin" in ran.err
        assert "s3cret" not in ran.err
        assert cli.asked("deploy") == []

    def test_what_cannot_be_collected_is_not_sent(self, cli: CommandLine) -> None:
        (cli.home / "compose.yml").unlink()
        ran = cli.run("deploy", "web-1", "blog", "-o", "json")
        assert ran.code == 7
        assert ran.error()["code"] == "invalid_input"
        assert cli.asked("deploy") == []

    def test_a_dry_run_sends_nothing(self, cli: CommandLine) -> None:
        ran = cli.ok("deploy", "-l", "env=prod", "blog", "--dry-run", "-o", "json")
        document = ran.document()
        assert [host["name"] for host in document["hosts"]] == ["web-1", "web-2"]
        assert document["project"] == "blog"
        assert cli.asked("deploy") == []
        assert "web-1" in cli.ok("deploy", "web-1", "blog", "--dry-run").out


class TestWhatIsShown:
    def test_lines_behind_their_host_and_step_and_a_row_for_each_host(
        self, cli: CommandLine
    ) -> None:
        cli.world.events["web-1"] = [output("Pulling web\nhalf")]
        ran = cli.ok("deploy", "web-1", "web-2", "blog")
        lines = ran.out.splitlines()
        assert "web-1  pull: Pulling web" in lines
        assert "web-1  pull: half" in lines
        assert "web-1  succeeded" in lines
        assert lines[-3].split() == ["HOST", "RESULT", "TIME", "REVISION", "BACK", "TO"]
        assert lines[-2].split() == ["web-1", "succeeded", "5.0", "s", "3", "-"]

    def test_what_others_have_printed_does_nothing_to_the_terminal(self, cli: CommandLine) -> None:
        evil = "\x1b]0;owned\x07\x1b[2J[bold]x[/bold]\u202e\x9b31m\n"
        cli.world.events["web-1"] = [output(evil)]
        cli.world.add_host("bad\x1b[31m", ends=failing)  # type: ignore[arg-type]
        for is_terminal in (False, True):
            cli.environment["TERM"] = "dumb"
            ran = cli.run("deploy", "web-1", "bad\x1b[31m", "blog", is_terminal=is_terminal)
            assert "\x1b" not in ran.out
            assert "\x9b" not in ran.out
            assert r"\x1b]0;owned\x07\x1b[2J[bold]x[/bold]\u202e\x9b31m" in ran.out

    def test_a_failure_says_why_and_where_it_went_back_to(self, cli: CommandLine) -> None:
        cli.world.add_host("bad-1", ends=failing)  # type: ignore[arg-type]
        ran = cli.run("deploy", "web-1", "bad-1", "blog")
        assert ran.code == 1
        assert "bad-1: the containers are not well" in ran.out
        row = next(line for line in ran.out.splitlines() if line.startswith("bad-1  failed  "))
        assert row.split()[-1] == "2"

    def test_json_is_one_document_with_all_results(self, cli: CommandLine) -> None:
        cli.world.add_host("bad-1", ends=failing)  # type: ignore[arg-type]
        ran = cli.run("deploy", "web-1", "bad-1", "blog", "-o", "json")
        document = ran.document()
        assert (ran.code, ran.err) == (1, "")
        assert document["state"] == "partial"
        assert document["jobs_by_state"] == {"succeeded": 1, "failed": 1}
        results = {job["host"]: job["result"] for job in document["jobs"]}
        assert results["bad-1"]["data"]["rolled_back_to"] == 2
        assert results["web-1"]["data"]["revision"] == 3

    def test_quiet_says_nothing(self, cli: CommandLine) -> None:
        ran = cli.ok("deploy", "web-1", "blog", "--quiet")
        assert (ran.out, ran.err) == ("", "")

    @pytest.mark.parametrize("columns", [40, 100])
    def test_a_terminal_has_a_table_that_is_redrawn(
        self, cli: CommandLine, columns: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        cli.environment["TERM"] = "xterm-256color"
        cli.world.add_host("a-host-with-quite-a-long-name-1")
        cli.world.events["web-1"] = [output("x" * 200 + "[bold]\n")]
        ran = cli.ok("deploy", "web-1", "a-host-with-quite-a-long-name-1", "blog", is_terminal=True)
        assert "succeeded" in ran.out
        assert "\x1b[" in ran.out
        cli.environment["NO_COLOR"] = "1"
        ran = cli.ok("deploy", "web-1", "blog", is_terminal=True)
        assert "[bold]" in ran.out
        assert "\x1b[32m" not in ran.out


class TestHowItEnds:
    def test_detached_it_says_how_to_follow(self, cli: CommandLine) -> None:
        ran = cli.ok("deploy", "web-1", "blog", "--detach")
        (made,) = cli.world.deployments
        assert ran.out == f"{made}\n"
        assert f"instadeploy jobs follow {made}" in ran.err
        assert cli.ok("deploy", "web-1", "blog", "--detach", "-q").err == ""
        assert cli.ok("deploy", "web-1", "blog", "--detach", "-o", "json").document()["jobs"]

    def test_what_is_not_over_in_time_goes_on(self, cli: CommandLine) -> None:
        cli.world.add_host("slow-1", ends=hanging)  # type: ignore[arg-type]
        ran = cli.run("deploy", "slow-1", "web-1", "blog", "--timeout", "0.05s")
        assert ran.code == 8
        assert "goes on without this program" in ran.err
        ran = cli.run("deploy", "slow-1", "blog", "--timeout", "0.05", "-o", "json")
        assert (ran.code, ran.document()["state"], ran.err) == (8, "running", "")

    @pytest.mark.parametrize(
        ("error", "code", "word"),
        [
            (Unreachable("connection refused"), 3, "unreachable"),
            (Refused(401, "unauthenticated", "x"), 4, "not_logged_in"),
            (Refused(403, "forbidden", "x"), 4, "forbidden"),
            (Refused(404, "not_found", "x"), 5, "not_found"),
            (Refused(409, "conflict", "x"), 6, "conflict"),
            (Refused(422, "invalid_input", "x", errors=[FieldError("a", "b")]), 7, "invalid_input"),
            (Refused(413, "too_large", "x"), 7, "too_large"),
            (Refused(429, "too_many_attempts", "x", retry_after_s=7), 4, "too_many_attempts"),
            (Refused(503, "busy", "x"), 3, "busy"),
            (Refused(500, "internal", "x"), 3, "internal"),
        ],
    )
    def test_each_error_has_its_exit_code(
        self, cli: CommandLine, error: Exception, code: int, word: str
    ) -> None:
        cli.world.fails_with = error
        ran = cli.run("deploy", "web-1", "blog", "-o", "json")
        assert (ran.code, ran.out) == (code, "")
        assert ran.error()["code"] == word
        assert ran.error()["exit_code"] == code
        ran = cli.run("deploy", "web-1", "blog")
        assert ran.code == code
        assert "instadeploy: " in ran.err

    @pytest.mark.parametrize(
        "error", [Unreachable("cut", is_certain=False), Refused(503, "storage_unavailable", "x")]
    )
    def test_what_was_sent_and_not_answered_may_have_been_accepted(
        self, cli: CommandLine, error: Exception
    ) -> None:
        cli.world.fails_with = error
        assert "may have been accepted" in cli.run("deploy", "web-1", "blog").err

    @pytest.mark.parametrize(
        "error",
        [
            Unreachable("connection refused"),
            Refused(404, "not_found", "there is no host 'nope'"),
            Refused(422, "invalid_input", "project: must contain only letters"),
        ],
    )
    def test_what_was_refused_was_not(self, cli: CommandLine, error: Exception) -> None:
        cli.world.fails_with = error
        for command in ("deploy", "stop"):
            assert "may have been accepted" not in cli.run(command, "web-1", "blog").err

    def test_that_a_host_is_offline_is_said_once_and_how_long_its_job_waits(
        self, cli: CommandLine
    ) -> None:
        cli.world.hosts["web-2"]["online"] = False
        cli.world.endings["web-2"] = lambda _: ("queued", result())
        for command in ("deploy", "stop"):
            ran = cli.run(command, "web-2", "blog", "--timeout", "0.05s")
            assert ran.code == 8
            assert ran.err.count("web-2 is offline, and was last seen 60 s ago; the job waits") == 1
        ran = cli.run("deploy", "web-1", "web-2", "blog", "--timeout", "0.05s", "-o", "json")
        assert (ran.code, ran.err) == (8, "")
