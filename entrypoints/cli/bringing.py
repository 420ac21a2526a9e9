"""What a deployment brings: a project's folder, and how it is to be carried out."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from domain.errors import InvalidInput
from entrypoints.cli.parsing import labels_in, seconds_in
from entrypoints.cli.program import Invocation
from entrypoints.cli.texts import size

if TYPE_CHECKING:
    from domain.collecting import CollectedProject
    from domain.content import ExtraFile

MOST_FILES_LISTED: Final = 30
LARGEST_AUTH: Final = 256 * 1024
MOST_LOGINS: Final = 16
_NO_NAME: Final = re.compile("[^a-z0-9_-]+")


class Pull(StrEnum):
    """When images are pulled."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


FilesOption = Annotated[
    list[Path] | None, typer.Option("--compose-file", "-f", help="Compose file; several are merged")
]
EnvFilesOption = Annotated[
    list[Path] | None, typer.Option("--env-file", help="In the place of the project's .env")
]
ExtraOption = Annotated[
    list[Path] | None, typer.Option("--file", help="A file or directory to send as well")
]
DirectoryOption = Annotated[
    Path | None, typer.Option("--directory", "-C", help="Where the project is; usually here")
]
PullOption = Annotated[Pull | None, typer.Option("--pull", help="missing, always or never")]
ProfilesOption = Annotated[
    list[str] | None, typer.Option("--profile", help="Give it again for several")
]
NotesOption = Annotated[
    list[str] | None, typer.Option("--label", metavar="K=V", help="A note on the revision")
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which project is meant, and which of its files, as the command line says."""

    project: str
    directory: Path | None = None
    compose_files: Sequence[Path] = ()
    env_files: Sequence[Path] = ()
    extra_files: Sequence[Path] = ()


def collected(it: Invocation, wanted: Wanted) -> tuple[str, CollectedProject]:
    """The project's name, and all that is sent of it. Raises `CannotCollect` and `InvalidInput`.

    A project that is named with a slash, or as `.`, is a directory: then the compose file names it, or
    as with Compose, the directory does.
    """
    from adapters.project_folder.collecting import collect  # noqa: PLC0415 - reads YAML, takes long

    here = it.program.directory
    is_path = "/" in wanted.project or wanted.project in (".", "..")
    if is_path and wanted.directory is not None:
        raise InvalidInput("project", "must be a name where --directory is given")
    directory = here / (wanted.project if is_path else wanted.directory or ".")
    found = collect(
        directory,
        compose_files=[here / path for path in wanted.compose_files],
        env_files=[here / path for path in wanted.env_files],
        extra_files=[here / path for path in wanted.extra_files],
    )
    return (_name_for(directory, found) if is_path else wanted.project), found


def _name_for(directory: Path, found: CollectedProject) -> str:
    name = found.name or _NO_NAME.sub("", directory.resolve().name.lower()).lstrip("-_")
    if not name:
        raise InvalidInput("project", f"must be a name: {directory} gives none")
    return name


def say_what_is_sent(it: Invocation, project: str, found: CollectedProject) -> None:
    """List it, before it is sent."""
    it.printer.note(f"{project}: {size(found.total_bytes)} from {found.compose_path}")
    it.printer.note(f"  docker-compose.yml  {size(len(found.compose))}")
    if found.env is not None:
        it.printer.note(f"  .env  {size(len(found.env))}")
    for file in found.files[:MOST_FILES_LISTED]:
        it.printer.note(f"  {file.path}  {size(len(file.content))}  {file.mode:04o}")
    if len(found.files) > MOST_FILES_LISTED:
        it.printer.note(f"  ... and {len(found.files) - MOST_FILES_LISTED} more files")
    for note in found.notes:
        it.printer.note(f"  note: {note}")


def sent_document(project: str, found: CollectedProject) -> dict[str, Any]:
    """The same for programs: sizes and paths, no content."""
    return {
        "project": project,
        "compose_path": found.compose_path,
        "compose_bytes": len(found.compose),
        "env_bytes": None if found.env is None else len(found.env),
        "files": [
            {"path": one.path, "bytes": len(one.content), "mode": f"{one.mode:04o}"}
            for one in found.files
        ],
        "notes": list(found.notes),
        "total_bytes": found.total_bytes,
    }


def content_of(found: CollectedProject) -> dict[str, Any]:
    """As the API takes it. Raises `InvalidInput`."""
    body: dict[str, Any] = {"compose": _text("compose", found.compose)}
    if found.env is not None:
        body["env"] = _text("env", found.env)
    if found.files:
        body["files"] = {one.path: _file(one) for one in found.files}
    return body


def _text(field: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidInput(field, "must be UTF-8") from None


def _file(one: ExtraFile) -> dict[str, str]:
    mode = f"{one.mode:04o}"
    try:
        return {"content": one.content.decode(), "mode": mode}
    except UnicodeDecodeError:
        return {"content_base64": base64.b64encode(one.content).decode("ascii"), "mode": mode}


@dataclass(frozen=True, slots=True)
class Manner:
    """How a deployment is carried out, as the command line says; None and empty for as usual."""

    pull: Pull | None = None
    profiles: Sequence[str] = ()
    notes: Sequence[str] = ()
    wait_timeout: str | None = None
    remove_orphans: bool = False
    auto_rollback: bool = True
    health_wait: bool = True

    def options(self) -> dict[str, Any]:
        """As the API takes them. Raises `InvalidInput`."""
        options: dict[str, Any] = {}
        if self.pull is not None:
            options["pull"] = self.pull.value
        if self.profiles:
            options["profiles"] = list(self.profiles)
        if self.notes:
            options["labels"] = labels_in(self.notes)
        if (seconds := seconds_in(self.wait_timeout, "--wait-timeout")) is not None:
            options["wait_timeout_s"] = seconds
        if self.remove_orphans:
            options["remove_orphans"] = True
        if not self.auto_rollback:
            options["auto_rollback"] = False
        if not self.health_wait:
            options["wait"] = False
        return options


def registry_auth_in(it: Invocation) -> dict[str, dict[str, str]]:
    """Logins that are piped in: `{"<registry>": {"username": ..., "password": ...}}`.

    Raises `InvalidInput`, which quotes nothing of it.
    """
    field = "--registry-auth-stdin"
    text = it.program.stdin.read(LARGEST_AUTH + 1)
    try:
        document = json.loads(text) if len(text) <= LARGEST_AUTH else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not 0 < len(document) <= MOST_LOGINS:
        raise InvalidInput(field, f"must be a JSON object of 1 to {MOST_LOGINS} registries")
    logins: dict[str, dict[str, str]] = {}
    for registry, login in document.items():
        if not isinstance(login, dict) or set(login) != {"username", "password"}:
            raise InvalidInput(field, "must have, for each registry, username and password alone")
        if not all(isinstance(value, str) for value in login.values()):
            raise InvalidInput(field, "must have username and password as strings")
        logins[registry] = login
    return logins
