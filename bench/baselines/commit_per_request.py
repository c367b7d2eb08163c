"""The plain way to record heartbeats: Flask, one ORM session and one commit for each request.

Served by gunicorn with threads. It keeps the same promise, 200 only after COMMIT, and does the least
that one would: look the application up, remember when it was heard, add a row of history.
"""

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import Flask, jsonify, request
from sqlalchemy import (
    DateTime,
    Engine,
    ForeignKey,
    LargeBinary,
    String,
    create_engine,
    event,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.data import uuid_of


class Base(DeclarativeBase):
    pass


class Application(Base):
    __tablename__ = "applications"

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[UUID] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(String(200))
    expected_interval: Mapped[int]
    status: Mapped[str] = mapped_column(String(10))
    last_heartbeat: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Heartbeat(Base):
    __tablename__ = "heartbeats"

    id: Mapped[int] = mapped_column(primary_key=True)
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"), index=True)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    remote_address: Mapped[str | None] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(256))
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


class Incident(Base):
    __tablename__ = "incidents"

    id: Mapped[int] = mapped_column(primary_key=True)
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"), index=True)
    opened_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def fill(url: str, applications: int, *, overdue: int = 0) -> None:
    """Make the tables and the applications, with the uuids that the load goes to."""
    now = datetime.now(UTC)
    engine = engine_for(url, threads=1)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(
            Application(
                uuid=uuid_of(number),
                name=f"Application {number}",
                expected_interval=60,
                status="up",
                last_heartbeat=now - timedelta(days=1) if number <= overdue else now,
            )
            for number in range(1, applications + 1)
        )
        session.commit()
    engine.dispose()


def create_app() -> Flask:
    """Return the application; gunicorn calls it in each worker."""
    app = Flask(__name__)
    engine = engine_for(os.environ["DATABASE_URL"], threads=int(os.environ["THREADS"]))

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ok"}

    @app.route("/heartbeat/<uuid:uuid>", methods=["GET", "POST"])
    def heartbeat(uuid: UUID):  # type: ignore[no-untyped-def]
        received_at = datetime.now(UTC)
        with Session(engine) as session:
            application = session.scalars(
                select(Application).where(Application.uuid == uuid)
            ).one_or_none()
            if application is None:
                return jsonify(error="no such application"), 404
            application.last_heartbeat = received_at
            session.add(
                Heartbeat(
                    application_id=application.id,
                    received_at=received_at,
                    remote_address=request.remote_addr,
                    user_agent=request.user_agent.string,
                    body=request.get_data() or None,
                )
            )
            session.commit()
        return jsonify(status="ok", timestamp=received_at.isoformat())

    return app


def engine_for(url: str, *, threads: int) -> Engine:
    """Return an engine with one connection for each thread."""
    if not url.startswith("sqlite"):
        address = url.replace("postgresql://", "postgresql+psycopg://")
        return create_engine(address, pool_size=threads, max_overflow=0)
    engine = create_engine(
        url, pool_size=threads, connect_args={"timeout": 30, "isolation_level": None}
    )

    @event.listens_for(engine, "connect")
    def configure(connection, _record):  # type: ignore[no-untyped-def]
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin(connection):  # type: ignore[no-untyped-def]
        # Each of them writes: a read lock that is upgraded later fails instead of waiting.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
