"""Who may do what over the API, and to which hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.fleet.labels import NO_LABELS, Labels


class Permission(StrEnum):
    """What a route of the API needs; each route names one."""

    PUBLIC = "public"
    """Anybody: nothing that the route tells or does is anybody's secret."""
    SELF = "self"
    """Whoever is somebody: what is one's own, such as tokens, the password, who one is."""
    ENROLMENTS_READ = "enrolments:read"
    ENROLMENTS_WRITE = "enrolments:write"
    HOSTS_READ = "hosts:read"
    HOSTS_WRITE = "hosts:write"
    """Names and labels."""
    HOSTS_TRUST = "hosts:trust"
    """Who may connect as a host: adding one with a token, another token, revoking, clones."""
    DEPLOYMENTS_READ = "deployments:read"
    DEPLOYMENTS_WRITE = "deployments:write"
    DEPLOYMENTS_CONTENT = "deployments:content"
    """The compose files that were deployed."""
    JOBS_READ = "jobs:read"
    JOBS_CANCEL = "jobs:cancel"
    PROJECTS_READ = "projects:read"
    """Questions to a host: what it has, how it is."""
    PROJECTS_PLAN = "projects:plan"
    """What a deployment would do."""
    PROJECTS_WRITE = "projects:write"
    """Stopping, restarting, going back, removing."""
    METRICS_READ = "metrics:read"
    PEOPLE_READ = "people:read"
    PEOPLE_WRITE = "people:write"
    """Users, what they may do, and the tokens of others."""
    AUDIT_READ = "audit:read"


_P = Permission
PERSONAL: Final = frozenset({_P.PUBLIC, _P.SELF})
FLEET_WIDE: Final = frozenset(
    {_P.PUBLIC, _P.SELF, _P.METRICS_READ, _P.PEOPLE_READ, _P.PEOPLE_WRITE, _P.AUDIT_READ}
)
"""What is of no host: a grant that is for hosts with some labels does not give it, but for what
everybody may."""


class Role(StrEnum):
    """What somebody is to do; each may do what those before it may."""

    VIEWER = "viewer"
    """Sees hosts, jobs and what runs; no compose file, no variable, no secret."""
    DEPLOYER = "deployer"
    """Deploys, plans, stops, restarts, goes back, removes, cancels."""
    ADMIN = "admin"
    """Everything: hosts, enrolments, users, the audit trail."""


_VIEWS: Final = frozenset(
    {_P.HOSTS_READ, _P.DEPLOYMENTS_READ, _P.JOBS_READ, _P.PROJECTS_READ, *PERSONAL}
)
_DEPLOYS: Final = _VIEWS | {
    _P.DEPLOYMENTS_WRITE,
    _P.DEPLOYMENTS_CONTENT,
    _P.JOBS_CANCEL,
    _P.PROJECTS_PLAN,
    _P.PROJECTS_WRITE,
}
PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.VIEWER: _VIEWS,
    Role.DEPLOYER: _DEPLOYS,
    Role.ADMIN: frozenset(_P),
}
_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, for the hosts that have all of these labels: without any, for all hosts and the rest."""

    role: Role
    labels: Labels = NO_LABELS

    def narrowed_by(self, other: Grant) -> Grant | None:
        """What both give; None where no host can have the labels of both."""
        wanted = self.labels.as_mapping()
        for key, value in other.labels.pairs:
            if wanted.setdefault(key, value) != value:
                return None
        role = min(self.role, other.role, key=_RANKS.__getitem__)
        return Grant(role, Labels.of(wanted))

    @property
    def is_full(self) -> bool:
        """Whether it is everything there is."""
        return self.role is Role.ADMIN and self.labels == NO_LABELS


@dataclass(frozen=True, slots=True)
class Reach:
    """Which hosts: those that have all labels of one of these; empty labels are of every host."""

    alternatives: tuple[Labels, ...] = ()

    @property
    def is_everywhere(self) -> bool:
        """Whether it is every host, and what is of no host."""
        return NO_LABELS in self.alternatives

    def covers(self, labels: Labels) -> bool:
        """Whether a host with these labels is among them."""
        return any(labels.include(each) for each in self.alternatives)


EVERYWHERE: Final = Reach((NO_LABELS,))


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be done to hosts that have all of these labels."""

    permissions: AbstractSet[Permission]
    labels: Labels = NO_LABELS

    def gives(self, permission: Permission) -> bool:
        """Whether it gives that, for its hosts or, where it is of no host, at all."""
        if permission not in self.permissions:
            return False
        return permission in PERSONAL or permission not in FLEET_WIDE or self.labels == NO_LABELS


ADMINISTRATOR_PREFIX: Final = "ida_"
ENROLMENT_PREFIX: Final = "ide_"
HOST_PREFIX: Final = "idh_"
SETUP_PREFIX: Final = "ids_"
TOKEN_PREFIXES: Final = (ADMINISTRATOR_PREFIX, ENROLMENT_PREFIX, HOST_PREFIX, SETUP_PREFIX)
"""What our tokens begin with, so that people and scanners know one where it should not be."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `name` is what stands beside what was done; `token_hash` is of the token presented.

    `address` is where the request came from.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...] = ()
    token_hash: str = ""
    token_id: str = ""
    address: str = ""

    def may(self, permission: Permission) -> bool:
        """Whether that is allowed, of some host at least."""
        return any(scope.gives(permission) for scope in self.scopes)

    def reach(self, permission: Permission) -> Reach:
        """To which hosts that may be done."""
        return Reach(tuple(one.labels for one in self.scopes if one.gives(permission)))

    def may_everywhere(self, permission: Permission) -> bool:
        """Whether that is allowed without regard to any host."""
        return self.reach(permission).is_everywhere


def scopes_of(grants: Iterable[Grant], narrowed_by: Grant | None = None) -> tuple[Scope, ...]:
    """What grants amount to, and with a token that is for less than its user may."""
    kept = grants if narrowed_by is None else [one.narrowed_by(narrowed_by) for one in grants]
    return tuple(Scope(PERMISSIONS[one.role], one.labels) for one in kept if one is not None)


EVERYTHING: Final = scopes_of([Grant(Role.ADMIN)])
MEASURING: Final = (Scope(frozenset({_P.PUBLIC, _P.METRICS_READ})),)
NOTHING: Final = (Scope(frozenset({_P.PUBLIC})),)

NOBODY: Final = Principal("", "nobody", NOTHING)
"""Who presents no token, where none is needed."""
