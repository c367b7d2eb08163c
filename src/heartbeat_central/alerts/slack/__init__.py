"""Alerts to Slack, through an incoming webhook."""
