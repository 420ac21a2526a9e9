"""login and what comes of it: contexts, tokens, and which control plane is asked."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from adapters.api_client.errors import Unreachable
from tests.unit.cli.running import URL, CommandLine
from tests.unit.cli.world import TOKEN

OTHER = "https://other.example"
FROM_ENVIRONMENT = ("INSTADEPLOY_URL", "INSTADEPLOY_TOKEN")


@pytest.fixture
def bare(cli: CommandLine) -> CommandLine:
    """Nothing is set, and nobody has logged in."""
    for name in FROM_ENVIRONMENT:
        del cli.environment[name]
    return cli


def tokens_in(cli: CommandLine) -> dict[str, str]:
    path = cli.home / "config" / "tokens" / "tokens.json"
    found: dict[str, str] = json.loads(path.read_text())
    return found


class TestLoggingIn:
    def test_with_a_password(self, bare: CommandLine) -> None:
        ran = bare.ok("login", URL, "--user", "ann", stdin="right\n")
        assert "ann at https://cp.example, as context default" in ran.out
        assert tokens_in(bare) == {f"default {URL}": TOKEN}
        bare.ok("hosts", "list")
        assert bare.world.connections[-1] == (URL, TOKEN, None)
        assert "right" not in ran.out + ran.err

    def test_or_with_a_token(self, bare: CommandLine) -> None:
        bare.ok("login", URL, "--name", "prod", "--token-stdin", stdin=f"{TOKEN}\n")
        assert bare.ok("whoami").out.startswith("user")
        assert bare.ok("whoami", "-q").out == "ann\n"

    @pytest.mark.parametrize(
        ("arguments", "stdin", "code"),
        [
            ([URL, "--user", "ann"], "wrong\n", 4),
            ([URL, "--user", "ann"], "", 7),
            ([URL, "--token-stdin"], "ida_other\n", 4),
            ([URL, "--token-stdin", "--user", "ann"], "x\n", 2),
            (["ftp://x"], "", 7),
            (["https://u:p@cp.example"], "", 7),
            (["https://cp.example?token=x"], "", 7),
            (["http://cp.example"], "", 2),
            ([], "", 4),
        ],
    )
    def test_what_is_not_kept(
        self, bare: CommandLine, arguments: list[str], stdin: str, code: int
    ) -> None:
        ran = bare.run("login", *arguments, stdin=stdin)
        assert ran.code == code, ran
        assert not (bare.home / "config").exists()
        assert "ida_other" not in ran.err
        assert "u:p" not in ran.err

    def test_unencrypted_only_to_this_machine_or_where_that_is_said(
        self, bare: CommandLine
    ) -> None:
        bare.ok("login", "http://127.0.0.1:8080", "--user", "ann", stdin="right\n")
        bare.ok("login", "http://cp.example", "--plain-http", "--user", "ann", stdin="right\n")
        for url in ("http://cp.example", "http://127.evil.example", "http://localhost.example"):
            ran = bare.run("login", url, "--user", "ann", stdin="right\n")
            assert ran.code == 2
            assert "unencrypted" in ran.err

    def test_a_token_of_the_environment_is_not_sent_for_everybody_to_read(
        self, bare: CommandLine
    ) -> None:
        bare.environment["INSTADEPLOY_TOKEN"] = TOKEN
        for url in ("http://cp.example", "HTTP://127.evil.example", "http://[half"):
            bare.environment["INSTADEPLOY_URL"] = url
            ran = bare.run("hosts", "list")
            assert ran.code == 2
            assert "INSTADEPLOY_URL" in ran.err
            assert "unencrypted" in ran.err
            assert TOKEN not in ran.err
        assert not bare.world.connections
        bare.environment["INSTADEPLOY_URL"] = "http://[::1]:8080"
        bare.ok("hosts", "list")
        # Whoever has said once that it is meant is not asked again.
        bare.ok("login", "http://cp.example", "--plain-http", "--user", "ann", stdin="right\n")
        bare.environment["INSTADEPLOY_URL"] = "http://cp.example"
        bare.ok("hosts", "list")

    def test_again_where_it_is_known(self, bare: CommandLine) -> None:
        bare.ok("login", URL, "--user", "ann", stdin="right\n")
        bare.ok("login", "--user", "ann", stdin="right\n")
        assert [
            one["url"] for one in bare.ok("context", "list", "-o", "json").document()["items"]
        ] == [URL]

    def test_setting_up(self, bare: CommandLine) -> None:
        ran = bare.run("setup", URL, stdin="ids_wrong\n")
        assert ran.code == 4
        assert "printed" in ran.err
        ran = bare.ok("setup", URL, stdin="ids_right\neve\na password of eve\n")
        assert bare.asked("setup")[-1] == {
            "code": "ids_right", "name": "eve", "password": "a password of eve",
        }  # fmt: skip
        assert "ids_right" not in ran.out + ran.err

    def test_what_is_set_up_already_says_so_before_more_is_asked_for(
        self, bare: CommandLine
    ) -> None:
        bare.world.is_set_up = True
        ran = bare.run("setup", URL, stdin="ids_right\n")
        assert ran.code == 6
        assert f"instadeploy login {URL}" in ran.err
        assert list(bare.world.users) == ["ann"]

    def test_a_url_of_the_environment_that_is_none_is_named(self, bare: CommandLine) -> None:
        bare.environment |= {"INSTADEPLOY_URL": "localhost:8090", "INSTADEPLOY_TOKEN": TOKEN}
        ran = bare.run("hosts", "list", "-o", "json")
        assert (ran.code, ran.error()["errors"][0]["field"]) == (7, "INSTADEPLOY_URL")
        assert "must begin with https:// or http://" in ran.error()["detail"]
        assert not bare.world.connections

    def test_a_token_that_is_not_accepted_is_named_by_where_it_is_from(
        self, bare: CommandLine
    ) -> None:
        bare.ok("login", URL, "--user", "ann", stdin="right\n")
        bare.environment["INSTADEPLOY_TOKEN"] = "ida_other"
        ran = bare.run("whoami")
        assert ran.code == 4
        assert "INSTADEPLOY_TOKEN" in ran.err
        assert "instadeploy login" not in ran.err

    def test_files_are_private_from_their_first_byte(self, bare: CommandLine) -> None:
        bare.ok("login", URL, "--user", "ann", stdin="right\n")
        for path in (bare.home / "config").rglob("*"):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path


class TestContexts:
    @pytest.fixture
    def two(self, bare: CommandLine) -> CommandLine:
        bare.ok("login", URL, "--name", "prod", "--user", "ann", stdin="right\n")
        bare.ok("login", OTHER, "--name", "test", "--user", "ann", stdin="right\n")
        return bare

    def test_the_last_login_is_used(self, two: CommandLine) -> None:
        two.ok("hosts", "list")
        assert two.world.connections[-1][0] == OTHER
        two.ok("context", "use", "prod")
        two.ok("hosts", "list")
        assert two.world.connections[-1][0] == URL

    def test_another_one_for_once(self, two: CommandLine) -> None:
        two.ok("hosts", "list", "--context", "prod")
        assert two.world.connections[-1][0] == URL
        two.environment["INSTADEPLOY_CONTEXT"] = "prod"
        two.ok("hosts", "list")
        assert two.world.connections[-1][0] == URL
        assert two.run("hosts", "list", "--context", "nope").code == 2
        assert two.run("context", "use", "nope").code == 2

    def test_a_kept_token_goes_to_its_own_url_alone(self, two: CommandLine) -> None:
        two.environment["INSTADEPLOY_URL"] = "https://elsewhere.example"
        before = len(two.world.connections)
        ran = two.run("hosts", "list")
        assert ran.code == 4
        assert "instadeploy login https://elsewhere.example" in ran.err
        assert len(two.world.connections) == before
        two.environment["INSTADEPLOY_URL"] = OTHER + "/"
        two.ok("hosts", "list")

    def test_the_environment_outranks_what_is_kept(self, two: CommandLine) -> None:
        two.environment["INSTADEPLOY_TOKEN"] = "ida_mine"
        two.ok("hosts", "list")
        assert two.world.connections[-1][:2] == (OTHER, "ida_mine")

    def test_a_file_that_was_changed_to_another_url_gets_no_token(self, two: CommandLine) -> None:
        path = two.home / "config" / "config.json"
        path.write_text(path.read_text().replace(OTHER, "https://evil.example"))
        assert two.run("hosts", "list").code == 4

    def test_logging_out_revokes_and_forgets(self, two: CommandLine) -> None:
        two.ok("logout")
        assert two.asked("logout") == [{"token": TOKEN}]
        assert list(tokens_in(two)) == [f"prod {URL}"]
        assert two.run("hosts", "list").code == 4
        two.ok("hosts", "list", "--context", "prod")

    def test_logging_out_forgets_also_where_nobody_answers(self, two: CommandLine) -> None:
        two.world.fails_with = Unreachable("refused")
        ran = two.run("logout")
        assert ran.code == 3
        assert "could not be revoked" in ran.err
        assert list(tokens_in(two)) == [f"prod {URL}"]

    def test_removing(self, two: CommandLine) -> None:
        two.ok("context", "remove", "test")
        assert list(tokens_in(two)) == [f"prod {URL}"]
        assert two.ok("context", "list", "-q").out == "prod\n"
        assert two.run("context", "remove", "test").code == 2

    def test_listing_shows_no_token(self, two: CommandLine) -> None:
        assert TOKEN not in two.ok("context", "list").out
        assert TOKEN not in two.ok("context", "list", "-o", "json").out


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("config.json", 0o620),
        ("tokens/tokens.json", 0o640),
        ("tokens/tokens.json", 0o602),
        ("tokens", 0o750),
    ],
)
def test_what_others_may_change_or_read_is_refused(bare: CommandLine, name: str, mode: int) -> None:
    bare.ok("login", URL, "--user", "ann", stdin="right\n")
    path: Path = bare.home / "config" / name
    path.chmod(mode)
    before = len(bare.world.connections)
    ran = bare.run("hosts", "list", "-o", "json")
    assert ran.code == 7
    assert str(path) in ran.error()["detail"]
    assert len(bare.world.connections) == before


def test_a_spoilt_file_is_not_written_over(bare: CommandLine) -> None:
    bare.ok("login", URL, "--user", "ann", stdin="right\n")
    path = bare.home / "config" / "config.json"
    path.write_text("{")
    assert bare.run("login", URL, "--user", "ann", stdin="right\n").code == 7
    assert path.read_text() == "{"


def test_certificates_are_kept_with_the_context(bare: CommandLine) -> None:
    bare.ok("login", URL, "--user", "ann", "--ca-file", "/some/ca.pem", stdin="right\n")
    bare.ok("hosts", "list")
    assert bare.world.connections[-1][2] == Path("/some/ca.pem")
