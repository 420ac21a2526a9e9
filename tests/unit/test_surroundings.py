"""Whose settings doctor and status look at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from domain.installation import Layout, environment_in
from entrypoints.agent.commands.surroundings import UNITS_PATH, surroundings

UNIT_FILE = """\
[Unit]
X-InstaDeploy-Installed=yes
[Service]
Environment=AGENT_PROJECTS_DIR=/opt/platform/projects
Environment=AGENT_STATE_DIR=/var/lib/instadeploy
Environment=HOME=/var/lib/instadeploy
"""


@pytest.fixture
def installed(tmp_path: Path, bare_environment: pytest.MonkeyPatch) -> Layout:
    layout = Layout(str(tmp_path / "root"))
    for path in (layout.settings, f"{layout.unit}.d"):
        Path(path).mkdir(parents=True)
    Path(layout.unit).write_text(UNIT_FILE)
    Path(layout.settings_file).write_text('SERVER_URL="wss://cp.example/ws"\n')
    return layout


def test_the_installed_units_are_looked_at_and_this_process_is_put_back(installed: Layout) -> None:
    before, directory = dict(os.environ), Path.cwd()
    with surroundings(installed) as around:
        assert around.is_installed
        assert around.user == "instadeploy"
        assert around.source == installed.settings_file
        assert around.problems == around.slips == ()
        assert around.settings.server_url == "wss://cp.example/ws"
        assert str(around.settings.state_dir) == "/var/lib/instadeploy"
        assert os.environ["PATH"] == UNITS_PATH
    assert (dict(os.environ), Path.cwd()) == (before, directory)


def test_drop_ins_count_and_settings_count_above_them(installed: Layout) -> None:
    drop_in = Path(f"{installed.unit}.d", "proxy.conf")
    drop_in.write_text('[Service]\nEnvironment="HTTPS_PROXY=http://p:1" AGENT_LOG_LEVEL=debug\n')
    with Path(installed.settings_file).open("a") as file:
        file.write("AGENT_LOG_LEVEL=error\n")
    with surroundings(installed) as around:
        assert os.environ["HTTPS_PROXY"] == "http://p:1"
        assert around.settings.log_level == "error"


def test_the_files_that_a_drop_in_names_count(installed: Layout) -> None:
    Path(f"{installed.unit}.d", "proxy.conf").write_text(
        "[Service]\nEnvironmentFile=/lost.env\nEnvironmentFile=\n"
        "EnvironmentFile=-/etc/instadeploy/proxy.env\nEnvironmentFile=-/nowhere\n"
    )
    Path(installed.settings, "proxy.env").write_text("HTTPS_PROXY='http://u:p@proxy:1'\n")
    Path(installed.root, "lost.env").write_text("AGENT_LOG_LEVEL=error\n")
    with surroundings(installed) as around:
        assert os.environ["HTTPS_PROXY"] == "http://u:p@proxy:1"
        assert around.settings.log_level == "info"
        assert around.settings.server_url == "wss://cp.example/ws"


def test_a_setting_in_a_comment_is_none(installed: Layout) -> None:
    Path(installed.settings_file).write_text("# SERVER_URL=wss://cp.example/ws\n")
    with surroundings(installed) as around:
        assert around.problems == ("SERVER_URL: is missing; it is where the agent connects",)


@pytest.mark.parametrize("variable", ["SERVER_URL", "AGENT_STATE_DIR"])
def test_who_sets_where_means_an_agent_of_their_own(
    installed: Layout, bare_environment: pytest.MonkeyPatch, variable: str
) -> None:
    bare_environment.setenv(variable, "wss://mine.example/ws")
    with surroundings(installed) as around:
        assert not around.is_installed
        assert around.source == "the environment"


def test_a_unit_of_anothers_is_not_looked_at(installed: Layout) -> None:
    Path(installed.unit).write_text(UNIT_FILE.replace("X-InstaDeploy-Installed=yes", ""))
    with surroundings(installed) as around:
        assert not around.is_installed
        assert around.problems == ("SERVER_URL: is missing; it is where the agent connects",)


def test_what_is_wrong_and_slips_of_the_pen_are_said(installed: Layout) -> None:
    Path(installed.settings_file).write_text('SERVER_URL="http://x"\nAGENT_TOKN="s3cr3t"\n')
    with surroundings(installed) as around:
        assert around.problems == ("SERVER_URL: must begin with ws:// or wss://",)
        assert "AGENT_TOKN is no setting" in around.slips[0]
        assert "s3cr3t" not in str(around)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('Environment=A=b "C=d e"', {"A": "b", "C": "d e"}),
        ("Environment=A=b\nEnvironment=\nEnvironment=C=d", {"C": "d"}),
        ("Environment='A=b", {}),
        ("EnvironmentFile=-/etc/x\n#Environment=A=b", {}),
    ],
)
def test_what_a_unit_gives_its_program(text: str, found: dict[str, str]) -> None:
    assert environment_in(text) == found
