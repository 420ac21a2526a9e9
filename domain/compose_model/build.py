"""How a service's image is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.compose_model.place import Place

_KNOWN: Final = frozenset(
    {
        "context", "dockerfile", "dockerfile_inline", "args", "ssh", "cache_from", "cache_to",
        "no_cache", "additional_contexts", "network", "provenance", "sbom", "pull", "target",
        "shm_size", "extra_hosts", "isolation", "privileged", "secrets", "tags", "ulimits",
        "platforms", "labels", "entitlements",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Build:
    """The parts of `build` that reach beyond the image."""

    place: Place
    context: str
    dockerfile: str
    additional_contexts: tuple[tuple[str, str], ...]
    network: str
    privileged: bool
    entitlements: tuple[str, ...]
    ssh: tuple[str, ...]
    cache: tuple[str, ...]
    """The entries of `cache_from` and `cache_to`, some of which name directories."""
    unknown: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, place: Place) -> Build | None:
        """None where there is nothing to build; a string alone is the context."""
        if place.is_absent:
            return None
        if not place.is_mapping:
            place = Place({"context": place.text()}, place.path)
        return cls(
            place=place,
            context=place.at("context").text("."),
            dockerfile=place.at("dockerfile").text(),
            additional_contexts=place.at("additional_contexts").pairs(),
            network=place.at("network").text().strip(),
            privileged=place.at("privileged").flag(),
            entitlements=tuple(word.strip().lower() for word in place.at("entitlements").texts()),
            ssh=place.at("ssh").words(),
            cache=(*place.at("cache_from").texts(), *place.at("cache_to").texts()),
            unknown=place.unknown(_KNOWN),
        )
