"""The one line, and user-data: what is printed, by what is served, and by whom."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapters.api_client.errors import Unreachable
from domain.errors import InvalidInput
from entrypoints.cli.first_lines import FirstLine, quoted
from tests.unit.cli.running import CommandLine

URL = "https://cp.example/install.sh"
PIN = "sha256//" + "A" * 43 + "="
LINE = (
    f"curl -fsSL --proto '=https' --pinnedpubkey '{PIN}' '{URL}' "
    "| INSTADEPLOY_ENROLL_TOKEN='ide_secret' sh"
)


@pytest.fixture
def giving(cli: CommandLine) -> CommandLine:
    """Its control plane has an agent to give."""
    cli.world.install_url = URL
    return cli


class TestOneLine:
    def test_it_is_pinned_and_alone_on_standard_output(self, giving: CommandLine) -> None:
        ran = giving.ok("hosts", "enroll", "new-1", "-l", "env=prod", "--ttl", "20m")
        assert ran.out == LINE + "\n"
        assert "as root" in ran.err
        assert giving.asked("enrol") == [{"name": "new-1", "ttl_s": 1200.0}]
        assert giving.asked("pin") == [{"url": URL, "ca_file": None}]

    def test_a_document_has_it_beside_the_rest(self, giving: CommandLine) -> None:
        document = giving.ok("hosts", "enroll", "new-1", "-o", "json").document()
        assert document["line"] == LINE
        assert (document["token"], document["install_url"]) == ("ide_secret", URL)
        assert giving.asked("enrol")[0]["ttl_s"] is None

    def test_under_a_private_authority_the_pin_alone_proves_it(
        self, giving: CommandLine, tmp_path: Path
    ) -> None:
        file = tmp_path / "ca.pem"
        ran = giving.ok("hosts", "enroll", "new-1", "--ca-file", str(file))
        assert f"--proto '=https' --insecure --pinnedpubkey '{PIN}'" in ran.out
        assert giving.asked("pin")[0]["ca_file"] == file

    @pytest.mark.parametrize(
        ("url", "warned"),
        [("http://127.0.0.1:8080/install.sh", False), ("http://cp/install.sh", True)],
    )
    def test_without_tls_there_is_nothing_to_pin(
        self, giving: CommandLine, url: str, warned: bool
    ) -> None:
        giving.world.install_url, giving.world.pin = url, None
        ran = giving.ok("hosts", "enroll", "new-1")
        assert ran.out == f"curl -fsSL '{url}' | INSTADEPLOY_ENROLL_TOKEN='ide_secret' sh\n"
        assert ("not over TLS" in ran.err) is warned

    def test_where_no_agent_is_given_the_command_is_printed_and_what_to_set(
        self, cli: CommandLine
    ) -> None:
        ran = cli.ok("hosts", "enroll", "new-1")
        assert ran.out == "SERVER_URL=wss://cp/ws AGENT_ENROLL_TOKEN=ide_secret instadeploy-agent\n"
        assert "CONTROL_PLANE_AGENT_FILE" in ran.err
        cli.ok("enrolments", "withdraw", "new-1")
        assert cli.ok("hosts", "enroll", "new-1", "-o", "json").document()["line"] in ran.out

    @pytest.mark.parametrize("command", ["enroll", "cloud-init"])
    def test_where_nobody_can_be_pinned_nothing_is_left(
        self, giving: CommandLine, command: str
    ) -> None:
        giving.world.pin_fails_with = Unreachable("no connection")
        ran = giving.run("hosts", command, "new-1")
        assert (ran.code, ran.out) == (3, "")
        assert giving.asked("withdraw") == [{"enrolment_id": "enr_1"}]
        assert "ide_secret" not in ran.err

    @pytest.mark.parametrize(
        "url", ["-o/etc/passwd", "https://cp/\n", "https://cp/ x", "ftp://cp/"]
    )
    def test_an_address_that_is_none_is_refused(self, url: str) -> None:
        with pytest.raises(InvalidInput):
            FirstLine(url, "ide_x")

    @pytest.mark.parametrize("ttl", ["x", "0"])
    def test_a_time_that_is_none_is_refused(self, giving: CommandLine, ttl: str) -> None:
        assert giving.run("hosts", "enroll", "new-1", "--ttl", ttl).code == 7
        assert giving.asked("enrol") == []


PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(PRINTABLE, PRINTABLE)
def test_the_line_says_the_same_to_a_shell_whatever_is_in_it(path: str, token: str) -> None:
    line = FirstLine(f"https://cp/{path}", token, PIN).for_shell()
    told = (
        "curl() { printf '%s\\0' \"$@\" >&3; }; sh() { printf '%s' \"$INSTADEPLOY_ENROLL_TOKEN\"; }"
    )
    script = f"exec 3>&2; {told}\n{line}"
    ran = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == token
    assert ran.stderr.split("\0")[-2] == f"https://cp/{path}"


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_a_word_in_quotes_is_that_word(text: str) -> None:
    ran = subprocess.run(
        ["/bin/sh", "-c", f"printf %s {quoted(text)}"], capture_output=True, check=True
    )
    assert ran.stdout.decode() == text


class TestCloudInit:
    def test_the_user_data_is_yaml_and_hands_the_token_over_in_a_file(
        self, giving: CommandLine
    ) -> None:
        ran = giving.ok("hosts", "cloud-init", "new-1", "-l", "env=prod")
        assert ran.out.startswith("#cloud-config\n")
        config: dict[str, Any] = yaml.safe_load(ran.out)
        token, script = config["write_files"]
        assert token == {
            "path": "/run/instadeploy-enroll/token",
            "owner": "root:root",
            "permissions": "0600",
            "content": "ide_secret",
        }
        assert script["permissions"] == "0700"
        assert config["runcmd"] == [["sh", script["path"]]]
        assert f"--pinnedpubkey '{PIN}' '{URL}' -o " in script["content"]
        assert "ide_secret" not in script["content"]
        subprocess.run(["sh", "-n"], input=script["content"].encode(), check=True)
        assert giving.asked("enrol") == [{"name": "new-1", "ttl_s": 3600.0}]
        assert "one machine" in ran.err

    def test_a_document_has_it(self, giving: CommandLine) -> None:
        document = giving.ok("hosts", "cloud-init", "new-1", "-o", "json").document()
        giving.ok("enrolments", "withdraw", "new-1")
        assert document["user_data"] == giving.ok("hosts", "cloud-init", "new-1").out

    def test_without_an_agent_there_is_none_and_nothing_is_left(self, cli: CommandLine) -> None:
        ran = cli.run("hosts", "cloud-init", "new-1")
        assert (ran.code, ran.out) == (1, "")
        assert "CONTROL_PLANE_AGENT_FILE" in ran.err
        assert cli.asked("withdraw") == [{"enrolment_id": "enr_1"}]

    @given(PRINTABLE, st.text())
    def test_it_stays_yaml_whatever_is_in_it(self, token: str, name: str) -> None:
        text = FirstLine(URL, token, PIN).for_cloud_init(name, name)
        config = yaml.safe_load(text)
        assert config["write_files"][0]["content"] == token
        assert config.keys() == {"packages", "write_files", "runcmd"}
