"""Users and their tokens, and the audit trail.

The administrator's token of before is one of a user `administrator`, who has no password.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_PLACE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_GENESIS = "0" * 64

_TABLES = sa.MetaData(
    naming_convention={
        "ix": "%(table_name)s_by_%(column_0_name)s",
        "uq": "one_of_%(table_name)s_a_%(column_0_name)s",
        "fk": "%(table_name)s_%(column_0_name)s_of_%(referred_table_name)s",
        "pk": "%(table_name)s_key",
    }
)

_users = sa.Table(
    "users",
    _TABLES,
    sa.Column("id", _TEXT, primary_key=True),
    sa.Column("name", _TEXT, nullable=False),
    sa.Column("name_key", _TEXT, nullable=False),
    sa.Column("grants", _TEXT, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("password_hash", _TEXT),
    sa.Column("is_disabled", sa.Boolean, nullable=False),
    sa.Column("removed_at", sa.Double),
)
_IS_THERE = _users.c.removed_at.is_(None)
sa.Index("users_by_name", _users.c.name_key, _users.c.id)
sa.Index(
    "one_user_a_name",
    _users.c.name_key,
    unique=True,
    sqlite_where=_IS_THERE,
    postgresql_where=_IS_THERE,
)

_tokens = sa.Table(
    "tokens",
    _TABLES,
    sa.Column("place", _PLACE, primary_key=True, autoincrement=False),
    sa.Column("id", _TEXT, nullable=False, unique=True),
    sa.Column("user_id", _TEXT, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("name", _TEXT, nullable=False),
    sa.Column("kind", _TEXT, nullable=False),
    sa.Column("token_hash", _TEXT, nullable=False, unique=True),
    sa.Column("scope", _TEXT),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, index=True),
    sa.Column("last_used_at", sa.Double),
)
sa.Index("tokens_by_user", _tokens.c.user_id, _tokens.c.place)

_audit = sa.Table(
    "audit",
    _TABLES,
    sa.Column("place", _PLACE, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("who", _TEXT, nullable=False),
    sa.Column("address", _TEXT, nullable=False),
    sa.Column("token_id", _TEXT, nullable=False),
    sa.Column("action", _TEXT, nullable=False),
    sa.Column("outcome", _TEXT, nullable=False),
    sa.Column("host_id", _TEXT),
    sa.Column("host", _TEXT, nullable=False),
    sa.Column("project", _TEXT, nullable=False),
    sa.Column("job_id", _TEXT, nullable=False),
    sa.Column("deployment_id", _TEXT, nullable=False),
    sa.Column("target", _TEXT, nullable=False),
    sa.Column("detail", _TEXT, nullable=False),
    sa.Column("previous_hash", _TEXT, nullable=False),
    sa.Column("hash", _TEXT, nullable=False),
)
sa.Index("audit_by_who", _audit.c.who, _audit.c.place)
sa.Index("audit_by_host_id", _audit.c.host_id, _audit.c.place)

_access_tokens = sa.table(
    "access_tokens",
    sa.column("id"),
    sa.column("name"),
    sa.column("token_hash"),
    sa.column("created_at"),
)

_remembered = sa.table("remembered", sa.column("principal"))

_ONLY_ADDED_TO = "the audit trail is only ever added to"
_TRIGGERS = {
    "sqlite": (
        *(
            f"CREATE TRIGGER audit_refuses_{verb} BEFORE {verb} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{_ONLY_ADDED_TO}'); END"
            for verb in ("UPDATE", "DELETE")
        ),
    ),
    "postgresql": (
        (
            "CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_ONLY_ADDED_TO}'; END $$"
        ),
        (
            "CREATE TRIGGER audit_refuses_change BEFORE UPDATE OR DELETE ON audit "
            "FOR EACH ROW EXECUTE FUNCTION audit_refuses()"
        ),
        (
            "CREATE TRIGGER audit_refuses_truncate BEFORE TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses()"
        ),
    ),
}


def upgrade() -> None:
    """From the first tables."""
    connection = op.get_bind()
    _TABLES.create_all(connection, checkfirst=False)
    op.add_column(
        "book", sa.Column("audit_number", sa.BigInteger, nullable=False, server_default="0")
    )
    op.add_column("book", sa.Column("audit_hash", _TEXT, nullable=False, server_default=_GENESIS))
    for token in connection.execute(sa.select(_access_tokens)).all():
        _keep(connection, token)
    op.drop_table("access_tokens")
    for trigger in _TRIGGERS[connection.dialect.name]:
        op.execute(trigger)


def _keep(connection: sa.Connection, token: sa.Row[tuple[str, str, str, float]]) -> None:
    """There is one at most, the administrator's."""
    user = {
        "id": "user_administrator",
        "name": "administrator",
        "name_key": "administrator",
        "grants": '[{"role": "admin", "labels": {}}]',
        "created_at": token.created_at,
        "is_disabled": False,
    }
    connection.execute(_users.insert(), user)
    kept = {
        "place": 0,
        "id": token.id,
        "user_id": user["id"],
        "name": token.name,
        "kind": "api",
        "token_hash": token.token_hash,
        "created_at": token.created_at,
    }
    connection.execute(_tokens.insert(), kept)
    # Idempotency keys are a user's now: what was accepted before must not be done again.
    keys = sa.update(_remembered).where(_remembered.c.principal == token.id)
    connection.execute(keys.values(principal=user["id"]))
