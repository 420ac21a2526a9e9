"""Networks, volumes, configs and secrets of the resolved model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from domain.compose_model.place import Place

_NETWORK_KEYS: Final = frozenset(
    {
        "name", "driver", "driver_opts", "ipam", "external", "internal", "attachable", "labels",
        "enable_ipv4", "enable_ipv6",
    }
)  # fmt: skip
_VOLUME_KEYS: Final = frozenset({"name", "driver", "driver_opts", "external", "labels"})
_SOURCE_KEYS: Final = frozenset(
    {
        "name", "file", "environment", "content", "external", "labels", "driver", "driver_opts",
        "template_driver",
    }
)  # fmt: skip
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Network:
    """`name` is what the engine calls it; empty where Compose chooses."""

    key: str
    place: Place
    name: str
    is_external: bool
    driver: str
    options: tuple[tuple[str, str], ...]
    unknown: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, key: str, place: Place) -> Network:
        """An entry may be empty."""
        return cls(
            key=key,
            place=place,
            name=_name(place, key),
            is_external=_is_external(place),
            driver=place.at("driver").text().strip().lower(),
            options=place.at("driver_opts").pairs(),
            unknown=place.unknown(_NETWORK_KEYS),
        )


@dataclass(frozen=True, slots=True)
class Volume:
    """`name` is what the engine calls it; empty where Compose chooses."""

    key: str
    place: Place
    name: str
    is_external: bool
    driver: str
    options: tuple[tuple[str, str], ...]
    """Of the driver. Those of the local one are of a mount, and may hold a password."""
    unknown: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, key: str, place: Place) -> Volume:
        """Raises `InvalidInput` for a name that an engine could take for a path."""
        name = _name(place, key)
        if name and not _NAME.fullmatch(name):
            raise place.at("name").wrong("the name of a volume: letters, digits, '_', '.' and '-'")
        pairs = place.at("driver_opts").pairs()
        return cls(
            key=key,
            place=place,
            name=name,
            is_external=_is_external(place),
            driver=place.at("driver").text().strip().lower(),
            options=tuple((option.strip().lower(), value.strip()) for option, value in pairs),
            unknown=place.unknown(_VOLUME_KEYS),
        )

    @property
    def mount_type(self) -> str:
        """The file system, as mount(2) has it; empty where the engine makes a directory."""
        return self._option("type").lower()

    @property
    def device(self) -> str:
        """A path, or something of the file system's own."""
        return self._option("device")

    @property
    def mount_options(self) -> tuple[str, ...]:
        """The entries of `o`."""
        return tuple(option.strip().lower() for option in self._option("o").split(","))

    def _option(self, name: str) -> str:
        return dict(self.options).get(name, "")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A config or a secret: from a file of the host, a variable, or the compose file itself."""

    key: str
    place: Place
    file: str | None
    environment: str | None
    has_content: bool
    is_external: bool
    unknown: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, key: str, place: Place) -> SourceFile:
        """What it holds is nobody's business here."""
        return cls(
            key=key,
            place=place,
            file=place.at("file").text() or None,
            environment=place.at("environment").text() or None,
            has_content=not place.at("content").is_absent,
            is_external=_is_external(place),
            unknown=place.unknown(_SOURCE_KEYS),
        )


def _is_external(place: Place) -> bool:
    external = place.at("external")
    return True if external.is_mapping else external.flag()


def _name(place: Place, key: str) -> str:
    """An external one is called what its key says, where nothing else says it."""
    external = place.at("external")
    named = external.at("name").text() if external.is_mapping else ""
    name = named or place.at("name").text()
    return name or (key if _is_external(place) else "")
