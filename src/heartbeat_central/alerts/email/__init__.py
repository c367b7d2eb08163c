"""Alerts as e-mail, over SMTP."""
