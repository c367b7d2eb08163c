"""Alerts to any of the services that the Apprise library knows."""
