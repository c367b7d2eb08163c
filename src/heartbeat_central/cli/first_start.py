"""The first start: makes the operator's account, or the link that lets them make it."""

from datetime import datetime
from typing import TYPE_CHECKING

from heartbeat_central.domain.errors import Conflict, FieldError, Invalid

if TYPE_CHECKING:
    from heartbeat_central.settings import Settings
    from heartbeat_central.storage.engine import Database


def prepare_first_start(
    database: "Database", settings: "Settings", secret_key: str, now: datetime
) -> str | None:
    """Return the one-time URL to make the first account with; None when there is an account.

    ADMIN_EMAIL and ADMIN_PASSWORD make that account here. Raises Invalid when they won't do.
    """
    from heartbeat_central.services import manage_accounts
    from heartbeat_central.services.setup_link import setup_url

    if manage_accounts.count_users(database) > 0:
        return None
    if settings.admin_email is None or settings.admin_password is None:
        return setup_url(settings.base_url, secret_key)
    try:
        manage_accounts.create_first_account(
            database, settings.admin_email, settings.admin_password.get_secret_value(), now=now
        )
    except Conflict:
        # Another node that started at the same moment was quicker.
        return None
    except Invalid as invalid:
        raise Invalid(
            FieldError(f"ADMIN_{error.field.upper()}", error.message) for error in invalid.errors
        ) from invalid
    return None
