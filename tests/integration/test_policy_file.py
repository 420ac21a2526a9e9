"""The policy file: trusted only where nobody but root can have written it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.policy_file import DEFAULT_POLICY_FILE, MAX_POLICY_BYTES, load_policy
from domain.errors import InvalidInput
from domain.policy import PERMISSIVE, STANDARD, STRICT

NOBODY = 65534
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can make a file that is root's"
)


@pytest.fixture
def directory() -> Iterator[Path]:
    """One that only root can write, on a way that only root can change: not below /tmp."""
    made = Path(tempfile.mkdtemp(prefix="instadeploy-policy-", dir="/var/lib"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def file(directory: Path) -> Path:
    path = directory / "policy.toml"
    path.write_text('preset = "strict"\n')
    path.chmod(0o644)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as refused:
        load_policy(path)
    assert refused.value.field == "AGENT_POLICY_FILE"
    return refused.value.rule


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o640, 0o400])
def test_a_file_of_roots_is_the_policy(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert load_policy(file) == STRICT


def test_the_presets_files_can_be_installed_as_they_are(file: Path) -> None:
    for policy in (PERMISSIVE, STANDARD, STRICT):
        shutil.copyfile(ROOT / f"deploy/policy/{policy.name}.toml", file)
        assert load_policy(file) == policy


def test_without_a_file_everything_is_allowed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Path("/etc/instadeploy/policy.toml") == DEFAULT_POLICY_FILE
    default = "adapters.policy_file.toml_policy.DEFAULT_POLICY_FILE"
    for missing in (directory / "policy.toml", directory / "no-directory/policy.toml"):
        monkeypatch.setattr(default, missing)
        assert load_policy(None) == PERMISSIVE


def test_the_default_file_is_read_and_judged_where_it_is_there(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.policy_file.toml_policy.DEFAULT_POLICY_FILE", file)
    assert load_policy(None) == STRICT
    file.chmod(0o666)
    with pytest.raises(InvalidInput, match="can be written by others"):
        load_policy(None)


def test_a_default_that_cannot_be_looked_at_is_not_none(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "instadeploy").write_text("a file where the directory should be")
    default = directory / "instadeploy/policy.toml"
    monkeypatch.setattr("adapters.policy_file.toml_policy.DEFAULT_POLICY_FILE", default)
    with pytest.raises(InvalidInput, match="cannot be read: Not a directory"):
        load_policy(None)


def test_a_file_that_is_named_has_to_be_there(directory: Path) -> None:
    said = refusal(directory / "policy.toml")
    assert said.endswith("policy.toml does not exist; write it, or unset AGENT_POLICY_FILE")


@pytest.mark.parametrize("bit", [stat.S_IWGRP, stat.S_IWOTH])
def test_a_file_that_others_can_write_is_refused(file: Path, bit: int) -> None:
    file.chmod(0o644 | bit)
    said = refusal(file)
    assert said.startswith(f"{file} can be written by others than root")
    assert said.endswith("chmod go-w it")


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_directory_that_others_can_write_is_refused(file: Path, mode: int) -> None:
    file.parent.chmod(mode)
    said = refusal(file)
    assert said.startswith(f"{file.parent} can be written by others than root")
    assert said.endswith("chmod go-w it")


def test_where_a_directory_is_there_for_everybody_the_policy_is_to_be_moved(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert refusal(file) == (
        f"{file.parent} can be written by others than root, and is there for that: "
        "move the policy to a directory that only root can write, such as /etc/instadeploy"
    )


def test_every_directory_on_the_way_is_looked_at(file: Path, directory: Path) -> None:
    below = directory / "a/b/policy.toml"
    below.parent.mkdir(parents=True)
    file.rename(below)
    assert load_policy(below) == STRICT
    (directory / "a").chmod(0o777)
    assert refusal(below).startswith(f"{directory}/a can be written by others")


def test_below_the_directory_of_everybody_nobody_is_told_to_change_that_directory() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".toml", dir="/tmp") as file:
        file.write('preset = "strict"\n')
        file.flush()
        said = refusal(Path(file.name))
    assert said.startswith("/tmp can be written by others than root")
    assert "chmod" not in said
    assert "move the policy to a directory that only root can write" in said


def test_a_file_of_somebody_else_is_refused(file: Path) -> None:
    os.chown(file, NOBODY, -1)
    assert refusal(file).startswith(f"{file} belongs to another user than root")


def test_a_directory_of_somebody_else_is_refused(file: Path) -> None:
    os.chown(file.parent, NOBODY, -1)
    assert refusal(file).startswith(f"{file.parent} belongs to another user than root")


def test_a_link_of_roots_to_a_file_of_roots_is_followed(file: Path, directory: Path) -> None:
    (directory / "absolute").symlink_to(file)
    (directory / "way").symlink_to(".")
    (directory / "relative").symlink_to("way/../" + directory.name + "/policy.toml")
    assert load_policy(directory / "absolute") == STRICT
    assert load_policy(directory / "relative") == STRICT


def test_a_link_of_somebody_else_is_refused(file: Path, directory: Path) -> None:
    link = directory / "link"
    link.symlink_to(file)
    os.chown(link, NOBODY, -1, follow_symlinks=False)
    assert refusal(link).startswith(f"{link} belongs to another user than root")


def test_where_a_link_leads_is_looked_at_all_the_way(file: Path, directory: Path) -> None:
    (directory / "open").mkdir()
    target = directory / "open/policy.toml"
    file.rename(target)
    file.symlink_to(target)
    assert load_policy(file) == STRICT
    (directory / "open").chmod(0o1777)
    assert refusal(file).startswith(f"{directory}/open can be written by others")


def test_links_in_a_circle_end(directory: Path) -> None:
    (directory / "a").symlink_to("b")
    (directory / "b").symlink_to("a")
    assert "too many symbolic links" in refusal(directory / "a")


def test_a_path_with_detours_is_judged_as_it_is_walked(file: Path, directory: Path) -> None:
    (directory / "open").mkdir()
    (directory / "open").chmod(0o777)
    assert refusal(directory / "open/../policy.toml").startswith(f"{directory}/open can be written")


def test_what_is_no_file_is_refused_and_not_waited_for(directory: Path) -> None:
    os.mkfifo(directory / "pipe", 0o600)
    assert "is not a regular file" in refusal(directory / "pipe")
    (directory / "folder").mkdir()
    (directory / "folder").chmod(0o755)
    assert "is not a regular file" in refusal(directory / "folder")


def test_a_file_larger_than_any_policy_is_refused(file: Path) -> None:
    start = 'preset = "strict"\n#'
    file.write_text(start + "x" * (MAX_POLICY_BYTES - len(start)))
    assert load_policy(file) == STRICT
    file.write_text(start + "x" * (MAX_POLICY_BYTES - len(start) + 1))
    assert refusal(file).endswith("is larger than 256 KiB, and so no policy")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"preset = strict", "is not TOML: "),
        (b'preset = "strict"\npreset = "strict"', "is not TOML: "),
        (b"a = " + b"[" * 100_000, "is nested too deeply to be a policy"),
        (b'preset = "\xff"', "is not UTF-8 text: byte 10 is not valid"),
        (b"", "is no policy: preset is missing"),
        (b'preset = "strict"\n[container]\n', "is no policy: container is unknown"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_with_its_reason(
    file: Path, content: bytes, said: str
) -> None:
    file.write_bytes(content)
    assert refusal(file).startswith(f"{file} {said}")
