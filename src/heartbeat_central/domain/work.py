"""The kinds of work that a process may do: all of them, or one beside processes for the others."""

from enum import StrEnum


class Work(StrEnum):
    """One kind of work; the value is what `serve --only` takes."""

    RECORD = "record"
    """Take heartbeats and store them."""
    WEB = "web"
    """Show the pages and answer the REST API."""
    MONITOR = "monitor"
    """Notice silent applications, tell people, and keep house."""


EVERYTHING = frozenset(Work)
