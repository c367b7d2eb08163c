"""A webhook's body, about as long as those of the service."""

import json

BODY = json.dumps(
    {
        "event": "down",
        "application": {
            "id": 1,
            "uuid": "9e3779b1-0000-4000-8000-000000000001",
            "name": "Application 1",
            "description": "x" * 300,
        },
        "incident": {"id": 1, "reason": "missed", "opened_at": "2026-11-23T12:00:00+00:00"},
        "delivery_id": "00000000-0000-4000-8000-000000000000",
        "text": "x" * 200,
    }
).encode()
