"""Whether what runs is what was wanted: promise R10, judged from what the engine says.

`docker compose up` ends with 0 also where a container exits at once, or keeps a wrong name for good
(`<12 hex digits>_<name>`, left by a recreation that was killed). So every service is looked at: its
containers are there under their proper names, made from the wanted image and configuration, run,
and are healthy where they have a health check.

`verify` judges one look. Whether what runs will go on running takes several: see `health_watch`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.engine_state import FoundContainer, Health
from domain.project import ProjectName

_TEMPORARY = re.compile(r"[0-9a-f]{12}_.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedService:
    """What one service is to be. What is None is not known, and not compared."""

    name: str
    replicas: int = 1
    container_name: str | None = None
    """The compose file's own name for its container; it has at most one then."""
    image_id: str | None = None
    """What the engine's id of the wanted image was when it was last resolved."""
    config_hash: str | None = None
    """As Compose gives it for the resolved model, where that can be compared: see `expectation`."""
    has_healthcheck: bool = False
    """By the compose file. An image may bring one of its own: what the engine says is judged too."""
    completes: bool = False
    """It is to exit with 0: another service depends on it with `service_completed_successfully`, or
    its label says so. `restart: "no"` says nothing of the kind, since it is the default."""
    is_active: bool = True
    """False where its profiles leave it out."""


class Condition(StrEnum):
    """How a container, a service or a project is, better ones first."""

    GOOD = "good"
    WAITING = "waiting"
    BAD = "bad"


class Kind(StrEnum):
    """What was found; those of one condition stand together."""

    RUNNING = "running"
    HEALTHY = "healthy"
    COMPLETED = "completed"

    CREATED = "created"
    STARTING = "starting"
    COMPLETING = "completing"
    SETTLING = "settling"
    REMOVING = "removing"

    MISSING = "missing"
    SURPLUS = "surplus"
    MISNAMED = "misnamed"
    WRONG_IMAGE = "wrong_image"
    WRONG_CONFIG = "wrong_config"
    NOT_STARTED = "not_started"
    EXITED = "exited"
    RESTARTING = "restarting"
    UNHEALTHY = "unhealthy"
    PAUSED = "paused"
    DEAD = "dead"

    @property
    def condition(self) -> Condition:
        """What it means for the deployment."""
        if self in _GOOD:
            return Condition.GOOD
        return Condition.WAITING if self in _WAITING else Condition.BAD


_GOOD = frozenset({Kind.RUNNING, Kind.HEALTHY, Kind.COMPLETED})
_WAITING = frozenset({Kind.CREATED, Kind.STARTING, Kind.COMPLETING, Kind.SETTLING, Kind.REMOVING})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is so, of a service or of one of its containers, as a sentence too."""

    service: str
    container: str | None
    kind: Kind
    sentence: str

    @property
    def condition(self) -> Condition:
        """What it means for the deployment."""
        return self.kind.condition


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings, by service in the order of the expectation."""

    findings: tuple[Finding, ...]

    @property
    def condition(self) -> Condition:
        """The worst of all; a project that is to run nothing is good."""
        return _worst(self.findings)

    @property
    def services(self) -> dict[str, Condition]:
        """The worst of each service."""
        names = dict.fromkeys(finding.service for finding in self.findings)
        return {
            name: _worst(finding for finding in self.findings if finding.service == name)
            for name in names
        }

    def sentences(self, condition: Condition) -> tuple[str, ...]:
        """What is to be said of what is in this condition."""
        return tuple(one.sentence for one in self.findings if one.condition is condition)


def verify(
    name: ProjectName, expected: Sequence[ExpectedService], found: Sequence[FoundContainer]
) -> Verdict:
    """Judge one look at the project. Needs no clock: what has to be waited for says so.

    Services that are not expected, or not active, are nobody's concern here: `drift` names them.
    """
    findings: list[Finding] = []
    for service in expected:
        if service.is_active:
            own = containers_of(service.name, found)
            findings += _judge_service(name, service, own)
    return Verdict(tuple(findings))


def with_comparable_hashes(
    expected: Sequence[ExpectedService], found: Sequence[FoundContainer]
) -> Sequence[ExpectedService]:
    """What is expected, without the hashes of configurations where not one is as it was computed.

    Then this Compose gives its containers others than it tells, and a mismatch says nothing.
    """
    compared = [
        service.config_hash == container.config_hash
        for service in expected
        for container in containers_of(service.name, found)
        if service.config_hash is not None and container.config_hash is not None
    ]
    if not compared or any(compared):
        return expected
    return [replace(service, config_hash=None) for service in expected]


def containers_of(service: str, found: Iterable[FoundContainer]) -> list[FoundContainer]:
    """The containers of a service, by number, without those of `docker compose run`."""
    own = [one for one in found if one.service == service and not one.is_oneoff]
    return sorted(own, key=lambda one: (one.number or 0, one.name))


def mismatches(
    name: ProjectName, service: ExpectedService, container: FoundContainer
) -> list[Finding]:
    """In what it is not the wanted container, however it does. No waiting puts that right."""
    found = []
    if not is_properly_named(name, service, container):
        proper = service.container_name or f"{name.compose_name}-{service.name}-<number>"
        words = f"does not have its proper name, {proper}"
        if _TEMPORARY.fullmatch(container.name):
            words += "; a recreation of it was cut short"
        found.append(finding(service.name, container, Kind.MISNAMED, words))
    if differs(service.image_id, container.image_id):
        words = f"has the image {short(container.image_id)} instead of {short(service.image_id)}"
        found.append(finding(service.name, container, Kind.WRONG_IMAGE, words))
    if differs(service.config_hash, container.config_hash):
        words = "was made from another configuration than the wanted one"
        found.append(finding(service.name, container, Kind.WRONG_CONFIG, words))
    return found


def is_properly_named(
    name: ProjectName, service: ExpectedService, container: FoundContainer
) -> bool:
    """Whether Compose, when it is done, names it so.

    The number is the container's own: after one of two replicas was removed by hand, Compose makes
    number 3. The underscores are those of its compatibility mode.
    """
    if service.container_name is not None:
        return container.name == service.container_name
    number = r"[1-9]\d*" if container.number is None else str(container.number)
    words = (re.escape(name.compose_name), re.escape(service.name), number)
    return any(re.fullmatch(mark.join(words), container.name) for mark in "-_")


def state_of(service: ExpectedService, container: FoundContainer) -> tuple[Kind, str]:
    """How a container is that may be what was wanted, and the words that follow its name."""
    match container.state:
        case "running":
            return _running(service, container)
        case "exited" if service.completes and container.exit_code == 0:
            return Kind.COMPLETED, "has completed"
        case "exited":
            return Kind.EXITED, ended(container)
        case "restarting":
            return Kind.RESTARTING, f"{ended(container)} and is about to be started again"
        case "created" if container.error:
            return Kind.NOT_STARTED, f"could not be started: {container.error}"
        case "created":
            return Kind.CREATED, "was created and not started"
        case "paused":
            return Kind.PAUSED, "is paused"
        case "dead":
            return Kind.DEAD, "is dead: Docker Engine has failed to remove it"
        case "removing":
            return Kind.REMOVING, "is being removed"
        case word:
            return Kind.STARTING, f"is {word or 'in a state that is not known'}"


def ended(container: FoundContainer) -> str:
    """The words for how it ended."""
    code = "" if container.exit_code is None else f" with code {container.exit_code}"
    why = "; it ran out of memory" if container.is_oom_killed else ""
    error = f"; {container.error}" if container.error else ""
    return f"exited{code}{why}{error}"


def finding(service: str, container: FoundContainer, kind: Kind, words: str) -> Finding:
    """What is so of a container, as a sentence that names it."""
    return Finding(service, container.name, kind, f"service '{service}': {container.name} {words}")


def differs(wanted: str | None, found: str | None) -> bool:
    """Whether both are known and are not the same."""
    return wanted is not None and found is not None and wanted != found


def short(digest: str | None) -> str:
    """As much of an image's id as people compare."""
    return (digest or "").removeprefix("sha256:")[:12]


def _running(service: ExpectedService, container: FoundContainer) -> tuple[Kind, str]:
    said = f"; its last check said: {container.health_output}" if container.health_output else ""
    if service.completes:
        return Kind.COMPLETING, "runs and has not completed yet"
    match container.health:
        case Health.UNHEALTHY:
            return Kind.UNHEALTHY, f"is unhealthy{said}"
        case Health.STARTING:
            return Kind.STARTING, f"runs and is not healthy yet{said}"
        case Health.HEALTHY:
            return Kind.HEALTHY, "runs and is healthy"
    if service.has_healthcheck:
        return Kind.STARTING, "runs and its health check has not begun"
    return Kind.RUNNING, "runs"


def _judge_service(
    name: ProjectName, service: ExpectedService, containers: Sequence[FoundContainer]
) -> Iterator[Finding]:
    present = [one for one in containers if one.state != "removing"]
    if len(present) < service.replicas:
        have = f"{len(present)} of {service.replicas} containers" if present else "no container"
        yield Finding(service.name, None, Kind.MISSING, f"service '{service.name}' has {have}")
    if len(present) > service.replicas:
        have = f"{len(present)} containers where {service.replicas} are wanted"
        yield Finding(service.name, None, Kind.SURPLUS, f"service '{service.name}' has {have}")
    for container in containers:
        problems = [] if container.state == "removing" else mismatches(name, service, container)
        kind, words = state_of(service, container)
        # That it runs is no comfort where it is not what was wanted.
        if not problems or kind.condition is not Condition.GOOD:
            problems.append(finding(service.name, container, kind, words))
        yield from problems


def _worst(findings: Iterable[Finding]) -> Condition:
    conditions = {finding.condition for finding in findings}
    for condition in (Condition.BAD, Condition.WAITING):
        if condition in conditions:
            return condition
    return Condition.GOOD
