"""Names, modes, links and directories that are not as everywhere, and still collected."""

from __future__ import annotations

from pathlib import Path

from adapters.project_folder.collecting import collect
from tests.integration.project_folder.folders import Content, contents, make, modes, picked


def test_names_with_spaces_and_unicode_and_files_that_are_no_text(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "compose.yaml": "services: {web: {image: x, volumes: ['./my files:/a', './daten/über:/b']}}\n",
        "my files/a b.txt": "spaces",
        "my files/日本語/ファイル": "unicode",
        "my files/$dollar & 'quotes'": "odd",
        "daten/über/key.p12": bytes(range(256)) * 3,
        "daten/über/empty": b"",
        "daten/über/crlf.txt": "a\r\nb\r\n",
    }
    project = collect(make(tmp_path, files))
    assert contents(project) == picked(files, *(path for path in files if path != "compose.yaml"))


def test_scripts_stay_executable_and_private_files_private(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "compose.yaml": "services: {web: {image: x, volumes: ['./bin:/bin2', './key:/key']}}\n",
        "bin/run.sh": "#!/bin/sh\n",
        "bin/mine.sh": "#!/bin/sh\n",
        "bin/data": "d",
        "bin/group": "g",
        "key": "k",
    }
    make(tmp_path, files)
    for path, mode in {
        "bin/run.sh": 0o775, "bin/mine.sh": 0o700, "bin/data": 0o664, "bin/group": 0o640, "key": 0o400,
    }.items():  # fmt: skip
        (tmp_path / path).chmod(mode)
    assert modes(collect(tmp_path)) == {
        "bin/run.sh": 0o755, "bin/mine.sh": 0o755, "bin/data": 0o644, "bin/group": 0o600, "key": 0o600,
    }  # fmt: skip


def test_links_within_the_project_are_sent_as_what_they_lead_to(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "compose.yaml": "services: {web: {image: x, volumes: ['./current:/app', './conf:/conf']}}\n",
        "releases/2/app.js": "two",
        "releases/2/deep/x": "x",
        "releases/1/app.js": "not sent",
        "shared/db.toml": "db",
        "conf/own": "own",
    }
    make(tmp_path, files)
    (tmp_path / "current").symlink_to("releases/2")
    (tmp_path / "conf/db.toml").symlink_to("../shared/db.toml")
    (tmp_path / "conf/again.toml").symlink_to("db.toml")
    (tmp_path / "outer").symlink_to(tmp_path)
    project = collect(tmp_path / "outer")
    assert contents(project) == {
        "conf/again.toml": b"db",
        "conf/db.toml": b"db",
        "conf/own": b"own",
        "current/app.js": b"two",
        "current/deep/x": b"x",
    }
    assert project.notes == (
        (
            "current/app.js, current/deep/x, conf/again.toml, conf/db.toml are reached by symbolic links: "
            "what a link leads to is sent in its place."
        ),
    )


def test_nothing_of_the_folder_is_changed(tmp_path: Path) -> None:
    make(tmp_path, {"compose.yaml": "services: {web: {build: .}}\n", "Dockerfile": "FROM x\n"})
    before = {path: path.stat() for path in tmp_path.rglob("*")}
    collect(tmp_path)
    after = {path: path.stat() for path in tmp_path.rglob("*")}
    assert {path: (one.st_mtime_ns, one.st_mode) for path, one in before.items()} == {
        path: (one.st_mtime_ns, one.st_mode) for path, one in after.items()
    }
