"""What a project consists of on the host, as one deployment brings it: compose file, env, more files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from domain.errors import InvalidInput
from domain.project import ComposeFile
from domain.validation import has_control_characters

MAX_CONTENT_BYTES: Final = 4 * 1024 * 1024
"""Of a compose file, its env and all other files together, decoded."""
MAX_FILES: Final = 256
MAX_PATH_BYTES: Final = 1024
MAX_DEPTH: Final = 16
MAX_NAME_BYTES: Final = 255
FILE_MODES: Final = (0o644, 0o600, 0o755)
COMPOSE_FILE_NAME: Final = "docker-compose.yml"
ENV_FILE_NAME: Final = ".env"
OURS: Final = ".instadeploy"
"""What begins so in a project's directory is the agent's own."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LITERAL = re.compile(r"(?!=)[A-Za-z0-9_./:@%+,=-]*")
_ASSIGNED = re.compile(
    r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*[=:]", re.MULTILINE
)
_PLAIN_NAME = re.compile(r"[A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_.-]*")
"""No line of a key in base64 looks so, but for one of few characters."""
_QUOTED = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'[^']*')\s*(?:#.*)?""")
_OF_PROGRAMS = re.compile(
    r"(?:LD|DYLD|DOCKER|BUILDKIT|BUILDX|COMPOSE)_.*"
    r"|PATH|HOME|IFS|SHELL|BASH_ENV|SHELLOPTS|GODEBUG|GOCOVERDIR|GCONV_PATH|GLIBC_TUNABLES"
    r"|LOCPATH|NLSPATH|SSL_CERT_(?:FILE|DIR)|SSH_(?:AUTH_SOCK|ASKPASS)"
    r"|GIT_(?:SSH.*|EXEC_PATH|CONFIG.*|ASKPASS|PROXY_COMMAND|TEMPLATE_DIR)"
    r"|PYTHON(?:PATH|HOME|STARTUP|INSPECT|USERBASE|BREAKPOINT|EXECUTABLE)|PERL5.*|RUBY(?:OPT|LIB)"
)
_OF_PROJECTS = frozenset(
    {"COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR"}
    | {"COMPOSE_PORT_HTTP", "COMPOSE_PORT_HTTPS"}
)
"""People keep them in `.env`. The first does what it says; the agent's own `-p` and `-f` win over the
other three; the last two are authentik's, and mean nothing to Compose."""


@dataclass(frozen=True, slots=True)
class ExtraFile:
    """A file beside the compose file; `path` is relative to the project's directory, with slashes."""

    path: str
    content: bytes = field(repr=False)
    mode: int = FILE_MODES[0]

    def __post_init__(self) -> None:
        check_file_path(self.path)
        if self.mode not in FILE_MODES:
            allowed = ", ".join(f"{mode:04o}" for mode in FILE_MODES)
            raise InvalidInput(f"files.{self.path}.mode", f"must be one of {allowed}")


@dataclass(frozen=True, slots=True)
class ProjectContent:
    """All files of a project that a deployment brings. `env` is the content of `.env`.

    Without `env`, a `.env` that somebody keeps in the project's directory stays and is used.
    """

    file: ComposeFile
    env: bytes | None = field(default=None, repr=False)
    files: tuple[ExtraFile, ...] = ()

    def __post_init__(self) -> None:
        if len(self.files) > MAX_FILES:
            raise InvalidInput("files", f"must be at most {MAX_FILES} files, not {len(self.files)}")
        if self.size > MAX_CONTENT_BYTES:
            raise InvalidInput(
                "files",
                f"with compose file and env they are {self.size} bytes; at most "
                f"{MAX_CONTENT_BYTES} (4 MiB) are allowed",
            )
        if self.env is not None:
            check_env(self.env)
        _check_paths([extra.path for extra in self.files])

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but the compose file."""
        return self.env is None and not self.files

    @property
    def size(self) -> int:
        """In bytes."""
        extra = sum(len(extra.content) for extra in self.files)
        return len(self.file.content) + len(self.env or b"") + extra

    @property
    def digest(self) -> str:
        """SHA-256 over all of it, in hex: contents with one digest are the same."""
        digest = hashlib.sha256()
        for part in self._parts():
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.hexdigest()

    def changes_from(self, other: ProjectContent) -> frozenset[str]:
        """The paths of the files beside the compose file that are not the same in both."""
        mine, others = ({one.path: one for one in content.files} for content in (self, other))
        return frozenset(
            path for path in mine.keys() | others.keys() if mine.get(path) != others.get(path)
        )

    def _parts(self) -> Iterator[bytes]:
        yield self.file.content
        yield b"" if self.env is None else b"env:" + self.env
        for extra in sorted(self.files, key=lambda one: one.path):
            yield extra.path.encode()
            yield f"{extra.mode:o}".encode()
            yield extra.content


def check_env(content: bytes) -> None:
    """No variable of a `.env` may change what Compose itself, or a program that it starts, does.

    Compose takes all of them into its own environment, and its children inherit them (seen with 2.26,
    in a credential helper): `LD_PRELOAD` would run code as the agent's user.
    """
    if b"\0" in content:
        raise InvalidInput("env", "must not contain NUL")
    for name in _ASSIGNED.findall(content.decode("utf-8", "replace")):
        if _OF_PROGRAMS.fullmatch(name.upper()) and name.upper() not in _OF_PROJECTS:
            raise InvalidInput(
                f"env.{name[:80]}",
                "would reach the programs that Docker Compose starts; set it in the compose file's "
                "'environment', from a variable of another name",
            )


def variables_in(env: bytes) -> tuple[str, ...]:
    """The names of the variables of a `.env`, to be shown; none at all where it is not plain to read.

    What stands within a value, on a line of its own, must not be taken for a name: it is a secret.
    """
    return tuple(assignments_in(env))


def assignments_in(env: bytes) -> dict[str, str]:
    """The variables of a `.env` and what stands behind their `=`, under the terms of `variables_in`."""
    found: dict[str, str] = {}
    for line in env.decode("utf-8", "replace").split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        assigned = _ASSIGNED.match(line)
        if assigned is None:
            return {}
        value = line[assigned.end() :].strip()
        if not _PLAIN_NAME.fullmatch(assigned[1]) or value.startswith("="):
            return {}
        if value.startswith(("'", '"')) and not _QUOTED.fullmatch(value):
            return {}
        found[assigned[1]] = value
    return found


def check_file_path(path: str) -> None:
    """A path that stays in the project's directory and names nothing that is the agent's to write."""
    where = f"files.{path[:80]!r}"
    parts = path.split("/")
    if not path or path.startswith("/"):
        raise InvalidInput(where, "must be a path relative to the project's directory")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidInput(where, "must not contain '.', '..' or empty parts")
    if len(parts) > MAX_DEPTH or len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES:
        raise InvalidInput(
            where, f"must be at most {MAX_DEPTH} parts deep and {MAX_PATH_BYTES} bytes long"
        )
    if any(len(part.encode("utf-8", "replace")) > MAX_NAME_BYTES for part in parts):
        raise InvalidInput(where, f"must have no part of more than {MAX_NAME_BYTES} bytes")
    if has_control_characters(path):
        raise InvalidInput(where, "must not contain control characters or line breaks")
    if parts[0] == ENV_FILE_NAME:
        raise InvalidInput(where, "is what 'env' becomes; send it as 'env'")
    first = parts[0].lower()
    if first.startswith((OURS, f".{COMPOSE_FILE_NAME}.")) or first == COMPOSE_FILE_NAME:
        raise InvalidInput(where, "is a name that the agent keeps for itself")


def env_file_of(variables: dict[str, str]) -> bytes:
    """A `.env` in which Compose finds exactly these values; raises `InvalidInput`."""
    lines = []
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"env.{name[:80]!r}", "must be a name of letters, digits, '_', '.' and '-'"
            )
        if "\0" in value:
            raise InvalidInput(f"env.{name}", "must not contain NUL")
        lines.append(f"{name}={_quoted(value)}\n")
    return "".join(lines).encode()


def _quoted(value: str) -> str:
    if _LITERAL.fullmatch(value):
        return value
    # In double quotes Compose reads these escapes, and expands what follows a bare dollar sign.
    for character, escaped in (
        ("\\", "\\\\"),
        ('"', '\\"'),
        ("$", "\\$"),
        ("\n", "\\n"),
        ("\r", "\\r"),
    ):
        value = value.replace(character, escaped)
    return f'"{value}"'


def _check_paths(paths: list[str]) -> None:
    """No path may be another one's directory, nor come twice."""
    taken = set(paths)
    if len(taken) != len(paths):
        raise InvalidInput("files", "must not name a file twice")
    for path in paths:
        parts = path.split("/")
        for end in range(1, len(parts)):
            if (parent := "/".join(parts[:end])) in taken:
                raise InvalidInput(
                    f"files.{path[:80]!r}", f"lies below {parent!r}, which is a file"
                )
