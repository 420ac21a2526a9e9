"""All compose files of one project, from the first to what it includes and extends.

The files are opened by somebody else:

    walk = ProjectWalk(document, shown="compose.yaml", variables=variables)
    while (part := walk.next_part()) is not None:
        walk.add(part, read(part.path), env_of(part))
    findings = walk.findings()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.collecting_needs import Absence, Findings, Need, NeedKind, NeedsReader
from domain.collecting_variables import interpolated, texts_in
from domain.compose_sources import (
    MAX_DEPTH,
    MAX_FILES,
    LocalSource,
    SourceKind,
    SourceReport,
    sources_of,
)
from domain.content import ENV_FILE_NAME
from domain.errors import InvalidInput
from domain.source_paths import joined

_INTERPOLATED: Final = ("name", "services", "networks", "volumes", "secrets", "configs")


@dataclass(frozen=True, slots=True)
class ComposePart:
    """A compose file that the project includes, or of which it extends services.

    Paths are relative to the project's directory. `env_files` are those that its variables come
    from beside the project's; `is_env_optional` where Compose looks for one by itself. `service`
    is the one that counts, with what it extends in turn; None is the whole file.
    """

    path: str
    where: str
    directory: str
    env_files: tuple[str, ...] = ()
    is_env_optional: bool = False
    service: str | None = None


@dataclass(frozen=True, slots=True)
class _Surroundings:
    variables: Mapping[str, str]
    depth: int


class ProjectWalk:
    """Finds what a project needs; bounded as the agent bounds it."""

    def __init__(self, document: object, *, shown: str, variables: Mapping[str, str]) -> None:
        self._findings = Findings()
        self._pending: list[ComposePart] = []
        self._surroundings: dict[ComposePart, _Surroundings] = {}
        self._files: set[tuple[str, str]] = set()
        self._empty: dict[str, str] = {}
        self._take(document, None, shown, _Surroundings(variables, 0))

    def next_part(self) -> ComposePart | None:
        """A compose file that has to be read next, each once; None when there are no more."""
        return self._pending.pop() if self._pending else None

    def add(self, part: ComposePart, document: object, env: Mapping[str, str]) -> None:
        """What was found in a file that `next_part` gave, and what its env files set."""
        before = self._surroundings[part]
        variables = {**env, **before.variables}  # The project's own win.
        self._take(document, part, part.path, _Surroundings(variables, before.depth + 1))

    def variables_before(self, part: ComposePart) -> Mapping[str, str]:
        """What the env files of a part may refer to."""
        return self._surroundings[part].variables

    def findings(self) -> Findings:
        """Everything so far."""
        notes = list(self._findings.notes)
        for name, where in self._empty.items():
            advice = " Write './' for it." if name == "PWD" else ""
            notes.append(
                f"{where}: the variable {name} is in no env file and has no default: it is empty "
                f"on the host.{advice}"
            )
        return Findings(list(self._findings.needs), list(self._findings.problems), notes)

    def _take(
        self, document: object, part: ComposePart | None, shown: str, around: _Surroundings
    ) -> None:
        if not isinstance(document, Mapping):
            self._findings.problem(f"{shown}: must be a YAML mapping")
            return
        directory = "." if part is None else part.directory
        report = sources_of(document, directory=directory, within=shown)
        for problem in report.problems:
            self._findings.problem(problem.rule)
        if part is not None and part.service is not None:
            document = _restricted(document, part.service)
            report = sources_of(document, directory=directory, within=shown)
        self._check_variables(document, shown, around.variables)
        reader = NeedsReader(self._findings, around.variables, directory=directory, within=shown)
        reader.read(document)
        self._add_sources(report, document, shown, directory, around)

    def _check_variables(
        self, document: Mapping[str, object], shown: str, variables: Mapping[str, str]
    ) -> None:
        for section in _INTERPOLATED:
            for where, text in texts_in(document.get(section), section):
                try:
                    empty = interpolated(text, variables).empty
                except InvalidInput as exc:
                    self._findings.problem(f"{shown}: {where}: {exc}")
                else:
                    for name in empty:
                        self._empty.setdefault(name, f"{shown}: {where}")

    def _add_sources(
        self,
        report: SourceReport,
        document: Mapping[str, object],
        shown: str,
        directory: str,
        around: _Surroundings,
    ) -> None:
        env_files = _env_files_of_includes(document, directory, shown)
        extended = _extended_services(document, shown)
        for source in report.sources:
            match source.kind:
                case SourceKind.ENV_FILE | SourceKind.LABEL_FILE:
                    absence = Absence.REFUSED if source.is_required else Absence.ALLOWED
                    self._findings.needs.append(
                        Need(source.path, source.where, NeedKind.FILE, absence)
                    )
                case SourceKind.INCLUDE:
                    self._add_part(_included(source, env_files.get(source.where, ())), around)
                case SourceKind.EXTENDS:
                    part = ComposePart(
                        source.path,
                        source.where,
                        source.directory,
                        service=extended.get(source.where, ""),
                    )
                    self._add_part(part, around)
                case _:
                    pass  # Read with variables put in, as a need.

    def _add_part(self, part: ComposePart, around: _Surroundings) -> None:
        if any(_is_same(part, known) for known in self._surroundings):
            return
        self._files.add((part.path, part.directory))
        if around.depth >= MAX_DEPTH:
            self._findings.problem(f"{part.where} leads deeper than {MAX_DEPTH} compose files")
        elif len(self._files) > MAX_FILES:
            self._findings.problem(f"{part.where} leads to more than {MAX_FILES} compose files")
        else:
            self._surroundings[part] = around
            self._pending.append(part)
            self._findings.needs.append(Need(part.path, part.where, NeedKind.FILE))
            if part.is_env_optional:
                self._findings.needs += [
                    Need(path, part.where, NeedKind.FILE, Absence.ALLOWED)
                    for path in part.env_files
                ]


def _is_same(one: ComposePart, other: ComposePart) -> bool:
    return (one.path, one.directory, one.service) == (other.path, other.directory, other.service)


def _included(source: LocalSource, env_files: tuple[str, ...]) -> ComposePart:
    """With the `.env` of its directory, where it names none."""
    if env_files:
        return ComposePart(source.path, source.where, source.directory, env_files)
    default = joined(source.directory, ENV_FILE_NAME)
    if default is None or default == ENV_FILE_NAME:  # The project's own.
        return ComposePart(source.path, source.where, source.directory)
    return ComposePart(
        source.path, source.where, source.directory, (default,), is_env_optional=True
    )


def _env_files_of_includes(
    document: Mapping[str, object], directory: str, shown: str
) -> dict[str, tuple[str, ...]]:
    """By the key path that a source has for the entry's compose file."""
    found: dict[str, tuple[str, ...]] = {}
    entries = document.get("include")
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, Mapping):
            value = entry.get("env_file")
            texts = value if isinstance(value, list) else [value]
            paths = (joined(directory, text) for text in texts if isinstance(text, str))
            found[f"{shown}: include[{number}].path"] = tuple(path for path in paths if path)
    return found


def _services_of(document: Mapping[str, object]) -> Mapping[str, object]:
    services = document.get("services")
    return services if isinstance(services, Mapping) else {}


def _extends_of(service: object) -> tuple[str | None, str]:
    """The file and the service that a service extends; the file is None where it is its own."""
    extends = service.get("extends") if isinstance(service, Mapping) else None
    if isinstance(extends, str):
        return None, extends
    if not isinstance(extends, Mapping):
        return None, ""
    file = extends.get("file")
    return (file if isinstance(file, str) else None), str(extends.get("service") or "")


def _extended_services(document: Mapping[str, object], shown: str) -> dict[str, str]:
    """By the key path that a source has for the file that is extended."""
    return {
        f"{shown}: services.{name}.extends.file": _extends_of(service)[1]
        for name, service in _services_of(document).items()
    }


def _restricted(document: Mapping[str, object], service: str) -> Mapping[str, object]:
    """A document of one service, and of those of the same file that it extends."""
    services = _services_of(document)
    kept: dict[str, object] = {}
    while service in services and service not in kept:
        kept[service] = services[service]
        file, extended = _extends_of(services[service])
        if file is None:
            service = extended
    return {"services": kept}
