"""Headers that answers need whatever the view does."""

from flask import Response


def unstored(response: Response) -> Response:
    """Keep caches from storing what is behind a key, or true for this moment only."""
    response.headers["Cache-Control"] = "no-store"
    if response.status_code == 204:
        response.headers.pop("Content-Type", None)
    return response
