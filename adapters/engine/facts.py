"""Reads what the engine's API says of containers and images into the domain.

A listing tells who a container is, and, in words for people, how it is; the rest is told by what
the API calls inspecting it. Seen with 20.10 (API 1.41).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from adapters.engine.listing import COMPOSE_LABEL, labels_of, name_of
from domain.engine_state import FoundContainer, Health, ImageFacts, last_line
from domain.services import PublishedPort

_EXIT = re.compile(r"(?:Exited|Restarting) \((-?\d+)\)")
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_ENDED: Final = ("exited", "dead", "restarting", "removing")


def container_from_listing(entry: Mapping[str, Any]) -> FoundContainer:
    """Read an entry of `/containers/json`."""
    labels = labels_of(entry)
    number = labels.get(f"{COMPOSE_LABEL}container-number", "")
    status = str(entry.get("Status", ""))
    exited, health = _EXIT.search(status), _HEALTH.search(status)
    return FoundContainer(
        id=str(entry["Id"]),
        name=name_of(entry),
        service=str(labels.get(f"{COMPOSE_LABEL}service", "")),
        number=int(number) if number.isdecimal() else None,
        state=str(entry.get("State", "")),
        status=status,
        health=Health.of(health[1]) if health else Health.NONE,
        exit_code=int(exited[1]) if exited else None,
        image=str(entry.get("Image", "")),
        image_id=entry.get("ImageID") or None,
        config_hash=labels.get(f"{COMPOSE_LABEL}config-hash"),
        is_oneoff=labels.get(f"{COMPOSE_LABEL}oneoff", "").lower() == "true",
        working_dir=labels.get(f"{COMPOSE_LABEL}project.working_dir"),
        config_files=labels.get(f"{COMPOSE_LABEL}project.config_files"),
        published_ports=tuple(sorted(set(_ports(entry.get("Ports") or ())), key=str)),
    )


def with_details(listed: FoundContainer, inspected: Mapping[str, Any]) -> FoundContainer:
    """Add what `/containers/<id>/json` says, which is newer than the listing."""
    state = inspected["State"]
    word = str(state["Status"])
    health = state.get("Health") or {}
    log = health.get("Log") or ()
    error = last_line(str(state.get("Error") or ""))
    has_ended = word in _ENDED or bool(error)
    return replace(
        listed,
        name=str(inspected["Name"]).removeprefix("/"),
        state=word,
        status=listed.status if listed.state == word else "",
        health=Health.of(str(health.get("Status", ""))),
        exit_code=int(state["ExitCode"]) if has_ended else None,
        restart_count=int(inspected["RestartCount"]),
        is_oom_killed=bool(state.get("OOMKilled", False)),
        error=error,
        started_at=_seconds(state.get("StartedAt")),
        finished_at=_seconds(state.get("FinishedAt")),
        image=str(inspected["Config"]["Image"]),
        image_id=str(inspected["Image"]),
        health_output=last_line(str(log[-1].get("Output", ""))) or None if log else None,
    )


def image_from(inspected: Mapping[str, Any]) -> ImageFacts:
    """Read what `/images/<name>/json` says."""
    return ImageFacts(
        id=str(inspected["Id"]),
        repo_digests=tuple(map(str, inspected.get("RepoDigests") or ())),
        repo_tags=tuple(map(str, inspected.get("RepoTags") or ())),
    )


def _ports(entries: Iterable[Mapping[str, Any]]) -> Iterator[PublishedPort]:
    # A port that is published on all addresses comes twice where the host has IPv6: for 0.0.0.0
    # and for ::, and in newer engines also once more for each network.
    for entry in entries:
        if entry.get("PublicPort"):
            yield PublishedPort(
                host_address=str(entry.get("IP") or ""),
                host_port=int(entry["PublicPort"]),
                container_port=int(entry.get("PrivatePort", 0)),
                protocol=str(entry.get("Type", "tcp")),
            )


def _seconds(timestamp: object) -> float | None:
    """RFC 3339 with nanoseconds; the year 1 means never."""
    when = datetime.fromisoformat(str(timestamp)) if timestamp else None
    return when.timestamp() if when is not None and when.year > 1 else None
