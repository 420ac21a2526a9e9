"""What Compose would read besides the compose file, judged before Compose sees it.

`include`, `extends` and the like make Compose open files, and fetch them from elsewhere, while it
parses; some versions leave the project's directory for that (CVE-2025-62725). So these keys may
name only files below that directory, in plain words. Whether a file is a symbolic link, the file
system's adapter has to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.errors import InvalidInput
from domain.source_paths import NOT_HERE, OUTSIDE, directory_of, is_remote, joined, problem_in

FIELD: Final = "compose_file_base64"
MAX_FILES: Final = 64
"""Compose files that one project may consist of, by include and extends."""
MAX_DEPTH: Final = 16


class SourceKind(StrEnum):
    """Why Compose reads a file."""

    INCLUDE = "include"
    EXTENDS = "extends"
    ENV_FILE = "env_file"
    LABEL_FILE = "label_file"
    CONFIG = "config"
    SECRET = "secret"  # noqa: S105 - The kind of file, not what is in it.
    BUILD = "build"


COMPOSE_FILES: Final = frozenset({SourceKind.INCLUDE, SourceKind.EXTENDS})
"""What is read is a compose file too, and has to be judged in its turn."""


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A file, or a build's directory, below the project's directory."""

    kind: SourceKind
    path: str
    """Relative to the project's directory, without `.` and `..`; `.` is the directory itself."""
    where: str
    """The key path that names it."""
    directory: str = "."
    """What relative paths in it are relative to."""
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What a document would have Compose read."""

    problems: tuple[InvalidInput, ...]
    """Each names its key path. With one of them, Compose must not see the document."""
    sources: tuple[LocalSource, ...]
    remote_builds: tuple[str, ...]
    """Key paths of builds from elsewhere. Nothing fetches them before the policy has spoken."""


def sources_of(document: object, *, directory: str = ".", within: str = "") -> SourceReport:
    """Judges one compose file, wholly read, whose relative paths start in a directory.

    `within` is the file's own path, to say in which file a problem is; empty for the first.
    """
    reading = _Reading(directory, f"{within}: " if within else "")
    reading.read(document)
    return SourceReport(
        tuple(reading.problems), tuple(reading.sources), tuple(reading.remote_builds)
    )


class SourceWalk:
    """Goes through a project's compose files, which somebody else opens.

        walk = SourceWalk(document)
        while (source := walk.next_file()) is not None:
            walk.add(source, read(source.path))
        report = walk.report()

    A file that is not there is not added: Compose says so better. Bounded in number and depth.
    """

    def __init__(
        self, document: object, *, max_files: int = MAX_FILES, max_depth: int = MAX_DEPTH
    ) -> None:
        self._max_files = max_files
        self._max_depth = max_depth
        self._depths: dict[tuple[str, str], int] = {}
        self._pending: list[LocalSource] = []
        self._problems: list[InvalidInput] = []
        self._sources: list[LocalSource] = []
        self._remote_builds: list[str] = []
        self._take(sources_of(document), depth=0)

    def next_file(self) -> LocalSource | None:
        """A compose file that has to be read next, each once; None when there are no more."""
        return self._pending.pop() if self._pending and not self._problems else None

    def add(self, source: LocalSource, document: object) -> None:
        """What was found in a file that `next_file` gave."""
        depth = self._depths[source.path, source.directory]
        report = sources_of(document, directory=source.directory, within=source.path)
        self._take(report, depth=depth + 1)

    def report(self) -> SourceReport:
        """Everything so far."""
        return SourceReport(tuple(self._problems), tuple(self._sources), tuple(self._remote_builds))

    def _take(self, report: SourceReport, depth: int) -> None:
        self._problems += report.problems
        self._sources += report.sources
        self._remote_builds += report.remote_builds
        for source in report.sources:
            key = (source.path, source.directory)
            if source.kind not in COMPOSE_FILES or key in self._depths:
                continue
            if depth >= self._max_depth:
                self._stop(source, f"leads deeper than {self._max_depth} compose files")
            elif len(self._depths) >= self._max_files:
                self._stop(source, f"leads to more than {self._max_files} compose files")
            else:
                self._depths[key] = depth
                self._pending.append(source)

    def _stop(self, source: LocalSource, rule: str) -> None:
        self._problems.append(InvalidInput(FIELD, f"{source.where} {rule}"))


class _Reading:
    """One document."""

    def __init__(self, directory: str, prefix: str) -> None:
        self.problems: list[InvalidInput] = []
        self.sources: list[LocalSource] = []
        self.remote_builds: list[str] = []
        self._directory = directory
        self._prefix = prefix

    def read(self, document: object) -> None:
        top = self._mapping(document, "the compose file")
        for number, entry in enumerate(self._list(top.get("include"), "include")):
            self._include(entry, f"include[{number}]")
        for name, value in self._mapping(top.get("services"), "services").items():
            self._service(value, f"services.{name}")
        for kind in (SourceKind.CONFIG, SourceKind.SECRET):
            section = f"{kind}s"
            for name, value in self._mapping(top.get(section), section).items():
                entry = self._mapping(value, f"{section}.{name}")
                self._mounted(kind, entry.get("file"), f"{section}.{name}.file")

    def _include(self, entry: object, where: str) -> None:
        if not isinstance(entry, Mapping):
            self._compose_files([entry], where, None)
            return
        directory = entry.get("project_directory")
        base = None
        if directory is not None:
            base = self._judged(directory, f"{where}.project_directory")
        self._compose_files(self._one_or_more(entry.get("path")), f"{where}.path", base)
        for value in self._one_or_more(entry.get("env_file")):
            self._add(SourceKind.ENV_FILE, value, f"{where}.env_file")

    def _compose_files(self, values: list[object], where: str, base: str | None) -> None:
        """Files that are merged share the directory of the first."""
        for value in values:
            path = self._judged(value, where)
            if path is not None:
                base = base or directory_of(path)
                self.sources.append(
                    LocalSource(SourceKind.INCLUDE, path, self._prefix + where, base)
                )

    def _service(self, value: object, where: str) -> None:
        service = self._mapping(value, where)
        extends = service.get("extends")
        if isinstance(extends, Mapping):
            if extends.get("file") is not None:
                self._extends(extends["file"], f"{where}.extends.file")
        elif isinstance(extends, list):
            self._problem(f"{where}.extends", "must be a service's name, or a mapping")
        for entry in self._one_or_more(service.get("env_file")):
            self._env_file(entry, f"{where}.env_file")
        for entry in self._one_or_more(service.get("label_file")):
            self._add(SourceKind.LABEL_FILE, entry, f"{where}.label_file")
        self._build(service.get("build"), f"{where}.build")

    def _extends(self, value: object, where: str) -> None:
        path = self._judged(value, where)
        if path is not None:
            base = directory_of(path)
            self.sources.append(LocalSource(SourceKind.EXTENDS, path, self._prefix + where, base))

    def _env_file(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            self._add(SourceKind.ENV_FILE, value, where)
            return
        required = str(value.get("required", "true")).strip().lower()
        is_required = required not in ("false", "no", "off", "n")
        self._add(SourceKind.ENV_FILE, value.get("path"), where, is_required=is_required)

    def _build(self, value: object, where: str) -> None:
        """Read when the policy has judged it: only what lies below is told."""
        build = value if isinstance(value, Mapping) else {"context": value}
        context = build.get("context")
        if isinstance(context, str) and is_remote(context):
            self.remote_builds.append(f"{self._prefix}{where}.context")
        else:
            self._mounted(SourceKind.BUILD, context, f"{where}.context")
        dockerfile = build.get("dockerfile")
        if isinstance(dockerfile, str) and is_remote(dockerfile):
            self.remote_builds.append(f"{self._prefix}{where}.dockerfile")

    def _mounted(self, kind: SourceKind, value: object, where: str) -> None:
        """What lies outside, or behind a variable, the policy judges in the resolved model."""
        if isinstance(value, str) and is_remote(value):
            self._problem(where, NOT_HERE)
        elif isinstance(value, str) and value and not problem_in(value):
            path = joined(self._directory, value)
            if path is not None:
                self.sources.append(LocalSource(kind, path, self._prefix + where))

    def _add(
        self, kind: SourceKind, value: object, where: str, *, is_required: bool = True
    ) -> None:
        path = self._judged(value, where)
        if path is not None:
            self.sources.append(
                LocalSource(kind, path, self._prefix + where, is_required=is_required)
            )

    def _judged(self, value: object, where: str) -> str | None:
        """The path from the project's directory, or None and a problem."""
        if not isinstance(value, str) or not value.strip():
            self._problem(where, "must be the path of a file")
            return None
        problem = problem_in(value)
        path = None if problem else joined(self._directory, value)
        if path is None:
            self._problem(where, problem or OUTSIDE)
        return path

    def _one_or_more(self, value: object) -> list[object]:
        return [] if value is None else value if isinstance(value, list) else [value]

    def _mapping(self, value: object, where: str) -> Mapping[str, object]:
        if value is None or isinstance(value, Mapping):
            return value or {}
        self._problem(where, "must be a mapping")
        return {}

    def _list(self, value: object, where: str) -> list[object]:
        if value is None or isinstance(value, list):
            return value or []
        self._problem(where, "must be a list")
        return []

    def _problem(self, where: str, rule: str) -> None:
        self.problems.append(InvalidInput(FIELD, f"{self._prefix}{where} {rule}"))
