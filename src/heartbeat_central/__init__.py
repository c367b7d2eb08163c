"""Heartbeat Central: notices when an application or a scheduled job falls silent, and tells people."""

__version__ = "0.1.0"
