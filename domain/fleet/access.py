"""Who may do what over the API."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """What a route of the API needs; each route names one."""

    PUBLIC = "public"
    """Anybody: nothing that the route tells or does is anybody's secret."""
    ENROLMENTS_READ = "enrolments:read"
    ENROLMENTS_WRITE = "enrolments:write"
    HOSTS_READ = "hosts:read"
    HOSTS_WRITE = "hosts:write"
    """Names and labels."""
    HOSTS_TRUST = "hosts:trust"
    """Who may connect as a host: adding one with a token, another token, revoking, clones."""
    DEPLOYMENTS_READ = "deployments:read"
    DEPLOYMENTS_WRITE = "deployments:write"
    JOBS_READ = "jobs:read"
    JOBS_CANCEL = "jobs:cancel"
    PROJECTS_READ = "projects:read"
    """Questions to a host: what it has, how it is, what a deployment would do."""
    PROJECTS_WRITE = "projects:write"
    """Stopping, restarting, going back, removing."""
    METRICS_READ = "metrics:read"


EVERYTHING: Final = frozenset(Permission)
MEASURING: Final = frozenset({Permission.PUBLIC, Permission.METRICS_READ})
NOTHING: Final = frozenset({Permission.PUBLIC})

ADMINISTRATOR_PREFIX: Final = "ida_"
ENROLMENT_PREFIX: Final = "ide_"
HOST_PREFIX: Final = "idh_"
TOKEN_PREFIXES: Final = (ADMINISTRATOR_PREFIX, ENROLMENT_PREFIX, HOST_PREFIX)
"""What our tokens begin with, so that people and scanners know one where it should not be."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `name` is what stands beside what was done; `token_hash` is of the token presented."""

    id: str
    name: str
    permissions: AbstractSet[Permission]
    token_hash: str = ""

    def may(self, permission: Permission) -> bool:
        """Whether that is allowed."""
        return permission in self.permissions


NOBODY: Final = Principal("", "nobody", NOTHING)
"""Who presents no token, where none is needed."""
