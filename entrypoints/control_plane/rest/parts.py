"""What the routes work with: the use cases, and what this program is called from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from application.control_plane.access import Access
from application.control_plane.api_tokens import ApiTokens
from application.control_plane.auditing import Auditing
from application.control_plane.deployments import Deployments
from application.control_plane.enrolments import Enrolments
from application.control_plane.figures import Measuring
from application.control_plane.following import Following
from application.control_plane.hosts import Hosts
from application.control_plane.jobs import Jobs
from application.control_plane.logins import Logins
from application.control_plane.reaching import Reaching
from application.control_plane.sessions import Sessions
from application.control_plane.submitting import Submitting
from application.control_plane.users import Users
from application.ports.clock import Clock
from entrypoints.control_plane.agent_file import AgentFile
from entrypoints.control_plane.rest.metrics import Metrics

API: Final = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """`check_ready` raises `StorageUnavailable` where the database is of no use.

    `control_plane_key` is the key by which agents know this control plane, in base64; `public_url`
    is where they and people find it, empty where a request's own address is as good a guess as any.
    `ca_pem` are the certificates that agents are to trust beside their system's, or empty.
    """

    access: Access
    api_tokens: ApiTokens
    auditing: Auditing
    logins: Logins
    reaching: Reaching
    users: Users
    sessions: Sessions
    enrolments: Enrolments
    hosts: Hosts
    submitting: Submitting
    deployments: Deployments
    jobs: Jobs
    following: Following
    measuring: Measuring
    metrics: Metrics
    check_ready: Callable[[], Awaitable[None]]
    control_plane_key: str
    fingerprint: Callable[[bytes], str]
    agent_file: AgentFile
    clock: Clock
    public_url: str = ""
    ca_pem: str = ""
