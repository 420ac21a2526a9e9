"""Files that cannot be read, or are others than they were a moment ago."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from domain.content import MAX_CONTENT_BYTES
from tests.integration.project_folder.folders import make, problems

MOUNTS_A = "services: {web: {image: x, volumes: ['./a:/a']}}\n"
AT = "compose.yaml: services.web.volumes[0]"


def test_files_that_cannot_be_read_are_told_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs the tests may be allowed to read everything: the system is made to refuse."""
    make(tmp_path, {"compose.yaml": MOUNTS_A, "a/1": "1", "a/2": "2", "a/3": "3"})
    really_open = os.open

    def open_less(path: str, flags: int, **more: int) -> int:
        if path in ("1", "3"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really_open(path, flags, **more)

    monkeypatch.setattr(os, "open", open_less)
    assert problems(tmp_path) == (
        "a/1: cannot be read: Permission denied",
        "a/3: cannot be read: Permission denied",
    )


def test_a_directory_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, {"compose.yaml": MOUNTS_A, "a/private/x": "1"})
    really_open = os.open

    def open_less(path: str, flags: int, **more: int) -> int:
        if path == "private":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really_open(path, flags, **more)

    monkeypatch.setattr(os, "open", open_less)
    assert problems(tmp_path) == (f"{AT}: a/private: cannot be read: Permission denied",)


def test_a_link_that_takes_a_directorys_place_meanwhile_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, {"p/compose.yaml": MOUNTS_A, "p/a/d/x": "mine", "outside/x": "hers"})
    really_open = os.open
    opened: list[str] = []

    def open_late(path: str, flags: int, **more: int) -> int:
        opened.append(path)
        if path == "d" and opened.count("d") == 2:  # Once to list it, once to read what is in it.
            (tmp_path / "p/a/d").rename(tmp_path / "moved")
            (tmp_path / "p/a/d").symlink_to(tmp_path / "outside")
        return really_open(path, flags, **more)

    monkeypatch.setattr(os, "open", open_late)
    assert problems(tmp_path / "p") == (f"a/d/x: cannot be read: {os.strerror(errno.ENOTDIR)}",)


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, {"compose.yaml": MOUNTS_A, "a": "short"})
    really_open = os.open

    def open_grown(path: str, flags: int, **more: int) -> int:
        if path == "a":
            make(tmp_path, {"a": "longer by far"})
        return really_open(path, flags, **more)

    monkeypatch.setattr(os, "open", open_grown)
    assert problems(tmp_path) == ("a: is 13 bytes long; at most 5 bytes are read",)


def test_too_much_is_refused_before_any_of_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, {"compose.yaml": MOUNTS_A, "a/small": "s"})
    with (tmp_path / "a/dump.sql").open("wb") as file:
        file.truncate(MAX_CONTENT_BYTES)
    really_open = os.open

    def open_checked(path: str, flags: int, **more: int) -> int:
        assert path not in ("dump.sql", "small")
        return really_open(path, flags, **more)

    monkeypatch.setattr(os, "open", open_checked)
    (problem,) = problems(tmp_path)
    assert (
        "at most 4194304 (4 MiB) can be sent. The largest: a/dump.sql (4.0 MiB), a/small" in problem
    )
    assert ".dockerignore" in problem
    assert "push an image" in problem
