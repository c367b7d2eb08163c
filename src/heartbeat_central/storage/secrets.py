"""Secrets at rest: channel configurations, encrypted with keys derived from SECRET_KEY."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from heartbeat_central.domain.errors import HeartbeatCentralError


class WrongSecretKey(HeartbeatCentralError):
    """SECRET_KEY differs from the one that encrypted this; set the former key again."""


class SecretBox:
    """Seals with the first of `keys`, opens with any of them."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(_derived(key)) for key in keys])

    def seal(self, secret: Mapping[str, Any]) -> str:
        """Return `secret` encrypted, as text."""
        return self._fernet.encrypt(json.dumps(dict(secret)).encode()).decode()

    def opens(self, sealed: str) -> bool:
        """Return whether one of the keys opens it."""
        try:
            self.open(sealed)
        except WrongSecretKey:
            return False
        return True

    def open(self, sealed: str) -> dict[str, Any]:
        """Return what `seal` was given. Raises WrongSecretKey."""
        # ValueError: what is no token at all, when a row was damaged.
        try:
            opened = json.loads(self._fernet.decrypt(sealed))
        except (InvalidToken, ValueError) as error:
            raise WrongSecretKey(
                "SECRET_KEY is not the one this configuration was encrypted with; "
                "set the former SECRET_KEY, or enter the channel's configuration anew"
            ) from error
        if not isinstance(opened, dict):
            raise WrongSecretKey("what is stored is no configuration; enter it anew")
        return opened


def _derived(key: str) -> bytes:
    # A key of its own for this use, so that what SECRET_KEY signs elsewhere opens nothing here.
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"heartbeat-central channel secrets")
    return base64.urlsafe_b64encode(kdf.derive(key.encode()))
