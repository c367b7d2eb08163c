"""What a receiver's answer means: delivered, try again, or never. Status codes are data here."""

import base64
import binascii
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from heartbeat_central.alerts.http import HttpClient, HttpRequest, HttpResponse
from heartbeat_central.alerts.urls import parse_http_url
from heartbeat_central.alerts.words import excerpt
from heartbeat_central.domain.errors import PermanentFailure, TemporaryFailure

LONGEST_WAIT = timedelta(hours=24)
"""A longer Retry-After counts as this; by then the delivery is a dead letter anyway."""


class Verdict(Enum):
    """What follows from an answer."""

    DELIVERED = "delivered"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"


BY_STATUS: Mapping[int, Verdict] = {
    408: Verdict.TEMPORARY,  # Request Timeout
    425: Verdict.TEMPORARY,  # Too Early
    429: Verdict.TEMPORARY,  # Too Many Requests
}
BY_CLASS: Mapping[int, Verdict] = {
    1: Verdict.PERMANENT,  # an upgrade that nobody asked for
    2: Verdict.DELIVERED,
    3: Verdict.PERMANENT,  # redirects are not followed: the target could be a private address
    4: Verdict.PERMANENT,
    5: Verdict.TEMPORARY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A provider's own meaning of a refusal. All that is given must match; the first rule wins."""

    status: int | None = None
    code: int | None = None
    """The `code` of a JSON body."""
    contains: str | None = None
    """Words in the body, in any case."""
    verdict: Verdict
    hint: str = ""
    """What people can do about it."""

    def matches(self, response: HttpResponse, body: Any) -> bool:
        """Return whether the rule is about this answer; `body` is its JSON, None when it is not."""
        code = body.get("code") if isinstance(body, dict) else None
        words = response.body.decode("utf-8", "replace").lower()
        return (
            self.status in (None, response.status)
            and self.code in (None, code)
            and (self.contains is None or self.contains.lower() in words)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An answer, understood."""

    verdict: Verdict
    words: str
    """Status and what the receiver said, on one line, without secrets."""
    retry_after: timedelta | None = None


def judge(
    response: HttpResponse,
    *,
    now: datetime,
    rules: Iterable[Rule] = (),
    secrets: Sequence[str] = (),
) -> Outcome:
    """Return what `response` means. Pure. Occurrences of `secrets` in its body are blacked out.

    A Retry-After date counts from the response's own Date, so that clocks that differ do no harm;
    from `now` when it has none.
    """
    body = _json(response)
    usual = BY_STATUS.get(response.status, BY_CLASS.get(response.status // 100, Verdict.PERMANENT))
    rule = None
    if usual is not Verdict.DELIVERED:
        rule = next((rule for rule in rules if rule.matches(response, body)), None)
    said = redacted(excerpt(response.body, response.headers.get("content-type", "")), secrets)
    parts = [f"HTTP {response.status}", said, rule.hint if rule else ""]
    return Outcome(
        verdict=rule.verdict if rule else usual,
        words=": ".join(part for part in parts if part),
        retry_after=retry_after(response.headers, body, now=now),
    )


def hand_over(
    client: HttpClient,
    request: HttpRequest,
    *,
    now: datetime,
    timeout: float,
    rules: Iterable[Rule] = (),
) -> str:
    """Send `request` and return what the receiver said. Raises as its outcome demands."""
    response = client.send(request, timeout=timeout)
    outcome = judge(response, now=now, rules=rules, secrets=secrets_of(request))
    if outcome.verdict is Verdict.DELIVERED:
        return outcome.words
    origin = parse_http_url(request.url).origin
    if outcome.verdict is Verdict.TEMPORARY:
        raise TemporaryFailure(
            f"{origin} answered {outcome.words}", retry_after=outcome.retry_after
        )
    raise PermanentFailure(f"{origin} answered {outcome.words}")


def retry_after(headers: Mapping[str, str], body: Any, *, now: datetime) -> timedelta | None:
    """Return how long to wait (RFC 9110, 10.2.3: seconds or a date), from 0 s to LONGEST_WAIT.

    Without the header a JSON body's number `retry_after` counts (Discord). None: nothing usable.
    """
    text = headers.get("retry-after", "").strip()
    if not text and isinstance(body, dict) and isinstance(body.get("retry_after"), int | float):
        text = str(body["retry_after"])
    if re.fullmatch(r"\d+(\.\d*)?", text, re.ASCII):
        # Many digits are more than a timedelta holds.
        seconds = min(float(text[:20]), LONGEST_WAIT.total_seconds())
        return timedelta(seconds=math.ceil(seconds))
    until = _http_date(text)
    if until is None:
        return None
    wait = until - (_http_date(headers.get("date", "")) or now)
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def secrets_of(request: HttpRequest) -> list[str]:
    """Return the parts of a request that no message may show: an answer can echo any of them.

    Those are the path and the query of its URL and the values of its headers, the longest first;
    parts too short to be a secret would only black out ordinary words.
    """
    target = parse_http_url(request.url).target
    values = [
        value
        for name, value in request.headers.items()
        if name.lower() not in ("content-type", "accept")
    ]
    found = {target, *re.split(r"[/?&=]", target), *values}
    for value in values:
        scheme, _, token = value.partition(" ")
        found.add(token)
        if scheme.lower() == "basic":
            found.update(_basic(token))
    return sorted((part for part in found if len(part) >= 6), key=len, reverse=True)


def redacted(text: str, secrets: Sequence[str]) -> str:
    """Return `text` with every secret blacked out, the longest first."""
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    return text


def _json(response: HttpResponse) -> Any:
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return None


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _basic(token: str) -> list[str]:
    try:
        return base64.b64decode(token, validate=True).decode().split(":")
    except (binascii.Error, ValueError):
        return []
