"""Fixtures for faults that are injected without a process of the service."""

from tests.integration.conftest import world

__all__ = ["world"]
