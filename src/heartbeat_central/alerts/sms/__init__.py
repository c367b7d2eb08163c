"""Alerts as text messages, through Twilio."""
