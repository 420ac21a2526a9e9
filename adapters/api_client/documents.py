"""What the API answers with, by its own names (docs/api/openapi.json). Times are ISO 8601, in UTC.

A document may have more fields than stand here: they are passed on as they came.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Host(TypedDict):
    """A host, and what its agent last said of itself."""

    id: str
    name: str
    labels: dict[str, str]
    credential: str
    public_key: str | None
    created_at: str
    revoked_at: str | None
    clone_suspected_at: str | None
    online: bool
    connected_at: str | None
    last_seen_at: str | None
    version: str | None
    architecture: str | None
    hostname: str | None
    address: str | None
    facts: dict[str, Any]
    protocol: int | None
    delivery: str | None
    cancel: bool | None
    live_output: bool | None


class Enrolment(TypedDict):
    """Leave to become a host; `state` is open, used or closed."""

    id: str
    name: str
    labels: dict[str, str]
    state: str
    created_at: str
    expires_at: str
    created_by: str
    used_at: str | None
    host_id: str | None


class NewEnrolment(TypedDict):
    """With the token, this once; `command` is what to run on the machine that has the agent.

    `install_url` is of the script that installs it; none where there is no agent to be given, and
    missing where the control plane is of before.
    """

    enrolment: Enrolment
    token: str
    control_plane_key: str
    command: str
    install_url: NotRequired[str | None]


class Result(TypedDict):
    """What the agent said at the end of a job."""

    logs: str
    error: str
    data: dict[str, Any]
    output: list[dict[str, Any]]


class Job(TypedDict):
    """One command to one host; `result` only where one job is shown."""

    id: str
    host_id: str
    host: str | None
    kind: str
    project: str | None
    deployment_id: str | None
    state: str
    delivery: str
    over: bool
    reason: str
    error: str
    superseded_by: str | None
    requested_by: str
    created_at: str
    expires_at: str | None
    sent_at: str | None
    accepted_at: str | None
    started_at: str | None
    finished_at: str | None
    cancel_requested_at: str | None
    deadline_s: float | None
    result: Result | None


class Deployment(TypedDict):
    """What was wished for. `jobs` are all of them where it was made, the first ones where it is shown."""

    id: str
    project: str
    state: str
    jobs_by_state: dict[str, int]
    hosts: list[str]
    host_labels: dict[str, str]
    digest: str
    content: dict[str, Any]
    created_at: str
    requested_by: str
    redeploy_of: str | None
    jobs: list[Job]
    jobs_next: str | None


class Variable(TypedDict):
    """The name of a variable; its value is never told. Equal fingerprints mean equal values."""

    name: str
    fingerprint: str


class SentFile(TypedDict):
    """A file beside the compose file; its content is never told."""

    path: str
    bytes: int
    mode: str
    fingerprint: str


class DeployedContent(TypedDict):
    """What a deployment brings to its hosts."""

    compose: str
    variables: list[Variable]
    files: list[SentFile]
    options: dict[str, Any]


class Grant(TypedDict):
    """A role, for the hosts that have all of these labels."""

    role: str
    labels: dict[str, str]


class User(TypedDict):
    """Somebody, and what they may do."""

    id: str
    name: str
    grants: list[Grant]
    has_password: bool
    is_disabled: bool
    created_at: str


class AccessToken(TypedDict):
    """A token, without what it is. `role` and `labels` narrow what its user may do."""

    id: str
    user: str
    name: str
    kind: str
    role: str | None
    labels: dict[str, str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None


class Login(TypedDict):
    """A session, and its token, this once."""

    user: User
    access_token: AccessToken
    token: str


class Me(TypedDict):
    """Who the presented token is of."""

    user: User
    access_token: AccessToken | None


class NewToken(TypedDict):
    """A token, this once."""

    access_token: AccessToken
    token: str


class AuditEntry(TypedDict):
    """One thing that somebody did, or tried."""

    number: int
    at: str
    user: str
    address: str
    action: str
    host: str | None
    project: str | None
    job_id: str | None
    deployment_id: str | None
    target: str | None
    outcome: str
    detail: dict[str, Any]
    previous_hash: str
    hash: str


class Verification(TypedDict):
    """Whether the audit trail is as it was written."""

    is_intact: bool
    entries: int
    head: dict[str, Any] | None
    findings: list[dict[str, Any]]
