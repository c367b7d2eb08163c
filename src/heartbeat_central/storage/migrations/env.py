"""Called by Alembic; the connection comes from storage.migrate, inside its transaction and lock."""

from alembic import context

from heartbeat_central.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
