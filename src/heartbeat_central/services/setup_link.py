"""The one-time link with which the first account is made.

Derived from SECRET_KEY instead of stored, so that every node knows it and a restart prints the same
one. It works only while there is no account.
"""

import base64
import hashlib
import hmac


def setup_token(secret_key: str) -> str:
    """Return the token of the set-up link."""
    digest = hmac.new(secret_key.encode(), b"heartbeat-central first account", hashlib.sha256)
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")


def setup_url(base_url: str, secret_key: str) -> str:
    """Return the set-up link."""
    return f"{base_url}/setup?token={setup_token(secret_key)}"


def is_setup_token(secret_key: str, token: str) -> bool:
    """Return whether `token` is the set-up link's."""
    return hmac.compare_digest(setup_token(secret_key).encode(), token.encode("utf-8", "replace"))
