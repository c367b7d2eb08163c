"""Types and checks that plugins share for what people enter."""

import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from heartbeat_central.alerts.urls import parse_http_url

MASK = "********"
"""What is shown instead of a secret. Sent back, it leaves the stored secret alone."""


class SecretUrl(SecretStr):
    """A URL that holds a token: whoever knows it can post. Its scheme and host may be shown."""

    def masked(self) -> str:
        """Return `https://hooks.slack.com/********`."""
        shown = re.match(r"[a-z]+://[^/?#@\s]+(?=[/?#]|$)", self.get_secret_value(), re.I)
        return f"{shown[0]}/{MASK}" if shown else MASK


def _http_url(url: str) -> str:
    parse_http_url(url)
    return url


def _secret_http_url(url: SecretUrl) -> SecretUrl:
    parse_http_url(url.get_secret_value())
    return url


HttpUrl = Annotated[str, AfterValidator(_http_url)]
"""An http or https URL that is no secret."""
SecretHttpUrl = Annotated[SecretUrl, AfterValidator(_secret_http_url)]
"""An http or https URL with a token in it."""
