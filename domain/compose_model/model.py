"""The whole of the resolved model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from domain.compose_model.place import Place
from domain.compose_model.service import Service
from domain.compose_model.top_level import Network, SourceFile, Volume

_KNOWN: Final = frozenset(
    {"name", "version", "services", "networks", "volumes", "configs", "secrets", "models"}
)


@dataclass(frozen=True, slots=True)
class ComposeModel:
    """What Compose is going to do, as far as anybody here asks."""

    services: tuple[Service, ...]
    networks: tuple[Network, ...]
    volumes: tuple[Volume, ...]
    configs: tuple[SourceFile, ...]
    secrets: tuple[SourceFile, ...]
    models: tuple[str, ...]
    unknown: tuple[tuple[str, ...], ...]
    """Keys at the top that nobody knows, and those that Compose was to resolve."""

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> ComposeModel:
        """The JSON of `docker compose config --format json`, of Compose 2.20 and later.

        Raises `InvalidInput` that names the place of what cannot be right.
        """
        top = Place(document)
        if not top.is_mapping:
            raise top.wrong("a mapping")
        return cls(
            services=tuple(Service.read(*entry) for entry in top.at("services").entries()),
            networks=tuple(Network.read(*entry) for entry in top.at("networks").entries()),
            volumes=tuple(Volume.read(*entry) for entry in top.at("volumes").entries()),
            configs=tuple(SourceFile.read(*entry) for entry in top.at("configs").entries()),
            secrets=tuple(SourceFile.read(*entry) for entry in top.at("secrets").entries()),
            models=top.at("models").words(),
            unknown=top.unknown(_KNOWN),
        )

    def users_of(self, paths: Collection[str]) -> frozenset[str]:
        """The services in whose containers one of these files of the host is mounted.

        A container goes on with the file that it was started with, where another one takes its place.
        """
        wanted = set(paths)
        mounted = {
            kind: {one.key for one in sources if one.file in wanted}
            for kind, sources in (("configs", self.configs), ("secrets", self.secrets))
        }
        return frozenset(
            service.name
            for service in self.services
            if any(mount.kind == "bind" and mount.source in wanted for mount in service.mounts)
            or mounted["configs"].intersection(service.configs)
            or mounted["secrets"].intersection(service.secrets)
        )
