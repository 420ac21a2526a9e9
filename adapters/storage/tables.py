"""The tables as the code of today sees them; how they come to be is in `migrations`.

Places and the feed's numbers are drawn from one number, `book.next_number`, by the one connection
that writes. A job is over where `finished_at` is not null, and pruned where `payload` is null.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    true,
)

from adapters.storage.column_types import PLAIN_TEXT, EscapedText, JsonText
from domain.fleet.job import FleetJobState

METADATA: Final = MetaData(
    naming_convention={
        "ix": "%(table_name)s_by_%(column_0_name)s",
        "uq": "one_of_%(table_name)s_a_%(column_0_name)s",
        "fk": "%(table_name)s_%(column_0_name)s_of_%(referred_table_name)s",
        "pk": "%(table_name)s_key",
    }
)
"""Whatever a later migration may have to change has a name."""

PLACE: Final = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of 64 bits; SQLite's own key of a row where it is the primary key."""

BOOK: Final = Table(
    "book",
    METADATA,
    Column("one", PLACE, primary_key=True, autoincrement=False),
    Column("epoch", EscapedText, nullable=False),
    Column("next_number", BigInteger, nullable=False),
    Column("commits", BigInteger, nullable=False),
    Column("audit_number", BigInteger, nullable=False),
    Column("audit_hash", PLAIN_TEXT, nullable=False),
)

HOSTS: Final = Table(
    "hosts",
    METADATA,
    Column("id", EscapedText, primary_key=True),
    Column("name", EscapedText, nullable=False),
    Column("name_key", EscapedText, nullable=False),
    Column("labels", JsonText, nullable=False),
    Column("credential", PLAIN_TEXT, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("public_key", EscapedText, nullable=False),
    Column("token_hash", EscapedText),
    Column("revoked_at", Double),
    Column("clone_suspected_at", Double),
    Column("report", JsonText),
)
_LIVE = HOSTS.c.revoked_at.is_(None)
Index("hosts_by_name", HOSTS.c.name_key, HOSTS.c.id)
Index(
    "one_live_host_a_name",
    HOSTS.c.name_key,
    unique=True,
    sqlite_where=_LIVE,
    postgresql_where=_LIVE,
)
_WITH_KEY = HOSTS.c.public_key != ""
Index(
    "one_host_a_key",
    HOSTS.c.public_key,
    unique=True,
    sqlite_where=_WITH_KEY,
    postgresql_where=_WITH_KEY,
)
Index("one_host_a_token", HOSTS.c.token_hash, unique=True)

HOST_LABELS: Final = Table(
    "host_labels",
    METADATA,
    Column("host_id", EscapedText, ForeignKey("hosts.id"), primary_key=True),
    Column("key", EscapedText, primary_key=True),
    Column("value", EscapedText, nullable=False),
)
Index("hosts_by_label", HOST_LABELS.c.key, HOST_LABELS.c.value, HOST_LABELS.c.host_id)

ENROLMENTS: Final = Table(
    "enrolments",
    METADATA,
    Column("place", PLACE, primary_key=True, autoincrement=False),
    Column("id", EscapedText, nullable=False, unique=True),
    Column("name", EscapedText, nullable=False),
    Column("name_key", EscapedText, nullable=False, index=True),
    Column("labels", JsonText, nullable=False),
    Column("token_hash", EscapedText, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("created_by", EscapedText, nullable=False),
    Column("used_at", Double),
    Column("host_id", EscapedText, ForeignKey("hosts.id")),
    Column("is_withdrawn", Boolean, nullable=False),
)

DEPLOYMENTS: Final = Table(
    "deployments",
    METADATA,
    Column("place", PLACE, primary_key=True, autoincrement=False),
    Column("id", EscapedText, nullable=False, unique=True),
    Column("project", EscapedText, nullable=False),
    Column("project_key", EscapedText, nullable=False),
    Column("selector", JsonText, nullable=False),
    Column("digest", EscapedText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("requested_by", EscapedText, nullable=False),
    Column("redeploy_of", EscapedText),
    Column("summary", JsonText, nullable=False),
)
Index("deployments_by_project", DEPLOYMENTS.c.project_key, DEPLOYMENTS.c.place)

PAYLOADS: Final = Table(
    "payloads",
    METADATA,
    Column("place", PLACE, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("place", PLACE, primary_key=True, autoincrement=False),
    Column("id", EscapedText, nullable=False, unique=True),
    Column("host_id", EscapedText, ForeignKey("hosts.id"), nullable=False),
    Column("kind", EscapedText, nullable=False),
    Column("project", EscapedText),
    Column("project_key", EscapedText),
    Column("state", PLAIN_TEXT, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("requested_by", EscapedText, nullable=False),
    Column("deployment_id", EscapedText),
    Column("deployment", BigInteger, ForeignKey("deployments.place")),
    Column("expires_at", Double),
    Column("deadline_s", Double),
    Column("generation", BigInteger),
    Column("seq", BigInteger),
    Column("sent_at", Double),
    Column("accepted_at", Double),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("cancel_requested_at", Double),
    Column("reason", EscapedText, nullable=False),
    Column("error", EscapedText, nullable=False),
    Column("superseded_by", EscapedText, nullable=False),
    Column("payload", BigInteger, ForeignKey("payloads.place"), index=True),
    Column("awaits_result", Boolean, nullable=False),
    Column("seen_step", EscapedText),
    Column("seen_attempt", BigInteger),
    Column("seen_offset", BigInteger),
)
IS_OPEN: Final = JOBS.c.finished_at.is_(None)
IS_WAITING: Final = IS_OPEN & JOBS.c.sent_at.is_(None)
HAS_NOT_LEFT: Final = (
    IS_WAITING
    & JOBS.c.seq.is_(None)
    & JOBS.c.state.not_in([FleetJobState.ACCEPTED, FleetJobState.RUNNING, FleetJobState.CANCELING])
)
"""See `domain.fleet.changes.has_not_left`. Said so that no index of states can be taken for it."""
IS_AWAITED: Final = JOBS.c.awaits_result.is_(true())
IS_PRUNABLE: Final = JOBS.c.finished_at.is_not(None) & JOBS.c.payload.is_not(None)
Index("jobs_by_host", JOBS.c.host_id, JOBS.c.place)
Index("jobs_by_project", JOBS.c.project_key, JOBS.c.place)
Index("jobs_by_deployment", JOBS.c.deployment, JOBS.c.place)
Index("jobs_by_state", JOBS.c.state, JOBS.c.place)
# What each begins with is always the same in it: without statistics, SQLite would rather take an index
# of which it cannot see that it holds all that ever was.
for _name, _columns, _where in (
    ("open_jobs", (JOBS.c.finished_at, JOBS.c.host_id, JOBS.c.place), IS_OPEN),
    ("waiting_jobs", (JOBS.c.finished_at, JOBS.c.sent_at, JOBS.c.created_at), IS_WAITING),
    ("expiring_jobs", (JOBS.c.finished_at, JOBS.c.sent_at, JOBS.c.expires_at), IS_WAITING),
    ("awaited_jobs", (JOBS.c.awaits_result, JOBS.c.host_id), IS_AWAITED),
    ("prunable_jobs", (JOBS.c.finished_at, JOBS.c.place), IS_PRUNABLE),
):
    Index(_name, *_columns, sqlite_where=_where, postgresql_where=_where)

RESULTS: Final = Table(
    "results",
    METADATA,
    Column("job", PLACE, ForeignKey("jobs.place"), primary_key=True, autoincrement=False),
    Column("logs", EscapedText, nullable=False),
    Column("error", EscapedText, nullable=False),
    Column("data", JsonText, nullable=False),
    Column("output", JsonText, nullable=False),
)

PRINTED: Final = Table(
    "printed",
    METADATA,
    Column("job", BigInteger, ForeignKey("jobs.place"), primary_key=True),
    Column("step", EscapedText, primary_key=True),
    Column("attempt", BigInteger, primary_key=True),
    Column("ends_at", BigInteger, nullable=False),
)

FEED: Final = Table(
    "feed",
    METADATA,
    Column("number", PLACE, primary_key=True, autoincrement=False),
    Column("job", BigInteger, ForeignKey("jobs.place"), nullable=False),
    Column("deployment", BigInteger, ForeignKey("deployments.place")),
    Column("at", Double, nullable=False),
    Column("kind", PLAIN_TEXT, nullable=False),
    Column("state", PLAIN_TEXT),
    Column("step", EscapedText, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("begins_at", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
Index("feed_by_job", FEED.c.job, FEED.c.number)
_OF_DEPLOYMENT = FEED.c.deployment.is_not(None)
Index(
    "feed_by_deployment",
    FEED.c.deployment,
    FEED.c.number,
    sqlite_where=_OF_DEPLOYMENT,
    postgresql_where=_OF_DEPLOYMENT,
)

LINKS: Final = Table(
    "links",
    METADATA,
    Column("host_id", EscapedText, ForeignKey("hosts.id"), primary_key=True),
    Column("agent_epoch", EscapedText, nullable=False),
    Column("heard", BigInteger, nullable=False),
    Column("next_seq", BigInteger, nullable=False),
    Column("confirmed", BigInteger, nullable=False),
)

OUTGOING: Final = Table(
    "outgoing",
    METADATA,
    Column("host_id", EscapedText, ForeignKey("hosts.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("kind", PLAIN_TEXT, nullable=False),
    Column("job", BigInteger, ForeignKey("jobs.place"), nullable=False, index=True),
)

GENERATIONS: Final = Table(
    "generations",
    METADATA,
    Column("host_id", EscapedText, ForeignKey("hosts.id"), primary_key=True),
    Column("project_key", EscapedText, primary_key=True),
    Column("highest", BigInteger, nullable=False),
)

REMEMBERED: Final = Table(
    "remembered",
    METADATA,
    Column("principal", EscapedText, primary_key=True),
    Column("key", EscapedText, primary_key=True),
    Column("digest", EscapedText, nullable=False),
    Column("answer", EscapedText, nullable=False),
    Column("at", Double, nullable=False, index=True),
)

USERS: Final = Table(
    "users",
    METADATA,
    Column("id", EscapedText, primary_key=True),
    Column("name", EscapedText, nullable=False),
    Column("name_key", EscapedText, nullable=False),
    Column("grants", JsonText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("password_hash", PLAIN_TEXT),
    Column("is_disabled", Boolean, nullable=False),
    Column("removed_at", Double),
)
IS_THERE: Final = USERS.c.removed_at.is_(None)
"""Users that are removed stay, so that set-up stays closed, and ids are not used again."""
Index("users_by_name", USERS.c.name_key, USERS.c.id)
Index(
    "one_user_a_name",
    USERS.c.name_key,
    unique=True,
    sqlite_where=IS_THERE,
    postgresql_where=IS_THERE,
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("place", PLACE, primary_key=True, autoincrement=False),
    Column("id", EscapedText, nullable=False, unique=True),
    Column("user_id", EscapedText, ForeignKey("users.id"), nullable=False),
    Column("name", EscapedText, nullable=False),
    Column("kind", PLAIN_TEXT, nullable=False),
    Column("token_hash", EscapedText, nullable=False, unique=True),
    Column("scope", JsonText),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, index=True),
    Column("last_used_at", Double),
)
Index("tokens_by_user", TOKENS.c.user_id, TOKENS.c.place)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("place", PLACE, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("who", EscapedText, nullable=False),
    Column("address", EscapedText, nullable=False),
    Column("token_id", EscapedText, nullable=False),
    Column("action", EscapedText, nullable=False),
    Column("outcome", EscapedText, nullable=False),
    Column("host_id", EscapedText),
    Column("host", EscapedText, nullable=False),
    Column("project", EscapedText, nullable=False),
    Column("job_id", EscapedText, nullable=False),
    Column("deployment_id", EscapedText, nullable=False),
    Column("target", EscapedText, nullable=False),
    Column("detail", JsonText, nullable=False),
    Column("previous_hash", PLAIN_TEXT, nullable=False),
    Column("hash", PLAIN_TEXT, nullable=False),
)
"""Triggers refuse to change or to delete anything in it."""
Index("audit_by_who", AUDIT.c.who, AUDIT.c.place)
Index("audit_by_host_id", AUDIT.c.host_id, AUDIT.c.place)
