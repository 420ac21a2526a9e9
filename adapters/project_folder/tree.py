"""Finds the files that a project needs, and reads none but `.dockerignore`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from adapters.project_folder.folder import Entry, EntryKind, ProjectFolder
from domain.collecting import is_kept_by_agent, mode_of
from domain.collecting_ignore import IgnoreRules
from domain.collecting_limits import FoundFile
from domain.collecting_needs import Absence, Findings, Need, NeedKind
from domain.content import MAX_DEPTH, check_file_path
from domain.errors import InvalidInput

MAX_ENTRIES: Final = 50_000
"""Files and directories that are looked at: more cannot be meant."""
MAX_IGNORE_FILE_BYTES: Final = 256 * 1024
_IGNORE_FILE: Final = ".dockerignore"
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class _Walk:
    """One directory that is sent, with all that lies in it.

    `base` is where the patterns of `rules` start.
    """

    where: str
    base: str
    rules: IgnoreRules

    def leaves_out(self, path: str) -> bool:
        return self.rules.exclude(path if self.base == "." else path.removeprefix(f"{self.base}/"))


class ProjectTree:
    """Collects what is found. `on_host` are paths that the agent writes by itself, as they are here."""

    def __init__(self, folder: ProjectFolder, findings: Findings, on_host: Collection[str]) -> None:
        self.files: dict[str, FoundFile] = {}
        self.entries: dict[str, Entry] = {}
        self._folder = folder
        self._findings = findings
        self._on_host = on_host
        self._looked_at = 0
        self._empty: dict[str, None] = {}
        self._links: dict[str, None] = {}
        self._left_out: dict[str, None] = {}

    def take(self, needs: Iterable[Need]) -> None:
        """Finds what each need names; problems and notes go to the findings."""
        for need in needs:
            try:
                self._take(need)
            except InvalidInput as exc:
                self._findings.problem(f"{need.where}: {exc}")
        self._tell(self._empty, "is an empty directory", "are empty directories",
                   "only files are sent")  # fmt: skip
        self._tell(self._links, "is reached by a symbolic link", "are reached by symbolic links",
                   "what a link leads to is sent in its place")  # fmt: skip
        self._tell(self._left_out, "is left out", "are left out",
                   "the agent keeps such a name for itself")  # fmt: skip

    def _take(self, need: Need) -> None:
        if need.path in self._on_host:
            return
        entry = self._folder.look(need.path)
        if entry is None:
            self._absent(need)
        elif is_kept_by_agent(need.path):
            raise InvalidInput(
                need.path, "is a name that the agent keeps for itself; give the file another one"
            )
        elif need.kind is NeedKind.BUILD:
            self._take_build(need, entry)
        elif entry.kind is EntryKind.DIRECTORY and need.kind is not NeedKind.FILE:
            self._walk(entry, need.path, _Walk(need.where, need.path, IgnoreRules()), ())
        elif entry.kind is EntryKind.FILE:
            self._add(entry, need.path)
        else:
            raise InvalidInput(need.path, f"must be a {need.kind}; it is a {entry.kind}")

    def _absent(self, need: Need) -> None:
        match need.absence:
            case Absence.REFUSED:
                raise InvalidInput(need.path, "is not there")
            case Absence.MADE_ON_THE_HOST:
                self._findings.note(
                    f"{need.where}: {need.path} is not there: Docker makes an empty directory of "
                    "that name on the host, or refuses the mount."
                )
            case Absence.ALLOWED:
                pass

    def _take_build(self, need: Need, entry: Entry) -> None:
        if entry.kind is not EntryKind.DIRECTORY:
            raise InvalidInput(need.path, f"must be a directory; it is a {entry.kind}")
        ignore_file = self._ignore_file(need)
        rules = IgnoreRules()
        if ignore_file:
            content = self._folder.read(ignore_file, MAX_IGNORE_FILE_BYTES)
            rules = IgnoreRules.read(content, ignore_file)
        self._walk(entry, need.path, _Walk(need.where, need.path, rules), ())
        # The build on the host reads both, left out or outside of the directory as they may be.
        for path in (need.dockerfile, ignore_file):
            if path and path not in self._on_host:
                found = self._folder.look(path)
                if found is None:
                    raise InvalidInput(path, "is not there; the image is built of it")
                if found.kind is not EntryKind.FILE:
                    raise InvalidInput(path, f"must be a file; it is a {found.kind}")
                self._add(found, path)

    def _ignore_file(self, need: Need) -> str:
        """The one of the Dockerfile wins over the one of the directory, as in BuildKit."""
        of_directory = _IGNORE_FILE if need.path == "." else f"{need.path}/{_IGNORE_FILE}"
        candidates = (f"{need.dockerfile}{_IGNORE_FILE}" if need.dockerfile else "", of_directory)
        for path in filter(None, candidates):
            if self._folder.look(path) is not None:
                return path
        return ""

    def _walk(self, entry: Entry, path: str, walk: _Walk, above: tuple[str, ...]) -> None:
        """`above` are the directories that lead here, as they really lie: links may go in circles."""
        if entry.real in above:
            self._problem(walk, path, "is a symbolic link that leads in a circle")
            return
        try:
            names = self._folder.names_in(entry, path)
        except InvalidInput as exc:
            self._findings.problem(f"{walk.where}: {exc}")
            return
        if not names:
            self._empty[path] = None
        elif path.count("/") + 1 >= MAX_DEPTH and path != ".":
            self._problem(walk, path, f"holds files more than {MAX_DEPTH} parts deep")
            return
        for name in names:
            self._visit(name if path == "." else f"{path}/{name}", walk, (*above, entry.real))

    def _visit(self, path: str, walk: _Walk, above: tuple[str, ...]) -> None:
        is_left_out = walk.leaves_out(path)
        if is_left_out and not walk.rules.has_exceptions:
            return
        if not is_left_out and (shown := _shown_if_no_text(path)):
            self._problem(walk, shown, "must have a name of UTF-8 text")
            return
        self._looked_at += 1
        if self._looked_at > MAX_ENTRIES:
            raise InvalidInput(walk.base, f"holds more than {MAX_ENTRIES} files and directories")
        try:
            entry = self._folder.look(path)
        except InvalidInput as exc:
            if not is_left_out:
                self._findings.problem(f"{walk.where}: {exc}")
            return
        if entry is None:  # Gone since its directory was read.
            return
        if is_kept_by_agent(path):
            if path not in self._on_host and not is_left_out:
                self._left_out[path] = None
        elif entry.kind is EntryKind.DIRECTORY:
            self._walk(entry, path, walk, above)
        elif not is_left_out and entry.kind is EntryKind.FILE:
            self._add_walked(entry, path, walk)
        elif not is_left_out:
            self._problem(walk, path, f"is a {entry.kind}, which cannot be sent")

    def _add_walked(self, entry: Entry, path: str, walk: _Walk) -> None:
        try:
            self._add(entry, path)
        except InvalidInput as exc:
            self._findings.problem(f"{walk.where}: {exc}")

    def _add(self, entry: Entry, path: str) -> None:
        check_file_path(path)
        if entry.is_link:
            self._links[path] = None
        self.entries[path] = entry
        self.files[path] = FoundFile(path, entry.size, mode_of(entry.permissions))

    def _problem(self, walk: _Walk, path: str, rule: str) -> None:
        self._findings.problem(f"{walk.where}: {path}: {rule}")

    def _tell(self, paths: Collection[str], one: str, several: str, why: str) -> None:
        if not paths:
            return
        shown = ", ".join(list(paths)[:_SHOWN])
        if (left := len(paths) - _SHOWN) > 0:
            shown += f" and {left} more"
        self._findings.note(f"{shown} {one if len(paths) == 1 else several}: {why}.")


def _shown_if_no_text(path: str) -> str:
    """How a name is shown that is no UTF-8; empty where it is."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    return ""
