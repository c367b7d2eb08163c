"""Alembic migrations. Each runs on SQLite and on PostgreSQL."""
