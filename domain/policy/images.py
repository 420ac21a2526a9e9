"""Names of images, as the engine completes them, and the patterns that they must fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from domain.policy.globs import fits

_HUB: Final = "docker.io"
_HUB_ALIASES: Final = frozenset(
    {"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
)
_OFFICIAL: Final = "library/"


@dataclass(frozen=True, slots=True)
class ImageName:
    """`repository` begins with the registry; a tag or a digest is there, or both."""

    repository: str
    tag: str
    digest: str

    @classmethod
    def of(cls, reference: str) -> ImageName:
        """`nginx` is `docker.io/library/nginx:latest`, to the engine and so here."""
        rest, _, digest = reference.strip().partition("@")
        head, slash, last = rest.rpartition("/")
        last, _, tag = last.partition(":")
        registry, path = _split(f"{head}{slash}{last}")
        return cls(f"{registry}/{path}", tag or ("" if digest else "latest"), digest.lower())

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.repository + tag + (f"@{self.digest}" if self.digest else "")


def image_fits(image: ImageName, patterns: Iterable[str]) -> bool:
    """A pattern says a repository, or with a tag or a digest exactly which image of it."""
    return any(fits(_as_precise_as(pattern, image), pattern) for pattern in patterns)


def names_registry(pattern: str) -> bool:
    """Whether a pattern is complete: one without a registry would fit nothing, and look right."""
    first, slash, _ = pattern.partition("/")
    return pattern.startswith("**") or bool(slash and (_is_registry(first) or "*" in first))


def _as_precise_as(pattern: str, image: ImageName) -> str:
    last = pattern.rpartition("/")[2]
    if "@" in last:
        return f"{image.repository}@{image.digest}"
    return f"{image.repository}:{image.tag}" if ":" in last else image.repository


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not _is_registry(first):
        first, rest = _HUB, name
    elif first.lower() in _HUB_ALIASES:
        first = _HUB
    if first.lower() == _HUB:
        return _HUB, rest if "/" in rest else _OFFICIAL + rest
    return first.lower(), rest


def _is_registry(component: str) -> bool:
    """The engine's own rule: a dot, a port, `localhost`, or a capital letter."""
    return (
        "." in component
        or ":" in component
        or component == "localhost"
        or component != component.lower()
    )
