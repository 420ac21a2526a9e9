"""Which files beside it one compose file means, with variables put in: the shapes of its keys.

What `include`, `extends`, `env_file` and `label_file` name is for `collecting_walk`: there the agent
allows no variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.collecting_variables import interpolated
from domain.errors import InvalidInput
from domain.source_paths import OUTSIDE, is_remote, joined

_NO: Final = frozenset({"false", "no", "off", "n"})
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
DOCKERFILE: Final = "Dockerfile"


class NeedKind(StrEnum):
    """What may be there."""

    FILE = "file"
    FILE_OR_DIRECTORY = "file or directory"
    BUILD = "build"
    """A directory, less what its `.dockerignore` leaves out."""


class Absence(StrEnum):
    """What it means where a needed file is not there."""

    REFUSED = "refused"
    MADE_ON_THE_HOST = "made on the host"
    """Compose makes an empty directory."""
    ALLOWED = "allowed"


@dataclass(frozen=True, slots=True)
class Need:
    """A file or directory that goes with the compose file.

    `path` is relative to the project's directory, which is `.` itself. `where` names the key that
    wants it. `dockerfile` is for a build alone: the path of its Dockerfile, which may lie anywhere
    in the project; empty where it needs none.
    """

    path: str
    where: str
    kind: NeedKind
    absence: Absence = Absence.REFUSED
    dockerfile: str = ""


@dataclass(slots=True)
class Findings:
    """What was found so far; each problem and each note is a sentence that names its place."""

    needs: list[Need] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Each once."""
        if text not in self.notes:
            self.notes.append(text)

    def problem(self, text: str) -> None:
        """Each once."""
        if text not in self.problems:
            self.problems.append(text)


class NeedsReader:
    """Reads one document, whose relative paths start in a directory of the project.

    Shapes that are none are left for Compose to refuse, which says it better.
    """

    def __init__(
        self, findings: Findings, variables: Mapping[str, str], *, directory: str, within: str
    ) -> None:
        self._findings = findings
        self._variables = variables
        self._directory = directory
        self._within = within

    def read(self, document: Mapping[str, object]) -> None:
        """Adds to the findings what the document wants."""
        for name, service in _entries(document.get("services")):
            self._service(service, f"{self._within}: services.{name}")
        for section in ("secrets", "configs"):
            for name, entry in _entries(document.get(section)):
                self._top_level(entry, f"{self._within}: {section}.{name}")
        for name, volume in _entries(document.get("volumes")):
            self._named_volume(volume, f"{self._within}: volumes.{name}")

    def _service(self, service: Mapping[str, object], where: str) -> None:
        for number, entry in enumerate(_items(service.get("volumes"))):
            self._mount(entry, f"{where}.volumes[{number}]")
        if service.get("build") is not None:
            self._build(service["build"], f"{where}.build")
        self._passed_through(service.get("environment"), f"{where}.environment")

    def _mount(self, entry: object, where: str) -> None:
        if isinstance(entry, Mapping):
            self._long_mount(entry, where)
        elif (text := self._text(entry)) is not None:
            # The colon of a drive is no separator.
            start = 2 if _DRIVE.match(text) else 0
            source, colon, _ = text[start:].partition(":")
            source = text[:start] + source
            if colon and (not source or _is_path(source)):
                self._local(source, where, absence=Absence.MADE_ON_THE_HOST)

    def _long_mount(self, entry: Mapping[str, object], where: str) -> None:
        source = self._text(entry.get("source", ""))
        if source is None:
            return
        kind = self._text(entry.get("type", "volume"))
        if kind == "bind":
            bind = entry.get("bind")
            made = self._text(bind.get("create_host_path")) if isinstance(bind, Mapping) else None
            refused = (made or "").strip().lower() in _NO
            absence = Absence.REFUSED if refused else Absence.MADE_ON_THE_HOST
            self._local(source, where, absence=absence)
        elif kind == "volume" and _is_path(source):
            self._findings.problem(
                f"{where}: {source!r} is a path, and its type is 'volume'; write 'type: bind'"
            )

    def _named_volume(self, volume: Mapping[str, object], where: str) -> None:
        """A volume of the driver `local` that is a directory of the host."""
        options = volume.get("driver_opts")
        if not isinstance(options, Mapping):
            return
        device = self._text(options.get("device"))
        if device and "bind" in (self._text(options.get("o")) or "").split(","):
            self._local(device, f"{where}.driver_opts.device")

    def _top_level(self, entry: Mapping[str, object], where: str) -> None:
        if entry.get("file") is not None:
            if (path := self._text(entry["file"])) is not None:
                self._local(path, f"{where}.file")
        elif (name := self._text(entry.get("environment"))) and name not in self._variables:
            self._findings.note(
                f"{where}.environment: the variable {name} is in no env file, and the environment "
                "of this shell is not sent: the host has to have it."
            )

    def _build(self, value: object, where: str) -> None:
        build = value if isinstance(value, Mapping) else {"context": value}
        context = self._text(build.get("context", "."))
        if context is not None and not is_remote(context):
            self._local(
                context, f"{where}.context", kind=NeedKind.BUILD, dockerfile=self._dockerfile(build)
            )
        for name, additional in _pairs(build.get("additional_contexts")):
            source = self._text(additional)
            if source and not is_remote(source) and not source.startswith("service:"):
                self._local(source, f"{where}.additional_contexts.{name}", kind=NeedKind.BUILD)
        self._passed_through(build.get("args"), f"{where}.args")

    def _dockerfile(self, build: Mapping[str, object]) -> str:
        """As the compose file has it, relative to the context; empty where none is read."""
        if build.get("dockerfile_inline") is not None:
            return ""
        return self._text(build.get("dockerfile")) or DOCKERFILE

    def _local(
        self,
        source: str,
        where: str,
        *,
        kind: NeedKind = NeedKind.FILE_OR_DIRECTORY,
        absence: Absence = Absence.REFUSED,
        dockerfile: str = "",
    ) -> None:
        """What a path of this machine comes to: a need, a note or a problem."""
        if not source:
            self._findings.problem(f"{where}: names nothing, once its variables are put in")
        elif source.startswith(("/", "~")) or _DRIVE.match(source):
            self._findings.note(f"{where}: {source!r} stays on the host: it is not sent.")
        elif (path := joined(self._directory, source)) is None:
            self._findings.problem(f"{where}: {source!r} {OUTSIDE}")
        else:
            if dockerfile:
                dockerfile = self._dockerfile_path(path, dockerfile, where)
            self._findings.needs.append(Need(path, where, kind, absence, dockerfile))

    def _dockerfile_path(self, context: str, dockerfile: str, where: str) -> str:
        where = f"{where.removesuffix('.context')}.dockerfile"
        if is_remote(dockerfile):
            return ""
        if dockerfile.startswith(("/", "~")):
            self._findings.note(f"{where}: {dockerfile!r} stays on the host: it is not sent.")
            return ""
        path = joined(context, dockerfile)
        if path is None:
            self._findings.problem(f"{where}: {dockerfile!r} {OUTSIDE}")
        return path or ""

    def _passed_through(self, value: object, where: str) -> None:
        """Variables without a value, which take one from the environment of Compose."""
        if isinstance(value, Mapping):
            names = [name for name, given in value.items() if given is None]
        else:
            texts = [self._text(one) for one in _items(value)]
            names = [text for text in texts if text and "=" not in text]
        for name in names:
            if name not in self._variables:
                self._findings.note(
                    f"{where}: {name} has no value and is in no env file, and the environment of "
                    "this shell is not sent: it is not set on the host."
                )

    def _text(self, value: object) -> str | None:
        """With variables put in; None for what is no text, or is told as a problem elsewhere."""
        if not isinstance(value, str):
            return None
        try:
            return interpolated(value, self._variables).text
        except InvalidInput:
            return None


def _is_path(source: str) -> bool:
    """Compose's own rule, by which the source of a mount is no volume's name."""
    return source.startswith((".", "/", "~")) or _DRIVE.match(source) is not None


def _entries(value: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The mappings in a mapping."""
    for name, entry in value.items() if isinstance(value, Mapping) else ():
        if isinstance(entry, Mapping):
            yield name, entry


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _pairs(value: object) -> Iterator[tuple[str, object]]:
    """A mapping, or a list of `name=value`."""
    if isinstance(value, Mapping):
        yield from value.items()
    for item in _items(value):
        name, _, given = item.partition("=") if isinstance(item, str) else ("", "", "")
        yield name, given
