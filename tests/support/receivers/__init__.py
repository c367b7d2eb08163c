"""Local receivers of alerts: real HTTP and SMTP servers that can misbehave in every usual way."""
