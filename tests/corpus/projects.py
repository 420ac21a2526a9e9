"""Loads the corpus: every project as a deployment would carry it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from tests.corpus.expected import EXPECTED, Expected

_DIRECTORY: Final = Path(__file__).parent
_COMPOSE_FILE: Final = "docker-compose.yml"
_ENV_FILE: Final = "dotenv"
"""What becomes `.env`: git would ignore one of that name."""


@dataclass(frozen=True, slots=True)
class CorpusProject:
    """A project: its files, and what is to be found in them."""

    name: str
    compose: bytes = field(repr=False)
    dotenv: bytes | None = field(repr=False)
    """The content of `.env` as its author wrote it."""
    files: Mapping[str, bytes] = field(repr=False)
    """What else lies in the directory: by path, relative and with slashes."""
    expected: Expected = field(repr=False)

    @property
    def env(self) -> dict[str, str]:
        """The variables of `.env`, with quotes undone and variables in them replaced."""
        text = (self.dotenv or b"").decode()
        values = dotenv_values(stream=io.StringIO(text))
        return {name: value or "" for name, value in values.items()}

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that its services name."""
        return tuple(self.expected.by_profile)

    def services(self, profile: str | None = None) -> frozenset[str]:
        """The services that run with a profile, or with none asked for."""
        if profile is None:
            return frozenset(self.expected.services.split())
        return frozenset(self.expected.by_profile[profile].split())

    def refused_by_standard(self, profile: str | None = None) -> frozenset[str]:
        """The rules of the policy `standard` that it breaks."""
        added = self.expected.standard_by_profile.get(profile or "", "")
        return frozenset(f"{self.expected.standard} {added}".split())

    def write_to(self, directory: Path, *, dotenv: bytes | None = None) -> Path:
        """Lay it out as it lies on a host, with another `.env` if one is given; the compose file."""
        files = {_COMPOSE_FILE: self.compose, **self.files}
        if (env := self.dotenv if dotenv is None else dotenv) is not None:
            files[".env"] = env
        for path, content in files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
        return directory / _COMPOSE_FILE


def corpus() -> Sequence[CorpusProject]:
    """All projects, by name. A directory without an entry in `EXPECTED`, or the other way, fails."""
    found = sorted(path.parent.name for path in _DIRECTORY.glob(f"*/{_COMPOSE_FILE}"))
    assert found == sorted(EXPECTED), set(found) ^ set(EXPECTED)
    return [_load(_DIRECTORY / name) for name in found]


def _load(directory: Path) -> CorpusProject:
    files = {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    compose = files.pop(_COMPOSE_FILE)
    dotenv = files.pop(_ENV_FILE, None)
    return CorpusProject(directory.name, compose, dotenv, files, EXPECTED[directory.name])
