"""Which compose files and env files a project begins with, by Compose's own rules."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.project_folder.folder import EntryKind, ProjectFolder, read_named
from domain.collecting import CannotCollect
from domain.collecting_env import variables_of
from domain.content import ENV_FILE_NAME, MAX_CONTENT_BYTES
from domain.errors import InvalidInput
from domain.validation import MAX_COMPOSE_FILE_BYTES

COMPOSE_FILES: Final = (
    "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml",
)  # fmt: skip
OVERRIDE_FILES: Final = (
    "compose.override.yml", "compose.override.yaml",
    "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip
"""In the order in which Compose looks for them; the first of each list counts."""


@dataclass(frozen=True, slots=True)
class Env:
    """What is sent as the project's env, and the variables in it. `is_own` is the `.env` beside it."""

    content: bytes | None = field(default=None, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_own: bool = True


@dataclass(frozen=True, slots=True)
class FirstFile:
    """A compose file that the project begins with. `shown` is what people call it."""

    shown: str
    full_path: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a project begins; the first of the compose files says where its directory is."""

    folder: ProjectFolder
    files: tuple[FirstFile, ...]
    env: Env
    notes: tuple[str, ...]


def begin(directory: Path, compose_files: Sequence[Path], env_files: Sequence[Path]) -> Beginning:
    """Finds and reads them; raises `CannotCollect`."""
    if not directory.is_dir():
        raise CannotCollect([f"{directory}: must be a directory"])
    notes: list[str] = []
    try:
        named = [directory / path for path in compose_files]
        folder = ProjectFolder(named[0].parent if named else directory)
        env = _env_of(folder, [directory / path for path in env_files])
        if not named:
            named = _from_env(folder, env.variables)
        files = (
            tuple(_named_file(folder, path) for path in named)
            if named
            else _default_files(folder, notes)
        )
    except InvalidInput as exc:
        raise CannotCollect([str(exc)]) from None
    if "COMPOSE_PROJECT_NAME" in env.variables:
        notes.append(
            "COMPOSE_PROJECT_NAME in the env does not name the project on the host: it is called "
            "as it is deployed."
        )
    return Beginning(folder, files, env, tuple(notes))


def _named_file(folder: ProjectFolder, path: Path) -> FirstFile:
    shown = os.path.relpath(path.parent.resolve() / path.name, folder.root)
    return FirstFile(
        shown if not shown.startswith("../") else str(path),
        str(path.absolute()),
        read_named(path, MAX_COMPOSE_FILE_BYTES),
    )


def _from_env(folder: ProjectFolder, variables: Mapping[str, str]) -> list[Path]:
    """`COMPOSE_FILE`, which people keep in `.env`; files in the project's directory."""
    separator = variables.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    names = [name for name in variables.get("COMPOSE_FILE", "").split(separator) if name]
    for name in names:
        entry = folder.look(name)  # It is not the operator who names them: no link may lead out.
        if entry is None:
            raise InvalidInput(name, "is not there; COMPOSE_FILE in the env names it")
        if "/" in name and name is names[0]:
            raise InvalidInput(
                name,
                "lies in another directory than the env that names it in COMPOSE_FILE; name it with -f",
            )
    return [Path(folder.root, name) for name in names]


def _default_files(folder: ProjectFolder, notes: list[str]) -> tuple[FirstFile, ...]:
    found = _present(folder, COMPOSE_FILES)
    if not found:
        raise InvalidInput(
            "compose file", f"there is none of {', '.join(COMPOSE_FILES)} in {folder.root}"
        )
    overrides = _present(folder, OVERRIDE_FILES)
    notes += [
        f"Of {' and '.join(several)}, {several[0]} is taken, as Compose takes it."
        for several in (found, overrides)
        if len(several) > 1
    ]
    return tuple(
        FirstFile(name, f"{folder.root}/{name}", folder.read(name, MAX_COMPOSE_FILE_BYTES))
        for name in (*found[:1], *overrides[:1])
    )


def _present(folder: ProjectFolder, names: Sequence[str]) -> list[str]:
    entries = ((name, folder.look(name)) for name in names)
    return [name for name, entry in entries if entry and entry.kind is not EntryKind.DIRECTORY]


def _env_of(folder: ProjectFolder, env_files: Sequence[Path]) -> Env:
    if not env_files:
        entry = folder.look(ENV_FILE_NAME)
        if entry is None or entry.kind is EntryKind.DIRECTORY:  # Python's environments are there.
            return Env()
        content = folder.read(ENV_FILE_NAME, MAX_CONTENT_BYTES)
        return Env(content, variables_of(content, ENV_FILE_NAME, {}))
    contents: list[bytes] = []
    variables: dict[str, str] = {}
    for path in env_files:
        content = read_named(path, MAX_CONTENT_BYTES)
        # Each by itself: what one has begun, such as a quote, must not go on in the next.
        variables |= variables_of(content, str(path), variables)
        contents.append(content.removeprefix(b"\xef\xbb\xbf") if contents else content)
    together = b"".join(
        one if one.endswith(b"\n") or number == len(contents) else one + b"\n"
        for number, one in enumerate(contents, 1)
    )
    own = folder.look(ENV_FILE_NAME)
    is_own = own is not None and len(env_files) == 1
    return Env(together, variables, is_own and _is_file(folder, env_files[0]))


def _is_file(folder: ProjectFolder, path: Path) -> bool:
    return os.path.realpath(path) == os.path.realpath(f"{folder.root}/{ENV_FILE_NAME}")
