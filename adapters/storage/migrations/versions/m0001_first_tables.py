"""The first tables: hosts, enrolments, deployments, jobs, what is said and heard, and access tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_PLACE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_TABLES = sa.MetaData(
    naming_convention={
        "ix": "%(table_name)s_by_%(column_0_name)s",
        "uq": "one_of_%(table_name)s_a_%(column_0_name)s",
        "fk": "%(table_name)s_%(column_0_name)s_of_%(referred_table_name)s",
        "pk": "%(table_name)s_key",
    }
)

_book = sa.Table(
    "book",
    _TABLES,
    sa.Column("one", _PLACE, primary_key=True, autoincrement=False),
    sa.Column("epoch", _TEXT, nullable=False),
    sa.Column("next_number", sa.BigInteger, nullable=False),
    sa.Column("commits", sa.BigInteger, nullable=False),
)

_hosts = sa.Table(
    "hosts",
    _TABLES,
    sa.Column("id", _TEXT, primary_key=True),
    sa.Column("name", _TEXT, nullable=False),
    sa.Column("name_key", _TEXT, nullable=False),
    sa.Column("labels", _TEXT, nullable=False),
    sa.Column("credential", _TEXT, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("public_key", _TEXT, nullable=False),
    sa.Column("token_hash", _TEXT),
    sa.Column("revoked_at", sa.Double),
    sa.Column("clone_suspected_at", sa.Double),
    sa.Column("report", _TEXT),
)
_LIVE = _hosts.c.revoked_at.is_(None)
sa.Index("hosts_by_name", _hosts.c.name_key, _hosts.c.id)
sa.Index(
    "one_live_host_a_name",
    _hosts.c.name_key,
    unique=True,
    sqlite_where=_LIVE,
    postgresql_where=_LIVE,
)
_WITH_KEY = _hosts.c.public_key != ""
sa.Index(
    "one_host_a_key",
    _hosts.c.public_key,
    unique=True,
    sqlite_where=_WITH_KEY,
    postgresql_where=_WITH_KEY,
)
sa.Index("one_host_a_token", _hosts.c.token_hash, unique=True)

_host_labels = sa.Table(
    "host_labels",
    _TABLES,
    sa.Column("host_id", _TEXT, sa.ForeignKey("hosts.id"), primary_key=True),
    sa.Column("key", _TEXT, primary_key=True),
    sa.Column("value", _TEXT, nullable=False),
)
sa.Index("hosts_by_label", _host_labels.c.key, _host_labels.c.value, _host_labels.c.host_id)

_enrolments = sa.Table(
    "enrolments",
    _TABLES,
    sa.Column("place", _PLACE, primary_key=True, autoincrement=False),
    sa.Column("id", _TEXT, nullable=False, unique=True),
    sa.Column("name", _TEXT, nullable=False),
    sa.Column("name_key", _TEXT, nullable=False, index=True),
    sa.Column("labels", _TEXT, nullable=False),
    sa.Column("token_hash", _TEXT, nullable=False, unique=True),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("created_by", _TEXT, nullable=False),
    sa.Column("used_at", sa.Double),
    sa.Column("host_id", _TEXT, sa.ForeignKey("hosts.id")),
    sa.Column("is_withdrawn", sa.Boolean, nullable=False),
)

_deployments = sa.Table(
    "deployments",
    _TABLES,
    sa.Column("place", _PLACE, primary_key=True, autoincrement=False),
    sa.Column("id", _TEXT, nullable=False, unique=True),
    sa.Column("project", _TEXT, nullable=False),
    sa.Column("project_key", _TEXT, nullable=False),
    sa.Column("selector", _TEXT, nullable=False),
    sa.Column("digest", _TEXT, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("requested_by", _TEXT, nullable=False),
    sa.Column("redeploy_of", _TEXT),
    sa.Column("summary", _TEXT, nullable=False),
)
sa.Index("deployments_by_project", _deployments.c.project_key, _deployments.c.place)

_payloads = sa.Table(
    "payloads",
    _TABLES,
    sa.Column("place", _PLACE, primary_key=True, autoincrement=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

_jobs = sa.Table(
    "jobs",
    _TABLES,
    sa.Column("place", _PLACE, primary_key=True, autoincrement=False),
    sa.Column("id", _TEXT, nullable=False, unique=True),
    sa.Column("host_id", _TEXT, sa.ForeignKey("hosts.id"), nullable=False),
    sa.Column("kind", _TEXT, nullable=False),
    sa.Column("project", _TEXT),
    sa.Column("project_key", _TEXT),
    sa.Column("state", _TEXT, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("requested_by", _TEXT, nullable=False),
    sa.Column("deployment_id", _TEXT),
    sa.Column("deployment", sa.BigInteger, sa.ForeignKey("deployments.place")),
    sa.Column("expires_at", sa.Double),
    sa.Column("deadline_s", sa.Double),
    sa.Column("generation", sa.BigInteger),
    sa.Column("seq", sa.BigInteger),
    sa.Column("sent_at", sa.Double),
    sa.Column("accepted_at", sa.Double),
    sa.Column("started_at", sa.Double),
    sa.Column("finished_at", sa.Double),
    sa.Column("cancel_requested_at", sa.Double),
    sa.Column("reason", _TEXT, nullable=False),
    sa.Column("error", _TEXT, nullable=False),
    sa.Column("superseded_by", _TEXT, nullable=False),
    sa.Column("payload", sa.BigInteger, sa.ForeignKey("payloads.place"), index=True),
    sa.Column("awaits_result", sa.Boolean, nullable=False),
    sa.Column("seen_step", _TEXT),
    sa.Column("seen_attempt", sa.BigInteger),
    sa.Column("seen_offset", sa.BigInteger),
)
_is_open = _jobs.c.finished_at.is_(None)
_is_waiting = _is_open & _jobs.c.sent_at.is_(None)
_is_awaited = _jobs.c.awaits_result.is_(sa.true())
_is_prunable = _jobs.c.finished_at.is_not(None) & _jobs.c.payload.is_not(None)
sa.Index("jobs_by_host", _jobs.c.host_id, _jobs.c.place)
sa.Index("jobs_by_project", _jobs.c.project_key, _jobs.c.place)
sa.Index("jobs_by_deployment", _jobs.c.deployment, _jobs.c.place)
sa.Index("jobs_by_state", _jobs.c.state, _jobs.c.place)
# What each begins with is always the same in it: without statistics, SQLite would rather take an index
# of which it cannot see that it holds all that ever was.
for _name, _columns, _where in (
    ("open_jobs", (_jobs.c.finished_at, _jobs.c.host_id, _jobs.c.place), _is_open),
    ("waiting_jobs", (_jobs.c.finished_at, _jobs.c.sent_at, _jobs.c.created_at), _is_waiting),
    ("expiring_jobs", (_jobs.c.finished_at, _jobs.c.sent_at, _jobs.c.expires_at), _is_waiting),
    ("awaited_jobs", (_jobs.c.awaits_result, _jobs.c.host_id), _is_awaited),
    ("prunable_jobs", (_jobs.c.finished_at, _jobs.c.place), _is_prunable),
):
    sa.Index(_name, *_columns, sqlite_where=_where, postgresql_where=_where)

_results = sa.Table(
    "results",
    _TABLES,
    sa.Column("job", _PLACE, sa.ForeignKey("jobs.place"), primary_key=True, autoincrement=False),
    sa.Column("logs", _TEXT, nullable=False),
    sa.Column("error", _TEXT, nullable=False),
    sa.Column("data", _TEXT, nullable=False),
    sa.Column("output", _TEXT, nullable=False),
)

_printed = sa.Table(
    "printed",
    _TABLES,
    sa.Column("job", sa.BigInteger, sa.ForeignKey("jobs.place"), primary_key=True),
    sa.Column("step", _TEXT, primary_key=True),
    sa.Column("attempt", sa.BigInteger, primary_key=True),
    sa.Column("ends_at", sa.BigInteger, nullable=False),
)

_feed = sa.Table(
    "feed",
    _TABLES,
    sa.Column("number", _PLACE, primary_key=True, autoincrement=False),
    sa.Column("job", sa.BigInteger, sa.ForeignKey("jobs.place"), nullable=False),
    sa.Column("deployment", sa.BigInteger, sa.ForeignKey("deployments.place")),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", _TEXT, nullable=False),
    sa.Column("state", _TEXT),
    sa.Column("step", _TEXT, nullable=False),
    sa.Column("attempt", sa.BigInteger, nullable=False),
    sa.Column("begins_at", sa.BigInteger, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
sa.Index("feed_by_job", _feed.c.job, _feed.c.number)
_OF_DEPLOYMENT = _feed.c.deployment.is_not(None)
sa.Index(
    "feed_by_deployment",
    _feed.c.deployment,
    _feed.c.number,
    sqlite_where=_OF_DEPLOYMENT,
    postgresql_where=_OF_DEPLOYMENT,
)

_links = sa.Table(
    "links",
    _TABLES,
    sa.Column("host_id", _TEXT, sa.ForeignKey("hosts.id"), primary_key=True),
    sa.Column("agent_epoch", _TEXT, nullable=False),
    sa.Column("heard", sa.BigInteger, nullable=False),
    sa.Column("next_seq", sa.BigInteger, nullable=False),
    sa.Column("confirmed", sa.BigInteger, nullable=False),
)

_outgoing = sa.Table(
    "outgoing",
    _TABLES,
    sa.Column("host_id", _TEXT, sa.ForeignKey("hosts.id"), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("kind", _TEXT, nullable=False),
    sa.Column("job", sa.BigInteger, sa.ForeignKey("jobs.place"), nullable=False, index=True),
)

_generations = sa.Table(
    "generations",
    _TABLES,
    sa.Column("host_id", _TEXT, sa.ForeignKey("hosts.id"), primary_key=True),
    sa.Column("project_key", _TEXT, primary_key=True),
    sa.Column("highest", sa.BigInteger, nullable=False),
)

_remembered = sa.Table(
    "remembered",
    _TABLES,
    sa.Column("principal", _TEXT, primary_key=True),
    sa.Column("key", _TEXT, primary_key=True),
    sa.Column("digest", _TEXT, nullable=False),
    sa.Column("answer", _TEXT, nullable=False),
    sa.Column("at", sa.Double, nullable=False, index=True),
)

_access_tokens = sa.Table(
    "access_tokens",
    _TABLES,
    sa.Column("id", _TEXT, primary_key=True),
    sa.Column("name", _TEXT, nullable=False),
    sa.Column("token_hash", _TEXT, nullable=False, unique=True),
    sa.Column("created_at", sa.Double, nullable=False),
)


def upgrade() -> None:
    """From an empty database."""
    _TABLES.create_all(op.get_bind(), checkfirst=False)
