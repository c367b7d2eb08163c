"""Alerts to Discord, through a channel's webhook."""
