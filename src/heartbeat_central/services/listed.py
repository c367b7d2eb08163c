"""What the list of a digest says of an application, whatever is stored of it."""

from datetime import datetime

import structlog

from heartbeat_central.domain.application import Application
from heartbeat_central.domain.digest import ListedApplication
from heartbeat_central.domain.state import Shown, State
from heartbeat_central.domain.view import application_view

log = structlog.get_logger(__name__)


def listed(
    application: Application, state: State, *, now: datetime, base_url: str
) -> ListedApplication:
    """Return the application as a list shows it.

    One that can't be shown as it is at `now` is listed by what is stored: the others, and those who are to
    hear of them, must not pay for it.
    """
    try:
        return ListedApplication.of(
            application_view(application, state, now=now, base_url=base_url)
        )
    except Exception:
        log.exception("application_not_shown", application=application.id)
        return ListedApplication(
            id=application.id,
            uuid=application.uuid,
            name=application.settings.name,
            slug=application.settings.slug,
            tags=application.settings.tags,
            status=Shown(state.status),
            last_heartbeat=state.last_heartbeat_at,
            problem=application.problem,
        )
