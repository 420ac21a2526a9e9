"""What a build looks at before it puts anything into a file for hosts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

from deploy.building import single_file, stamp, wheels
from deploy.building.lock import read_lock
from deploy.building.paths import LOCK, OUR_PACKAGES, BuildFailed
from deploy.building.platforms import MACHINES, described
from deploy.building.stamp import Stamp

NO_STAMP = Stamp("", is_dirty=False, dependencies=())


def _wheel(directory: Path, *names: str) -> Path:
    path = directory / "stranger-1.0-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for name in (*names, "stranger-1.0.dist-info/METADATA"):
            archive.writestr(name, "Name: stranger\nVersion: 1.0\n")
    return path


@pytest.fixture
def locked_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that the lock file names, and that brings a package called like one of ours."""
    wheel = _wheel(tmp_path, "stranger/__init__.py", "domain/__init__.py")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = tmp_path / "agent.lock"
    lock.write_text(f"stranger==1.0 \\\n    --hash=sha256:{digest}\n", encoding="utf-8")
    monkeypatch.setattr(wheels, "LOCK", lock)
    monkeypatch.setattr(wheels, "ROOT", tmp_path)
    return wheel


@pytest.mark.parametrize("name", OUR_PACKAGES)
@pytest.mark.parametrize(
    "path", ["{}/__init__.py", "{}.py", "{}.abi3.so", "stranger-1.0.data/purelib/{}/x.py"]
)
def test_every_way_to_bring_a_top_level_name_is_seen(tmp_path: Path, name: str, path: str) -> None:
    assert wheels.top_level_names(_wheel(tmp_path, path.format(name))) == {name}


@pytest.mark.parametrize("path", ["a/domain/x.py", "stranger-1.0.data/scripts/domain"])
def test_what_only_looks_like_one_is_none(tmp_path: Path, path: str) -> None:
    assert "domain" not in wheels.top_level_names(_wheel(tmp_path, path))


def test_a_locked_wheel_with_a_package_called_like_ours_is_refused(locked_stranger: Path) -> None:
    with pytest.raises(BuildFailed, match=r"stranger.* brings domain, and we have our own"):
        wheels.check_wheels([locked_stranger])


def test_no_file_is_built_with_such_a_wheel(
    locked_stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(directory: Path, name: str, minor: int) -> None:
        directory.mkdir(exist_ok=True)
        (directory / locked_stranger.name).write_bytes(locked_stranger.read_bytes())

    def build(directory: Path, stamp: Stamp) -> Path:
        directory.mkdir()
        return locked_stranger

    monkeypatch.setattr(wheels, "_download", download)
    monkeypatch.setattr(single_file, "build_wheel", build)
    with pytest.raises(BuildFailed, match="domain"):
        single_file.build_single_file(tmp_path / "agent", ("linux-amd64",), NO_STAMP)
    assert not (tmp_path / "agent").exists()


def test_a_wheel_that_is_not_the_locked_one_is_refused(locked_stranger: Path) -> None:
    other = _wheel(locked_stranger.parent, "stranger/__init__.py")
    with pytest.raises(BuildFailed, match=r"none of the files that agent\.lock names"):
        wheels.check_wheels([other])


def test_the_lock_file_is_read_as_a_whole() -> None:
    pins = read_lock(LOCK)
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    assert len(pins) == len([line for line in lines if line[0].isalnum()]) > 8
    assert sum(len(pin.hashes) for pin in pins) == len([line for line in lines if "--hash" in line])
    assert all(pin.name == canonicalize_name(pin.name) for pin in pins)
    assert all(len(one) == 64 for pin in pins for one in pin.hashes)


@pytest.mark.parametrize("name", MACHINES)
def test_a_platform_is_described_as_its_own_python_would(name: str) -> None:
    told = json.loads(described(name, 12))
    assert told["marker_environment"]["platform_machine"] == MACHINES[name]
    assert (
        str(next(iter(parse_tag(f"cp312-cp312-manylinux_2_28_{MACHINES[name]}"))))
        in (told["compatible_tags"])
    )


def test_a_stamp_is_a_module_that_says_the_same() -> None:
    module: dict[str, object] = {}
    exec(Stamp("abc", is_dirty=True, dependencies=("h11==0.16.0",)).as_module(), module)
    assert (module["COMMIT"], module["IS_DIRTY"]) == ("abc", True)
    assert module["DEPENDENCIES"] == ("h11==0.16.0",)


def test_without_git_the_stamp_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stamp, "ROOT", tmp_path)
    found = stamp.stamp_of_sources()
    assert (found.commit, found.is_dirty) == ("", False)
    assert found.dependencies
    assert "no commit is known" in capsys.readouterr().err
