"""Compose files just under the largest that an agent takes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.validation import MAX_COMPOSE_FILE_BYTES

HEAD: Final = """\
services:
  main:
    image: {image}
    command: ["sleep", "3600"]
    init: true
    network_mode: none
"""
SERVICE: Final = """\
  # Service {number} is owned by group {number} and answers behind the reverse proxy, which finds it by
  # the labels below. Its data lives in a volume of its own that is backed up every night; moving it
  # means stopping the service, copying the volume, and starting it again on the other host.
  service-{number}:
    image: registry.example/group/service-{number}:1.{number}.0
    profiles: [inactive]
    command: ["serve", "--listen", "0.0.0.0:8080", "--workers", "4", "--log-format", "json"]
    restart: unless-stopped
    environment:
      DATABASE_URL: postgresql://service-{number}@database.internal:5432/service-{number}
      CACHE_URL: redis://cache.internal:6379/{number}
      PUBLIC_URL: https://service-{number}.apps.example/
      OTEL_RESOURCE_ATTRIBUTES: service.name=service-{number},deployment.environment=production
    labels:
      traefik.enable: "true"
      traefik.http.routers.service-{number}.rule: Host(`service-{number}.apps.example`)
      traefik.http.routers.service-{number}.tls.certresolver: letsencrypt
      traefik.http.services.service-{number}.loadbalancer.server.port: "8080"
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/health"]
      interval: 30s
      timeout: 5s
    volumes:
      - service-{number}-data:/var/lib/service
"""
CONTENT: Final = """\
    configs: [large]
configs:
  large:
    content: |
"""
LINE: Final = (
    "      {number:07} server.option.name = a value of an ordinary length for such a file\n"
)


@dataclass(frozen=True, slots=True)
class LargeCompose:
    """A file, and how many services or lines of content it has."""

    text: str
    count: int


def many_services(image: str) -> LargeCompose:
    """Services of ordinary looks, of which `up` starts only the first."""
    head, tail = HEAD.format(image=image), "volumes:\n"
    services: list[str] = []
    volumes: list[str] = []
    size = len(head) + len(tail)
    while True:
        service = SERVICE.format(number=len(services) + 1)
        volume = f"  service-{len(services) + 1}-data:\n"
        size += len(service) + len(volume)
        if size > MAX_COMPOSE_FILE_BYTES:
            break
        services.append(service)
        volumes.append(volume)
    text = head + "".join(services) + tail + "".join(volumes)
    return LargeCompose(text, len(services) + 1)


def inline_content(image: str) -> LargeCompose:
    """One service, with one long text inside the file."""
    head = HEAD.format(image=image) + CONTENT
    count = (MAX_COMPOSE_FILE_BYTES - len(head)) // len(LINE.format(number=0))
    return LargeCompose(head + "".join(LINE.format(number=n) for n in range(count)), count)
