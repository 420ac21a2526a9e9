"""What the API shows of hosts, and of leave to become one."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from application.control_plane.hosts import HostView
from domain.fleet.abilities import Guarantee, protocol_of
from domain.fleet.host import Enrolment as FleetEnrolment
from domain.identity import fingerprint_of
from entrypoints.control_plane.rest.views import Moment, PageOf, maybe, moment


class Enrolment(BaseModel):
    """Leave to become a host."""

    id: str = Field(examples=["enr_01KG9X29P08Z3KX5V0T9QMC7RW"])
    name: str = Field(examples=["web-1"])
    labels: dict[str, str]
    state: Literal["open", "used", "closed"] = Field(
        description="`closed`: withdrawn, or over its time"
    )
    created_at: Moment
    expires_at: Moment
    created_by: str
    used_at: Moment | None
    host_id: str | None = Field(description="The host that it became")

    @classmethod
    def of(cls, enrolment: FleetEnrolment, *, is_open: bool) -> Enrolment:
        """The view of an enrolment."""
        used = enrolment.used_at is not None
        return cls(
            id=enrolment.id,
            name=enrolment.name.value,
            labels=enrolment.labels.as_mapping(),
            state="used" if used else "open" if is_open else "closed",
            created_at=moment(enrolment.created_at),
            expires_at=moment(enrolment.expires_at),
            created_by=enrolment.created_by,
            used_at=maybe(enrolment.used_at),
            host_id=enrolment.host_id,
        )


class NewEnrolment(BaseModel):
    """With the token, this once."""

    enrolment: Enrolment
    token: str = Field(
        description="Good once, until `expires_at`; it is not kept and not shown again"
    )
    control_plane_key: str = Field(description="The fingerprint of the key that agents pin")
    command: str = Field(
        description="What to run on the machine, as root, where the agent is there"
    )
    install_url: str | None = Field(
        description="Of the script that installs the agent, and takes the token in the variable "
        "INSTADEPLOY_ENROLL_TOKEN; null where this control plane has no agent to give"
    )


class Host(BaseModel):
    """A host, and what its agent last said of itself; null for what is not known."""

    id: str = Field(examples=["host_01KG9X5YW08Z3KX5V0T9QMC7RW"])
    name: str = Field(examples=["web-1"])
    labels: dict[str, str]
    credential: Literal["key", "token"]
    public_key: str | None = Field(description="Its fingerprint")
    created_at: Moment
    revoked_at: Moment | None
    clone_suspected_at: Moment | None = Field(
        description="When two machines were last seen to use this identity in turns"
    )
    online: bool
    connected_at: Moment | None
    last_seen_at: Moment | None
    version: str | None = Field(examples=["1.0.0"])
    architecture: str | None = Field(examples=["linux-amd64"])
    hostname: str | None
    address: str | None = Field(description="Where it connects from", examples=["203.0.113.7"])
    facts: dict[str, Any] = Field(description="Of its last heartbeat; docs/protocol-v2.md has them")
    protocol: int | None = Field(examples=[2])
    delivery: Guarantee | None = Field(
        description="`at_least_once`: over protocol v1, a command whose answer is lost is sent again, "
        "but for restarts, removals and rollbacks, which are sent at most once"
    )
    cancel: bool | None = Field(description="Whether what was sent can be canceled")
    live_output: bool | None = Field(description="Whether output comes while a job runs")

    @classmethod
    def of(cls, view: HostView) -> Host:
        """The view of a host."""
        host, report, abilities = view.host, view.host.report, view.abilities
        return cls(
            id=host.id,
            name=host.name.value,
            labels=host.labels.as_mapping(),
            credential=host.credential.value,
            public_key=fingerprint_of(host.public_key) if host.public_key else None,
            created_at=moment(host.created_at),
            revoked_at=maybe(host.revoked_at),
            clone_suspected_at=maybe(host.clone_suspected_at),
            online=view.is_online,
            connected_at=None if report is None else moment(report.connected_at),
            last_seen_at=None if report is None else moment(report.last_seen_at),
            version=None if report is None else report.version,
            architecture=None if report is None else report.architecture,
            hostname=None if report is None else report.hostname,
            address=None if report is None else report.address,
            facts={} if report is None else dict(report.facts),
            protocol=protocol_of(host),
            delivery=None if abilities is None else abilities.delivery,
            cancel=None if abilities is None else abilities.cancel,
            live_output=None if abilities is None else abilities.live_output,
        )


class HostWithToken(BaseModel):
    """A host that uses a token, and the token, this once."""

    host: Host
    token: str = Field(description="AGENT_SECRET_TOKEN of its agent; it is not kept or shown again")


class EnrolmentPage(PageOf[Enrolment]):
    """Enrolments, the newest first."""


class HostPage(PageOf[Host]):
    """Hosts, by name."""
