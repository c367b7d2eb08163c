"""Ready pieces of configuration that send heartbeats, with the application's own URL."""

import json
import shlex
from dataclasses import dataclass

from heartbeat_central.domain.view import ApplicationView


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """One tab."""

    id: str
    title: str
    note: str
    """What to do with it, as one sentence."""
    code: str


def snippets(view: ApplicationView) -> list[Snippet]:
    """Return the snippets of an application."""
    url = view.heartbeat_url
    quoted = shlex.quote(url)
    return [
        Snippet(
            id="curl",
            title="curl",
            note="One heartbeat from a shell. It is tried again when the network fails.",
            code=f"curl -fsS -m 10 --retry 5 -o /dev/null {quoted}",
        ),
        Snippet(
            id="cron",
            title="cron",
            note="The exit status goes with it: anything but 0 is a failure and alerts at once.",
            code=(
                f"{_crontab_time(view)} /usr/local/bin/job.sh; "
                f"curl -fsS -m 10 --retry 5 -o /dev/null {_for_crontab(quoted)}/$?"
            ),
        ),
        Snippet(
            id="python",
            title="Python",
            note="A program that runs all the time. It needs the standard library only.",
            code=_python(url, view.expected_interval),
        ),
        Snippet(
            id="docker",
            title="Docker",
            note="A container that is healthy sends a heartbeat; curl must be in its image.",
            code=_docker(quoted, view.expected_interval),
        ),
        Snippet(
            id="systemd",
            title="systemd",
            note="A unit that says when it starts, and how it ended, whatever happens to it.",
            code=_systemd(url),
        ),
    ]


def _python(url: str, interval: int | None) -> str:
    return f"""\
import time
import urllib.request

URL = {json.dumps(url)}

while True:
    # … what the program does …
    try:
        urllib.request.urlopen(URL, timeout=10).close()
    except OSError as error:
        print(f"The heartbeat was not sent: {{error}}")
    time.sleep({_half(interval)})
"""


def _docker(quoted: str, interval: int | None) -> str:
    # Docker's shortest interval is 1 ms, but a check every second is enough for anything.
    pause = max(1, int(float(_half(interval))))
    return f"""\
# A failed check of the container's own sends nothing. When Heartbeat Central
# is away, the container stays healthy.
HEALTHCHECK --interval={pause}s --timeout=10s --retries=3 \\
  CMD curl -fsS -m 3 -o /dev/null http://localhost:8080/ || exit 1; \\
      curl -fsS -m 5 -o /dev/null {quoted} || true
"""


def _systemd(url: str) -> str:
    # systemd expands % itself; $$ leaves the variable to the shell.
    plain = url.replace("%", "%%")
    return f"""\
[Service]
Type=oneshot
ExecStartPre=-/usr/bin/curl -fsS -m 10 -o /dev/null {plain}/start
ExecStart=/usr/local/bin/job.sh
ExecStopPost=-/bin/sh -c 'end=/fail; [ "$$SERVICE_RESULT" = success ] && end=; \\
  exec curl -fsS -m 10 --retry 5 -o /dev/null "{plain}$$end"'
"""


def _half(interval: int | None) -> str:
    """Return seconds to wait: half the interval, so that one lost heartbeat is no outage."""
    half = min((interval or 120) / 2, 3600)
    return f"{half:g}" if half >= 1 else "0.5"


def _crontab_time(view: ApplicationView) -> str:
    """Return a crontab's five fields that fit the schedule; at night when that can't be told."""
    if view.schedule is not None and view.schedule["kind"] == "cron":
        return view.schedule["expression"]
    if view.expected_interval is None or view.expected_interval >= 86400:
        return "0 2 * * *"
    minutes, hours = view.expected_interval // 60, view.expected_interval // 3600
    # Steps that divide the hour or the day, and are never longer than the interval.
    if hours:
        step = max(one for one in range(1, 13) if 24 % one == 0 and one <= hours)
        return "0 * * * *" if step == 1 else f"0 */{step} * * *"
    step = max(one for one in range(1, 31) if 60 % one == 0 and one <= max(1, minutes))
    return "* * * * *" if step == 1 else f"*/{step} * * * *"


def _for_crontab(text: str) -> str:
    # An unescaped % ends the command in a crontab (crontab(5)).
    return text.replace("%", "\\%")
