"""Installing and taking away: all of it or nothing, however often, and whatever fails in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from application.installing.install import Installer, Program, Wishes
from application.installing.uninstall import Uninstaller
from application.ports.machine import Kept
from domain.environment_file import variables_of
from domain.errors import (
    Busy,
    Conflict,
    InstaDeployError,
    InvalidInput,
    RuntimeUnavailable,
    TransportLost,
    TransportRefused,
)
from domain.installation import Layout, UnitActivity, UnitState
from tests.fakes.local_machine import FakeLocalMachine

AT = Layout()
UNIT_FILE = b"[Unit]\nX-InstaDeploy-Installed=yes\n"
WISHES = Wishes("wss://cp.example/ws", "sha256:ab", enroll_token="ide_secret")
LEFT = ("/usr/local/bin", AT.platform, AT.projects)
IDENTITY = Kept(0o600, "instadeploy", b'{"host_id": "host_1"}')


class Bench:
    def __init__(self) -> None:
        self.machine = FakeLocalMachine()
        self.said: list[str] = []

    def installer(self, name: str = "1.0.0-a", file: str = "/tmp/agent") -> Installer:
        return Installer(self.machine, Program(file, name), UNIT_FILE, self.said.append)

    def install(self, wishes: Wishes = WISHES, name: str = "1.0.0-a") -> str:
        status = self.installer(name).install(wishes)
        self.machine.paths[f"{AT.state}/identity.json"] = IDENTITY
        return status

    def uninstall(
        self, *, purge: bool = False, projects: bool = False, force: bool = False
    ) -> None:
        Uninstaller(self.machine, self.said.append).uninstall(
            purge=purge, projects=projects, force=force
        )

    def content(self, path: str) -> bytes:
        found = self.machine.look(path)
        assert found is not None
        assert found.content is not None
        return found.content


@pytest.fixture
def bench() -> Bench:
    return Bench()


class TestInstalling:
    def test_a_fresh_machine_becomes_a_host(self, bench: Bench) -> None:
        assert bench.install() == "Connected: since now"
        machine = bench.machine
        assert machine.users["instadeploy"] == {"instadeploy", "docker"}
        assert machine.look(AT.state) == Kept(0o700, "instadeploy")
        assert machine.look(AT.credentials) == Kept(0o700, "root")
        assert machine.look(AT.projects) == Kept(0o755, "instadeploy")
        assert bench.content(AT.unit) == UNIT_FILE
        current = machine.look(AT.current)
        assert current is not None
        assert current.target == f"{AT.releases}/1.0.0-a"
        assert (
            f'exec {AT.current}/bin/python -I -m entrypoints.agent "$@"'.encode()
            in bench.content(AT.command)
        )
        assert variables_of(bench.content(AT.settings_file).decode()) == {
            "SERVER_URL": "wss://cp.example/ws",
            "AGENT_CONTROL_PLANE_KEY": "sha256:ab",
        }
        assert machine.enabled == {"instadeploy-agent.service"}

    def test_a_token_is_for_root_alone_and_gone_when_it_is_used_up(self, bench: Bench) -> None:
        written: list[Kept] = []
        restart = bench.machine.restart

        def looking(unit: str) -> None:
            found = bench.machine.look(f"{AT.credentials}/enroll_token")
            assert found is not None
            written.append(found)
            restart(unit)

        bench.machine.restart = looking  # type: ignore[method-assign]
        bench.install()
        assert written == [Kept(0o600, "root", b"ide_secret\n")]
        assert bench.machine.names_in(AT.credentials) == []
        assert not [one for one in bench.said if "ide_secret" in one]

    def test_a_bearer_token_stays(self, bench: Bench) -> None:
        bench.install(Wishes("wss://cp.example/ws", secret_token="idh_secret"))
        assert bench.content(f"{AT.credentials}/secret_token") == b"idh_secret\n"

    def test_again_nothing_is_to_be_done_but_to_start_it_anew(self, bench: Bench) -> None:
        bench.install()
        before = bench.machine.picture()
        bench.machine.did.clear()
        bench.install(Wishes())
        assert bench.machine.picture() == before
        assert bench.machine.did == ["make temporary files", "reload", "restart"]

    def test_a_host_that_is_one_already_needs_and_uses_no_token(self, bench: Bench) -> None:
        bench.install()
        bench.machine.did.clear()
        bench.install(WISHES)
        assert not [what for what in bench.machine.did if "token" in what]

    def test_what_its_owner_has_set_stays(self, bench: Bench) -> None:
        bench.install()
        own = b"# mine\nAGENT_MAX_PARALLEL=2\n" + bench.content(AT.settings_file)
        bench.machine.write(AT.settings_file, Kept(0o600, "root", own, group="adm"))
        bench.install(Wishes("wss://other.example/ws", ca=b"certificates"))
        text = bench.content(AT.settings_file).decode()
        assert text.startswith("# mine\nAGENT_MAX_PARALLEL=2\n")
        assert variables_of(text)["SERVER_URL"] == "wss://other.example/ws"
        assert variables_of(text)["AGENT_CA_FILE"] == AT.ca_file
        assert bench.content(AT.ca_file) == b"certificates"
        found = bench.machine.look(AT.settings_file)
        assert found is not None
        assert (found.mode, found.group) == (0o600, "adm")

    def test_the_same_build_again_keeps_the_one_before_it(self, bench: Bench) -> None:
        for name in ("1.0.0-a", "1.1.0-b", "1.1.0-b"):
            bench.install(name=name)
            bench.machine.paths[f"{AT.releases}/.{name}.half"] = Kept(0o755, "root")
        bench.install(name="1.1.0-b")
        assert bench.machine.names_in(AT.releases) == ["1.0.0-a", "1.1.0-b"]

    def test_an_upgrade_keeps_the_build_before_and_no_older_one(self, bench: Bench) -> None:
        for name in ("1.0.0-a", "1.1.0-b", "1.2.0-c"):
            bench.install(name=name)
        assert bench.machine.names_in(AT.releases) == ["1.1.0-b", "1.2.0-c"]

    def test_a_plan_changes_nothing_and_is_what_is_done(self, bench: Bench) -> None:
        before = bench.machine.picture()
        planned = bench.installer().plan(WISHES)
        assert bench.machine.picture() == before
        assert bench.machine.did == []
        bench.install()
        assert [one for one in bench.said if one in planned] == planned
        assert [one for one in bench.said if one not in planned] == [
            "wait until the control plane has confirmed this host",
            f"remove {AT.credentials}/enroll_token, which is used up",
        ]


class TestWhatFails:
    def test_a_plan_needs_no_token(self, bench: Bench) -> None:
        assert bench.installer().plan(Wishes("wss://cp.example/ws"))

    @pytest.mark.parametrize("is_upgrade", [False, True])
    def test_whatever_fails_the_machine_is_left_as_it_was(self, is_upgrade: bool) -> None:
        failures = 0
        while True:
            bench = Bench()
            if is_upgrade:
                bench.install()
            else:
                bench.machine.groups.discard("docker")
            before = bench.machine.picture()
            bench.machine.fails_at = failures
            wishes = Wishes("wss://other.example/ws", enroll_token="t", secret_token="s", ca=b"c")
            try:
                bench.installer("1.1.0-b").install(wishes)
            except InstaDeployError:
                assert bench.machine.picture() == before, failures
                failures += 1
            else:
                break
        assert failures >= (8 if is_upgrade else 18)

    def test_an_upgrade_that_does_not_connect_leaves_the_agent_before_running(
        self, bench: Bench
    ) -> None:
        bench.install()
        bench.machine.statuses = ["Refused: 401: no such key"]
        before = bench.machine.picture()
        with pytest.raises(TransportRefused):
            bench.install(Wishes("wss://wrong.example/ws"), "1.1.0-b")
        assert bench.machine.picture() == before
        assert bench.machine.did[-1] == "restart"
        assert bench.machine.running is not None
        assert bench.machine.running.main_pid

    def test_interrupted_it_takes_back_too(self, bench: Bench) -> None:
        before = bench.machine.picture()

        def interrupted(seconds: float) -> None:
            raise KeyboardInterrupt

        bench.machine.pause = interrupted  # type: ignore[method-assign]
        bench.machine.statuses = ["Connecting"]
        with pytest.raises(KeyboardInterrupt):
            bench.install()
        assert bench.machine.picture()[0] == before[0]  # type: ignore[index]

    def test_a_refusal_says_what_to_do(self, bench: Bench) -> None:
        bench.machine.statuses = ["Connecting", "Refused: HTTP 401: the token is used"]
        with pytest.raises(TransportRefused, match="the token is used") as refused:
            bench.install()
        assert "hosts enroll" in refused.value.advice

    def test_no_way_to_the_control_plane_is_said_while_it_waits_and_at_last(
        self, bench: Bench
    ) -> None:
        bench.machine.statuses = ["Connecting", "Not connected: no such host", "Connecting"]
        with pytest.raises(TransportLost, match="no such host"):
            bench.install()
        assert bench.said.count("Not connected: no such host") == 1
        assert bench.machine.now == pytest.approx(WISHES.wait_s, abs=1)

    def test_an_agent_that_does_not_start_is_quoted(self, bench: Bench) -> None:
        bench.machine.starts = False
        with pytest.raises(RuntimeUnavailable, match="it said this"):
            bench.install()

    def test_what_another_has_put_there_is_left_alone(self, bench: Bench) -> None:
        bench.machine.paths[AT.unit] = Kept(0o644, "root", b"[Unit]\n")
        before = bench.machine.picture()
        with pytest.raises(Conflict, match="by hand"):
            bench.install()
        assert bench.machine.picture() == before

    def test_two_at_once_are_one_after_the_other(self, bench: Bench) -> None:
        with bench.machine.alone(), pytest.raises(Busy):
            bench.install()
        with bench.machine.alone(), pytest.raises(Busy):
            bench.uninstall()
        assert bench.machine.did == []

    def test_links_of_the_administrator_s_are_followed_and_stay(self, bench: Bench) -> None:
        machine = bench.machine
        machine.paths |= {
            "/data": Kept(0o755, "root"),
            "/data/projects": Kept(0o2770, "root", group="ops"),
            "/data/projects/blog": Kept(0o644, "root", b"written by an agent of root's"),
            AT.platform: Kept(0o2770, "root", group="ops"),
            AT.projects: Kept(0o777, "root", target="/data/projects"),
        }
        before = machine.picture()
        machine.statuses = ["Not connected: no such host"]
        with pytest.raises(TransportLost):
            bench.install()
        assert machine.picture() == before
        machine.statuses = ["Connected: since now"]
        bench.install()
        assert machine.look(AT.platform) == Kept(0o2770, "root", group="ops")
        projects = machine.look(AT.projects)
        assert projects is not None
        assert projects.target == "/data/projects"
        assert machine.look("/data/projects") == Kept(0o2770, "instadeploy", group="ops")
        found = machine.look("/data/projects/blog")
        assert found is not None
        assert found.owner == "instadeploy"

    def test_what_containers_have_made_stays_theirs(self, bench: Bench) -> None:
        bench.install()
        bench.machine.paths[f"{AT.projects}/db"] = Kept(0o700, "root")
        bench.install(name="1.1.0-b")
        assert bench.machine.look(f"{AT.projects}/db") == Kept(0o700, "root")

    def test_an_agent_of_root_s_is_taken_over_with_its_identity(self, bench: Bench) -> None:
        bench.machine.paths |= {
            AT.state: Kept(0o700, "root"),
            f"{AT.state}/identity.json": replace(IDENTITY, owner="root"),
        }
        before = bench.machine.picture()
        bench.machine.starts = False
        with pytest.raises(RuntimeUnavailable):
            bench.install(Wishes("wss://cp.example/ws"))
        assert bench.machine.picture() == before
        bench.machine.starts = True
        bench.install(Wishes("wss://cp.example/ws"))
        assert bench.machine.look(f"{AT.state}/identity.json") == IDENTITY

    def test_one_that_failed_again_and_again_is_started_again(self, bench: Bench) -> None:
        bench.install()
        bench.machine.running = UnitState(UnitActivity.ACTIVATING, exit_status=1, restarts=7)
        bench.machine.fails_at = 3
        with pytest.raises(InstaDeployError):
            bench.install(Wishes("wss://other.example/ws"), "1.1.0-b")
        assert bench.machine.did[-1] == "restart"

    def test_taking_back_is_not_interrupted_and_goes_on_whoever_fails(self, bench: Bench) -> None:
        before = bench.machine.picture()

        def broken(configuration: str) -> None:
            raise OSError("surprise")

        bench.machine.make_temporary_files = broken  # type: ignore[method-assign]
        with pytest.raises(OSError, match="surprise"):
            bench.install()
        assert bench.machine.picture() == before
        assert bench.machine.shields == 1

    def test_a_unit_that_is_masked(self, bench: Bench) -> None:
        bench.install()
        bench.machine.running = UnitState(UnitActivity.INACTIVE, is_masked=True)
        with pytest.raises(Conflict, match="unmask"):
            bench.install()

    @pytest.mark.parametrize("path", [AT.programs, AT.settings, AT.state, AT.credentials])
    def test_a_link_where_the_unit_can_use_none(self, bench: Bench, path: str) -> None:
        bench.machine.paths[path] = Kept(0o777, "root", target="/data")
        with pytest.raises(Conflict, match="no link"):
            bench.install()

    @pytest.mark.parametrize("path", [AT.programs, AT.settings, AT.state, AT.projects, AT.command])
    def test_a_path_that_is_taken(self, bench: Bench, path: str) -> None:
        bench.machine.paths[path] = Kept(0o644, "root", b"somebody's")
        with pytest.raises(Conflict, match=path):
            bench.install()

    def test_docker_may_come_later_and_that_is_said(self, bench: Bench) -> None:
        bench.machine.groups.discard("docker")
        bench.install()
        assert "Docker Engine, which is not here" in bench.said[0]
        assert bench.machine.has_group("docker")

    def test_a_setting_in_a_comment_is_none(self, bench: Bench) -> None:
        bench.machine.paths[AT.settings_file] = Kept(0o644, "root", b"# SERVER_URL=wss://x/ws\n")
        with pytest.raises(InvalidInput, match="--server-url"):
            bench.install(Wishes(enroll_token="t"))

    @pytest.mark.parametrize(
        ("wishes", "field"),
        [
            (Wishes(enroll_token="t"), "--server-url"),
            (Wishes("wss://cp.example/ws"), "INSTADEPLOY_ENROLL_TOKEN"),
        ],
    )
    def test_what_is_missing(self, bench: Bench, wishes: Wishes, field: str) -> None:
        with pytest.raises(InvalidInput) as missing:
            bench.install(wishes)
        assert missing.value.field == field
        assert bench.machine.did == []


class TestTakingAway:
    def test_projects_settings_and_state_stay(self, bench: Bench) -> None:
        bench.install()
        bench.machine.paths[f"{AT.projects}/blog"] = Kept(0o755, "instadeploy")
        bench.uninstall()
        left = set(bench.machine.paths)
        assert {f"{AT.projects}/blog", AT.settings_file, f"{AT.state}/identity.json"} <= left
        assert not {AT.unit, AT.command, AT.programs, AT.tmpfiles} & left
        assert bench.machine.enabled == set()
        assert bench.machine.running is not None
        assert not bench.machine.running.main_pid
        bench.install(Wishes())

    def test_purged_nothing_is_left_but_projects(self, bench: Bench) -> None:
        bench.install()
        bench.machine.paths[f"{AT.projects}/blog"] = Kept(0o755, "instadeploy")
        bench.uninstall(purge=True)
        assert set(bench.machine.paths) == {*LEFT, f"{AT.projects}/blog"}
        # Or the next user that is made would get its number, and the secrets of its projects.
        blog = bench.machine.look(f"{AT.projects}/blog")
        assert blog is not None
        assert blog.owner == "root"
        assert "instadeploy" not in bench.machine.users

    def test_what_was_put_there_by_hand_is_left_to_that_hand(self, bench: Bench) -> None:
        bench.machine.paths[AT.unit] = Kept(0o644, "root", b"[Unit]\n")
        before = bench.machine.picture()
        with pytest.raises(Conflict, match="by hand"):
            bench.uninstall()
        assert bench.machine.picture() == before

    def test_what_is_no_project_is_left_alone(self, bench: Bench) -> None:
        bench.install()
        bench.machine.paths[f"{AT.projects}/lost+found"] = Kept(0o700, "root")
        bench.machine.paths[AT.programs + "/mine"] = Kept(0o755, "root")
        bench.uninstall(projects=True)
        assert bench.machine.names_in(AT.projects) == ["lost+found"]
        assert bench.machine.names_in(AT.programs) == ["mine"]

    def test_projects_go_where_that_is_asked_for(self, bench: Bench) -> None:
        bench.install()
        bench.machine.paths[f"{AT.projects}/Blog"] = Kept(0o755, "instadeploy")
        bench.uninstall(projects=True)
        assert "take down blog at unix:///var/run/docker.sock" in bench.machine.did
        assert bench.machine.names_in(AT.projects) == []

    def test_not_while_something_is_deployed_unless_forced(self, bench: Bench) -> None:
        bench.install()
        assert bench.machine.running is not None
        bench.machine.processes = [bench.machine.running.main_pid, 4711]
        with pytest.raises(Busy):
            bench.uninstall()
        bench.uninstall(force=True)
        assert bench.machine.look(AT.unit) is None

    def test_again_it_goes_on_where_it_failed(self, bench: Bench) -> None:
        bench.install()
        failures = 0
        while True:
            bench.machine.fails_at = failures
            try:
                bench.uninstall(purge=True)
            except InstaDeployError:
                failures += 1
            else:
                break
        assert failures > 2
        assert set(bench.machine.paths) == set(LEFT)
        bench.machine.fails_at = None
        bench.machine.did.clear()
        bench.uninstall(purge=True)
        assert bench.machine.did == []
