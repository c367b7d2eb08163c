"""Signing as Standard Webhooks does: https://www.standardwebhooks.com, version 1."""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Return the bytes to sign with: those that follow `whsec_` in base64, else the UTF-8 text.

    Raises ValueError when what follows `whsec_` is not base64.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError(f"must have base64 after `{PREFIX}`, or not begin with it")
    return key


def signed_headers(*, secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return `webhook-timestamp` (whole seconds) and `webhook-signature` for a body."""
    timestamp = str(int(at.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key_of(secret), content, hashlib.sha256).digest()
    return {
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
