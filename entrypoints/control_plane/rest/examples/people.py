"""Users, their tokens, and what the audit trail has of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel

from domain.fleet.access import ADMINISTRATOR_PREFIX, SETUP_PREFIX, Grant, Principal, Role
from domain.fleet.audit import ACCEPTED, AuditEntry, AuditHead, Noted, chained, noted_by
from domain.fleet.labels import Labels
from domain.fleet.people import (
    SESSION_S,
    TOKEN_S,
    AccessToken,
    TokenId,
    TokenKind,
    User,
    UserId,
    UserName,
)
from entrypoints.control_plane.rest import audit, people_views
from entrypoints.control_plane.rest.examples import deployments, fleet

_PASSWORD: Final = "<your password>"  # noqa: S105 - it says where one stands
_PROD: Final = {"env": "prod"}
ANN: Final = User(
    UserId(fleet.id_of("user", fleet.at(-60))),
    UserName("ann"),
    (Grant(Role.ADMIN),),
    fleet.at(-60),
    has_password=True,
)
BOB: Final = User(
    UserId(fleet.id_of("user", fleet.at(-20))),
    UserName("bob"),
    (Grant(Role.DEPLOYER, Labels.of(_PROD)),),
    fleet.at(-20),
)
SESSION: Final = AccessToken(
    TokenId(fleet.id_of("tok", fleet.at(-60))),
    ANN.id,
    "login",
    TokenKind.SESSION,
    fleet.at(-60),
    expires_at=fleet.at(-60) + SESSION_S,
)
CI: Final = AccessToken(
    TokenId(fleet.id_of("tok", fleet.at(-15))),
    BOB.id,
    "ci",
    TokenKind.API,
    fleet.at(-15),
    scope=Grant(Role.DEPLOYER, Labels.of(_PROD)),
    expires_at=fleet.at(-15) + TOKEN_S,
    last_used_at=fleet.at(-1),
)


def requests() -> dict[str, BaseModel]:
    """Bodies, by the names of their operations."""
    prod = people_views.GrantBody(role=Role.DEPLOYER, labels=_PROD)
    return {
        "set_up": people_views.SetUp(
            code=fleet.token_of(SETUP_PREFIX), name="ann", password=_PASSWORD
        ),
        "log_in": people_views.Credentials(name="ann", password=_PASSWORD),
        "change_my_password": people_views.NewPassword(
            current=_PASSWORD, new="<your next password>"
        ),
        "create_user": people_views.NewUser(name="bob", grants=[prod]),
        "change_user": people_views.UserUpdate(is_disabled=True),
        "create_token": people_views.NewApiToken(
            name="ci", role=Role.DEPLOYER, labels=_PROD, user="bob"
        ),
    }


def answers() -> Iterator[tuple[str, dict[int, Any]]]:
    """What operations answer with, by their names and the status."""
    token = fleet.token_of(ADMINISTRATOR_PREFIX)
    session = people_views.AccessToken.of(SESSION, ANN)
    ci = people_views.AccessToken.of(CI, BOB)
    ann, bob = people_views.User.of(ANN), people_views.User.of(BOB)
    login = people_views.Login(user=ann, access_token=session, token=token)
    new = people_views.AccessToken.of(replace(CI, last_used_at=None), BOB)
    yield "set_up", {201: login}
    yield "log_in", {201: login}
    yield "log_out", {}
    yield "show_me", {200: people_views.Me(user=ann, access_token=session)}
    yield "change_my_password", {}
    yield "list_users", {200: people_views.UserPage(items=[ann, bob])}
    yield "show_user", {200: ann}
    yield "create_user", {201: bob}
    yield "change_user", {200: people_views.User.of(replace(BOB, is_disabled=True))}
    yield "remove_user", {}
    yield "list_tokens", {200: people_views.AccessTokenPage(items=[ci, session])}
    yield (
        "create_token",
        {201: people_views.AccessTokenWithSecret(access_token=new, token=token)},
    )
    yield "revoke_token", {}
    trail = _trail()
    shown = [audit.AuditEntry.of(entry) for entry in reversed(trail)]
    head = audit.AuditHead(number=trail[-1].number, hash=trail[-1].hash)
    yield "list_audit", {200: audit.AuditPage(items=shown)}
    yield (
        "verify_audit",
        {200: audit.AuditVerification(is_intact=True, entries=len(trail), head=head, findings=[])},
    )
    yield "export_audit", {200: b"".join(audit.line_of(entry) for entry in trail).decode()}


PATHS: Final = {"revoke_token": {"token_id": CI.id}}


def _trail() -> list[AuditEntry]:
    ann = Principal(ANN.id, "ann", token_id=SESSION.id, address="192.0.2.7")
    job = deployments.FIRST.job
    noted = [
        Noted(at=fleet.at(-60), user="ann", action="setup", address="192.0.2.7", target="ann"),
        noted_by(
            ann,
            job.created_at,
            "deploy",
            outcome=ACCEPTED,
            host_id=job.host_id,
            host=fleet.WEB_1.name.value,
            project=job.project,
            job_id=job.id,
            deployment_id=job.deployment_id,
            detail={"digest": deployments.FIRST.deployment.digest},
        ),
    ]
    entries: list[AuditEntry] = []
    head = AuditHead()
    for each in noted:
        entries.append(chained(head, each))
        head = AuditHead(entries[-1].number, entries[-1].hash)
    return entries
