"""The list of applications, whole and as the fragment that keeps itself up to date."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from heartbeat_central.domain.state import Shown
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services.list_applications import list_applications
from heartbeat_central.services.read_history import count_undelivered
from heartbeat_central.web.context import context
from heartbeat_central.web.query import id_of, text_of
from heartbeat_central.web.rendering import STATUSES
from heartbeat_central.web.session import project_id

blueprint = Blueprint("dashboard", __name__)

PAGE = 50
"""Rows on a page: what one can look over, and cheap however many applications there are."""
MOST_PRESSING = 10
"""Rows of the part that shows what is down, when not all applications fit on one page."""
MOST_UNDELIVERED = 100
"""Alerts that did not arrive; more are not counted."""
_URGENCY = {status: place for place, status in enumerate(STATUSES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which applications to show; the page's whole query string."""

    search: str = ""
    status: Shown | None = None
    tag: str = ""
    before: int | None = None
    """Only those older than this one: the next page."""

    @property
    def any(self) -> bool:
        """Return whether some applications may be left out on purpose."""
        return bool(self.search or self.status or self.tag)

    def link(self, endpoint: str = "index", **changes: Any) -> str:
        """Return the address with these filters and changes. Another filter begins at page one."""
        given = {
            "search": self.search,
            "status": self.status.value if self.status else None,
            "tag": self.tag,
            "before": None if changes else self.before,
            **changes,
        }
        values: dict[str, Any] = {name: str(value) for name, value in given.items() if value}
        return url_for(f"web.private.dashboard.{endpoint}", **values)


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """Show the dashboard."""
    return render_template("dashboard.html", **_listing())


@blueprint.get("/fragments/applications")
def fragment() -> ResponseReturnValue:
    """Return the list alone, and the address that shows the same as a page."""
    listing = _listing()
    page = render_template("_applications.html", **listing)
    return page, {"HX-Replace-Url": listing["filters"].link()}


def _listing() -> dict[str, Any]:
    filters = _filters()
    counts = context().status_counts.of(project_id(), now=context().clock())
    # One more than is shown tells whether there is a next page.
    rows = _list(filters, limit=PAGE + 1, before_id=filters.before)
    shown, more = rows[:PAGE], len(rows) > PAGE
    pressing: Sequence[ApplicationView] = ()
    if not more and filters.before is None:
        shown = sorted(shown, key=_pressing_first)
    elif counts[Shown.DOWN] and not filters.any and filters.before is None:
        pressing = _list(Filters(status=Shown.DOWN), limit=MOST_PRESSING, before_id=None)
    return {
        "filters": filters,
        "counts": {status: counts[Shown(status)] for status in STATUSES},
        "total": sum(counts.values()),
        "applications": shown,
        "pressing": pressing,
        "next_before": shown[-1].id if more else None,
        "undelivered": count_undelivered(context().database, project_id(), most=MOST_UNDELIVERED),
    }


def _pressing_first(view: ApplicationView) -> tuple[bool, int, str]:
    # What can't be watched may be down: nobody knows.
    return view.problem is None, _URGENCY[view.status], view.name.lower()


def _filters() -> Filters:
    status = text_of("status")
    return Filters(
        search=text_of("search"),
        status=Shown(status) if status in STATUSES else None,
        tag=text_of("tag"),
        before=id_of("before"),
    )


def _list(filters: Filters, *, limit: int, before_id: int | None) -> list[ApplicationView]:
    return list_applications(
        context().database,
        project_id(),
        now=context().clock(),
        base_url=context().base_url,
        search=filters.search,
        status=filters.status,
        tag=filters.tag or None,
        limit=limit,
        before_id=before_id,
    )
