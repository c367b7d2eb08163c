"""Who may do what: projects, people, their sessions, keys.

Applications, channels, keys and members belong to a project from the start.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    Uuid,
    text,
)

from heartbeat_central.storage.tables.base import metadata
from heartbeat_central.storage.types import Key, Moment

projects = Table(
    "projects",
    metadata,
    Column("id", Key, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
    # Counts what people change of its applications, for open pages to hear of. Heartbeats leave it alone.
    Column("changes", BigInteger, nullable=False, server_default=text("0")),
    # When channels were last told of applications that can't be watched.
    Column("problems_told_at", Moment),
    sqlite_autoincrement=True,
)

users = Table(
    "users",
    metadata,
    Column("id", Key, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

members = Table(
    "members",
    metadata,
    Column("project_id", Key, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Key, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(20), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("user_id", Key, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
)

sign_in_tries = Table(
    "sign_in_tries",
    metadata,
    Column("id", Key, primary_key=True),
    Column("subject", LargeBinary(32), nullable=False, comment="SHA-256 of account and address"),
    Column("tried_at", Moment, nullable=False, index=True),
    Index(None, "subject", "tried_at"),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("scope", String(10), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("key_hash", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    sqlite_autoincrement=True,
)
