"""Docker Engine, its socket, Compose, and the registries that they are logged in at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.ports.aside import Aside
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine import Engine
from application.ports.machine import Machine
from application.ports.machine_facts import MachineFacts, SocketFile
from application.ports.registry_names import RegistryNames
from domain.errors import StorageUnavailable
from domain.inspection import Finding, failure, unknown, warning, well

OLDEST_API: Final = (1, 24)
TRIED_API: Final = (1, 41)
OLDEST_COMPOSE: Final = (2, 20, 0)
SAFE_COMPOSE: Final = (2, 40, 2)
NOTHING_RUNS: Final = "nothing can be deployed, stopped or looked at without it"
UPGRADE_ENGINE: Final = "upgrade Docker Engine (package docker-ce or docker.io)"
UPGRADE_COMPOSE: Final = (
    "upgrade Docker Compose (package docker-compose-plugin, docker-compose-v2 or docker-compose)"
)
_NUMBERS: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_GROUP_READS_AND_WRITES: Final = 0o060
_OTHERS_WRITE: Final = 0o002


@dataclass(frozen=True, slots=True)
class EngineAnswers:
    """Whether the engine answers, and speaks a version of its API that is new enough.

    Without `may_ask`, whoever looks has less rights than the agent, and cannot know.
    """

    engine: Engine
    may_ask: bool = True

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        if not self.may_ask:
            return [unknown("this user may not use the engine's socket", "run it with sudo")]
        info = await self.engine.info()
        found = f"Docker Engine {info.version}, API {info.api_version}"
        version = _version(info.api_version)[:2]
        if version < OLDEST_API:
            return [failure(f"{found}, is too old", NOTHING_RUNS, UPGRADE_ENGINE)]
        if version < TRIED_API:
            why = "engines before 20.10 (API 1.41) are not tried out with this agent"
            return [warning(found, why, UPGRADE_ENGINE)]
        return [well(found)]


@dataclass(frozen=True, slots=True)
class ComposeVersion:
    """Whether Compose is there, and new enough."""

    runtime: ComposeRuntime

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`. That it is missing, or older than 2.20, is what `version` raises."""
        text = await self.runtime.version()
        version = _version(text)
        if version < OLDEST_COMPOSE:
            return [failure(f"Docker Compose {text} is too old", NOTHING_RUNS, UPGRADE_COMPOSE)]
        if version < SAFE_COMPOSE:
            why = (
                "before 2.40.2, a compose file that includes remote resources can have files written "
                "anywhere on this host (CVE-2025-62725)"
            )
            return [warning(f"Docker Compose {text}", why, UPGRADE_COMPOSE)]
        return [well(f"Docker Compose {text}")]


@dataclass(frozen=True, slots=True)
class SocketRights:
    """Whether the agent's user may use the engine's socket. `path` is empty for one over TCP."""

    path: str
    user: str
    facts: MachineFacts
    machine: Machine
    aside: Aside

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        if not self.path:
            why = "whoever reaches that address is root on the engine's machine"
            remedy = "use the engine's socket: unset AGENT_DOCKER_HOST"
            return [warning("the engine is asked over TCP, which has no permissions", why, remedy)]
        found = await self.aside(lambda: self.facts.socket(self.path))
        if found is None:
            return [
                failure(
                    f"{self.path} is not there",
                    NOTHING_RUNS,
                    "systemctl start docker.socket docker",
                )
            ]
        if not found.is_socket:
            remedy = (
                "check AGENT_DOCKER_HOST; or remove it, and systemctl restart docker.socket docker"
            )
            return [failure(f"{self.path} is no socket", NOTHING_RUNS, remedy)]
        groups = await self.aside(lambda: self.machine.groups_of(self.user))
        return self._rights(found, groups)

    def _rights(self, found: SocketFile, groups: frozenset[str] | None) -> Sequence[Finding]:
        what = f"{self.path}, of {found.owner}:{found.group}, {found.mode:04o}"
        if found.mode & _OTHERS_WRITE:
            why = "every user of this machine can become root by it"
            return [warning(f"{what}, can be used by everybody", why, f"chmod o-rw {self.path}")]
        if groups is None:
            remedy = "instadeploy-agent install"
            return [failure(f"there is no user {self.user}", "the agent runs as it", remedy)]
        if self.user in ("root", found.owner):
            return [well(f"{what}, can be used by {self.user}")]
        in_group = found.group in groups
        if in_group and found.mode & _GROUP_READS_AND_WRITES == _GROUP_READS_AND_WRITES:
            return [well(f"{what}, can be used by {self.user}")]
        remedy = f"usermod --append --groups {found.group} {self.user}, and restart the agent"
        if in_group:
            remedy = f"chmod g+rw {self.path}"
        return [failure(f"{what}, cannot be used by {self.user}", NOTHING_RUNS, remedy)]


@dataclass(frozen=True, slots=True)
class Registries:
    """At which registries this host is logged in; names only."""

    names: RegistryNames
    aside: Aside

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        try:
            found = await self.aside(self.names.read)
        except StorageUnavailable as exc:
            return [unknown(str(exc), "run it with sudo")]
        if found is None:
            return [well("none of this host's own; deployments may bring theirs")]
        if found.malformed:
            why = "deployments that bring credentials are refused, and private images cannot be pulled"
            remedy = f"put {found.path} right, or remove it and log in anew"
            return [failure(f"{found.path} cannot be used: {found.malformed}", why, remedy)]
        if found.missing_helpers:
            programs = " and ".join(found.missing_helpers)
            why = "images of the registries that it has the credentials of cannot be pulled"
            remedy = f"install {programs} where the agent's PATH leads to, or take it out of {found.path}"
            return [warning(f"{found.path} names {programs}, which is not there", why, remedy)]
        said = ", ".join(found.registries) or "no registry"
        if found.helpers:
            said += f"; through {', '.join(found.helpers)}"
        return [well(f"{found.path} has {said}")]


def _version(text: str) -> tuple[int, ...]:
    found = _NUMBERS.search(text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()
