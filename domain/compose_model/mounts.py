"""What a service publishes, mounts and opens: each in one form, however it was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.compose_model.amounts import address_of, ports_of
from domain.compose_model.place import Place

_PORT_KEYS: Final = frozenset(
    {"name", "mode", "host_ip", "target", "published", "protocol", "app_protocol"}
)
_MOUNT_KEYS: Final = frozenset(
    {
        "type", "source", "target", "read_only", "bind", "volume", "tmpfs", "image", "consistency",
        "propagation",
    }
)  # fmt: skip
_MOUNT_TYPES: Final = frozenset({"bind", "volume", "tmpfs", "image", "npipe", "cluster"})
_READ_ONLY: Final = frozenset({"ro", "readonly"})


@dataclass(frozen=True, slots=True)
class Port:
    """Ports of the host, from `first` to `last`; both are 0 where the engine chooses one."""

    place: Place
    address: str
    """Empty for every address of the host."""
    first: int
    last: int
    protocol: str

    @classmethod
    def read(cls, place: Place) -> Port:
        """Either form. A target alone is published too, on a port that the engine chooses."""
        if not place.is_mapping:
            return cls._from_short(place)
        published = place.at("published").text().strip()
        first, last = (0, 0) if published in ("", "0") else ports_of(published, place)
        address = address_of(place.at("host_ip").text(), place)
        protocol = place.at("protocol").text("tcp").strip().lower() or "tcp"
        return cls(place, address, first, last, protocol)

    @classmethod
    def _from_short(cls, place: Place) -> Port:
        """`[[address:]published:]target[/protocol]`."""
        text, _, protocol = place.text().partition("/")
        before, _, target = text.rpartition(":")
        ports_of(target, place)
        address, _, published = before.rpartition(":")
        first, last = (0, 0) if published in ("", "0") else ports_of(published, place)
        return cls(
            place, address_of(address, place), first, last, protocol.strip().lower() or "tcp"
        )


@dataclass(frozen=True, slots=True)
class Mount:
    """One entry of `volumes`. `source` is a host path, a volume's key, an image, or empty."""

    place: Place
    kind: str
    source: str
    target: str
    read_only: bool

    @classmethod
    def read(cls, place: Place) -> Mount:
        """Whatever a source with a path in it is called, it is a path on the host."""
        if not place.is_mapping:
            return cls._from_short(place)
        kind = place.at("type").text("volume").strip().lower()
        if kind not in _MOUNT_TYPES:
            raise place.wrong(f"a mount whose type is one of {', '.join(sorted(_MOUNT_TYPES))}")
        source = place.at("source").text()
        if kind == "bind" and not source:
            raise place.wrong("a bind mount with a source")
        if kind in ("volume", "cluster") and is_path(source):
            kind = "bind"
        return cls(place, kind, source, place.at("target").text(), place.at("read_only").flag())

    @classmethod
    def _from_short(cls, place: Place) -> Mount:
        """`[source:]target[:options]`."""
        source, colon, rest = place.text().partition(":")
        if not colon:
            return cls(place, "volume", "", source, read_only=False)
        target, _, options = rest.partition(":")
        kind = "bind" if is_path(source) else "volume"
        return cls(place, kind, source, target, not _READ_ONLY.isdisjoint(options.split(",")))


def is_path(source: str) -> bool:
    """Whether Compose or the engine could take a mount's source for a path of the host."""
    return source.startswith((".", "~")) or "/" in source or "\\" in source


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the host: a path, or a CDI name such as `vendor.com/class=name`."""

    place: Place
    source: str

    @classmethod
    def read(cls, place: Place) -> Device:
        """Either form; a device's target and permissions are the container's affair."""
        is_long = place.is_mapping
        source = place.at("source").text() if is_long else place.text().partition(":")[0]
        if not source:
            raise place.wrong("a device with a source")
        return cls(place, source)


def unknown_in_lists(service: Place) -> tuple[tuple[str, ...], ...]:
    """Keys of long forms that nobody knows."""
    return tuple(
        key
        for name, known in (("ports", _PORT_KEYS), ("volumes", _MOUNT_KEYS))
        for item in service.at(name).items()
        for key in item.unknown(known)
    )
