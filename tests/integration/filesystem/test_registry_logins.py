"""Directories for DOCKER_CONFIG on a real disk: the contract, modes, the host's own, failing disks."""

from __future__ import annotations

import base64
import errno
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path

import pytest

from adapters.filesystem.private_directory import name_for
from adapters.filesystem.registry_logins import LocalRegistryLogins
from application.ports.registry_logins import RegistryLogins
from domain.errors import NoSpace, StorageUnavailable
from tests.contracts.registry_logins import HOSTS_OWN, LOGINS, RegistryLoginsContract
from tests.integration.project_files.disk import entries, failing_with, mode

HOSTS_CONFIG = {"auths": {HOSTS_OWN: {"auth": base64.b64encode(b"host:host's").decode()}}}


@pytest.fixture
def host_config(tmp_path: Path) -> Path:
    """The host's own `.docker`."""
    path = tmp_path / "home" / ".docker"
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(HOSTS_CONFIG))
    return path


@pytest.fixture
def logins(state: Path, executor: Executor, host_config: Path) -> RegistryLogins:
    return LocalRegistryLogins(state, executor, host_config=host_config)


def read(directory: str) -> Mapping[str, tuple[str, str]]:
    found = {}
    for registry, entry in json.loads((Path(directory) / "config.json").read_text())[
        "auths"
    ].items():
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        found[registry] = (user, password)
    return found


class TestLocalRegistryLogins(RegistryLoginsContract):
    @pytest.fixture
    def logins(self, state: Path, executor: Executor, host_config: Path) -> RegistryLogins:
        return LocalRegistryLogins(state, executor, host_config=host_config)

    @pytest.fixture
    def found(self) -> Callable[[str], Mapping[str, tuple[str, str]]]:
        return read

    @pytest.fixture
    def held(self, state: Path) -> Callable[[], int]:
        return lambda: len(list((state / "logins").glob("*")))

    @pytest.fixture
    def fill_disk(self, filling: Callable[[], None]) -> Callable[[], None]:
        return filling


async def test_all_is_for_the_agents_user_alone_from_the_first_byte(
    logins: RegistryLogins, state: Path, umask: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[str] = []
    write = os.write

    def look(fd: int, data: bytes) -> int:
        modes.extend(mode(path) for path in (state / "logins").rglob("*"))
        return write(fd, data)

    monkeypatch.setattr(os, "write", look)
    directory = await logins.provide("../job 1", LOGINS)
    assert directory == str(state / "logins" / name_for("../job 1"))
    assert modes == ["0o700", "0o600"]
    assert mode(Path(directory) / "config.json") == "0o600"
    assert mode(state / "logins") == "0o700"


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_host_may_have_no_configuration(
    state: Path, executor: Executor, tmp_path: Path, is_there: bool
) -> None:
    host_config = tmp_path / "none" if is_there else None
    logins = LocalRegistryLogins(state, executor, host_config=host_config)
    assert read(await logins.provide("job-1", LOGINS[:1])) == {HOSTS_OWN: ("job", "job's")}


async def test_what_docker_looks_for_beside_the_logins_stays_reachable(
    logins: RegistryLogins, host_config: Path
) -> None:
    for name in ("cli-plugins", "contexts"):
        (host_config / name).mkdir()
        (host_config / name / "x").write_text("x")
    (host_config / "notes").write_text("private")
    directory = Path(await logins.provide("job-1", LOGINS))
    (host_config / "buildx").mkdir()
    assert Path(await logins.provide("job-1", LOGINS)) == directory
    assert {path.name for path in directory.iterdir()} == {
        "config.json",
        "cli-plugins",
        "contexts",
        "buildx",
    }
    assert (directory / "cli-plugins" / "x").read_text() == "x"
    await logins.wipe("job-1")
    assert not directory.exists()
    assert (host_config / "cli-plugins" / "x").read_text() == "x"


@pytest.mark.parametrize(
    "content", [b"", b"secret", b"\xff", b'["secret"]', b'{"auths": "secret"}', b"[" * 99999]
)
async def test_a_malformed_configuration_of_the_host_is_said_and_never_quoted(
    logins: RegistryLogins, state: Path, host_config: Path, content: bytes
) -> None:
    (host_config / "config.json").write_bytes(content)
    with pytest.raises(StorageUnavailable, match=r"\.docker/config\.json cannot be used: ") as said:
        await logins.provide("job-1", LOGINS)
    assert "secret" not in str(said.value)
    assert said.value.__cause__ is None
    assert not state.exists() or entries(state) == set()


async def test_an_unreadable_configuration_of_the_host_is_said(
    logins: RegistryLogins, host_config: Path
) -> None:
    (host_config / "config.json").unlink()
    (host_config / "config.json").mkdir()
    with pytest.raises(StorageUnavailable, match=r"config\.json cannot be used: Is a directory"):
        await logins.provide("job-1", LOGINS)


@pytest.mark.parametrize("call", ["mkdir", "open", "write", "fsync", "rename", "symlink"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_a_disk_that_fails_is_said_and_leaves_no_login(
    logins: RegistryLogins,
    state: Path,
    host_config: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
) -> None:
    (host_config / "cli-plugins").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing_with(number))
        with pytest.raises(NoSpace if number == errno.ENOSPC else StorageUnavailable):
            await logins.provide("job-1", LOGINS)
    assert not list(state.rglob("config.json*"))
    assert read(await logins.provide("job-1", LOGINS)).keys() == {
        login.registry for login in LOGINS
    }


async def test_what_docker_itself_leaves_there_is_wiped(
    logins: RegistryLogins, state: Path
) -> None:
    directory = Path(await logins.provide("job-1", LOGINS))
    (directory / "buildx" / "activity").mkdir(parents=True)
    (directory / "buildx" / "activity" / "x").write_text("x")
    await logins.wipe_all_but(["job-2"])
    assert entries(state) == {"logins"}
