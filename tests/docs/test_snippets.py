"""What people copy from the dashboard and from the documentation works as it stands."""

import configparser
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.receivers.http import HttpReceiver, respond
from tests.support.service import ROOT, Service, wait_until
from tests.support.visitor import Visitor

OWN = re.compile(r"http://localhost:8080/[a-z]*")
"""What stands for the application's own endpoint."""
PAGES = {
    "howto": "docs/howto/send-heartbeats.md",
    "readme": "README.md",
    "migrate": "docs/howto/migrate-from-health-checks.md",
}


@pytest.fixture
def application(service: Service) -> dict[str, Any]:
    made: dict[str, Any] = service.api(
        "POST", "/applications", {"name": "Job", "expected_interval": 2, "grace_period": 3600}
    )
    return made


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """What stands for /usr/local/bin/job.sh; it says something and ends well."""
    return _script(tmp_path / "job.sh", "echo done")


class Snippets:
    """The snippets of one page, filled in for one application."""

    def __init__(self, found: dict[str, str], job: Path) -> None:
        self._found = found
        self._job = job

    def __getitem__(self, name: str) -> str:
        return self._found[name].replace("/usr/local/bin/job.sh", str(self._job))


@pytest.fixture(params=["page", "howto"])
def snippets(
    request: pytest.FixtureRequest,
    service: Service,
    visitor: Visitor,
    application: dict[str, Any],
    job: Path,
) -> Snippets:
    """Those of the application's page, and those of the how-to page."""
    if request.param == "page":
        page = visitor.get(f"/applications/{application['id']}")
        codes = page.soup.select("[id^=snippet-]")
        return Snippets(
            {str(one["id"]).removeprefix("snippet-"): one.get_text() for one in codes}, job
        )
    return Snippets(documented("howto", application), job)


def documented(page: str, application: dict[str, Any]) -> dict[str, str]:
    """Return the marked snippets of a page of the documentation."""
    text = (ROOT / PAGES[page]).read_text("utf-8")
    url = application["heartbeat_url"]
    return {
        name: code.replace("http://localhost:5000/heartbeat/YOUR-APP-UUID", url)
        for name, code in re.findall(r"<!-- snippet: (\w+) -->\n```\w*\n(.*?)```", text, re.S)
    }


def signals(service: Service, application: dict[str, Any]) -> list[tuple[str, int | None]]:
    """What has arrived, oldest first: kind and exit status."""
    history = service.api("GET", f"/applications/{application['id']}/heartbeats")
    return [(one["kind"], one["exit_status"]) for one in reversed(history)]


def shell(command: str, **environment: str) -> int:
    """Run a command as cron and Docker do, and return its exit status."""
    return subprocess.run(
        ["/bin/sh", "-c", command], timeout=30, check=False, env={**os.environ, **environment}
    ).returncode


def crontab_command(line: str) -> str:
    """Return what cron would run: crontab(5) makes an unescaped % a line break."""
    line = line.strip()
    assert "\n" not in line
    schedule = 1 if line.startswith("@") else 5
    command = line.split(None, schedule)[schedule]
    assert not re.search(r"(?<!\\)%", command)
    return command.replace("\\%", "%")


def healthcheck_command(text: str, own: str) -> str:
    """Return what Docker would run: the shell form of the Dockerfile's HEALTHCHECK."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    instruction = re.sub(r"\\\n", "", "\n".join(lines)).strip()
    assert instruction.startswith("HEALTHCHECK ")
    assert "\n" not in instruction
    command = instruction.partition(" CMD ")[2]
    assert not command.startswith("[")
    return OWN.sub(own, command)


def _script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def test_curl(service: Service, application: dict[str, Any], snippets: Snippets) -> None:
    assert shell(snippets["curl"]) == 0
    assert signals(service, application) == [("success", None)]


def test_cron(service: Service, application: dict[str, Any], snippets: Snippets, job: Path) -> None:
    assert shell(crontab_command(snippets["cron"])) == 0
    assert signals(service, application) == [("success", 0)]
    _script(job, "exit 3")
    shell(crontab_command(snippets["cron"]))
    assert signals(service, application)[1:] == [("fail", 3)]
    job.unlink()
    shell(crontab_command(snippets["cron"]))
    assert signals(service, application)[2:] == [("fail", 127)]


def test_the_crontab_line_of_a_cron_schedule_has_its_expression(
    service: Service, visitor: Visitor
) -> None:
    for expression in ("15 3 * * 1-5", "@daily"):
        made = service.api(
            "POST",
            "/applications",
            {
                "name": "Nightly",
                "schedule": {"kind": "cron", "expression": expression, "timezone": "UTC"},
            },
        )
        page = visitor.get(f"/applications/{made['id']}")
        assert page.one("#snippet-cron").get_text().startswith(f"{expression} /usr/local")


def test_python(service: Service, application: dict[str, Any], snippets: Snippets) -> None:
    code = snippets["python"]
    [pause] = re.findall(r"time\.sleep\((.*?)\)", code)
    assert float(pause) in (1, 30)
    program = subprocess.Popen([sys.executable, "-c", code.replace(f"({pause})", "(0.05)")])
    try:
        wait_until(lambda: len(signals(service, application)) > 1, "the second heartbeat")
        assert program.poll() is None
    finally:
        program.kill()
        program.wait()
    assert set(signals(service, application)) == {("success", None)}


def test_python_goes_on_while_the_monitor_is_away(snippets: Snippets) -> None:
    code = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9", snippets["python"])
    code = re.sub(r"time\.sleep\(.*?\)", "time.sleep(0.05)", code)
    program = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    with program.stdout as said:
        assert [said.readline()[:27] for _ in range(2)] == ["The heartbeat was not sent:"] * 2
        program.send_signal(signal.SIGKILL)
        program.wait()


def test_docker(service: Service, application: dict[str, Any], snippets: Snippets) -> None:
    with HttpReceiver() as own:
        command = healthcheck_command(snippets["docker"], f"{own.url}/")
        assert shell(command) == 0
        assert signals(service, application) == [("success", None)]
        # While the monitor is away the container stays healthy.
        assert shell(re.sub(r"127\.0\.0\.1:\d+/heartbeat", "127.0.0.1:9/heartbeat", command)) == 0
        own.answer = respond(500)
        assert shell(command) == 1
        assert signals(service, application) == [("success", None)]


def test_systemd(
    service: Service, application: dict[str, Any], snippets: Snippets, job: Path
) -> None:
    unit = Unit(snippets["systemd"])
    unit.run()
    assert signals(service, application) == [("start", None), ("success", None)]
    _script(job, "exit 3")
    unit.run()
    assert signals(service, application)[2:] == [("start", None), ("fail", None)]
    # Killed for taking too long: there is no exit status, and it is told all the same.
    unit.stopped("timeout")
    assert signals(service, application)[4:] == [("fail", None)]


class Unit:
    """A oneshot service, run as systemd.service(5) says."""

    def __init__(self, text: str) -> None:
        # A line that ends with a backslash goes on, with a space in its place: systemd.syntax(7).
        joined = re.sub(r"\\\n\s*", " ", text)
        parser = configparser.RawConfigParser()
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(joined)
        self.service = parser["Service"]
        assert self.service["Type"] == "oneshot"

    def run(self) -> None:
        self._command("ExecStartPre")
        status = self._command("ExecStart")
        self.stopped("success" if status == 0 else "exit-code")

    def stopped(self, result: str) -> None:
        assert self._command("ExecStopPost", SERVICE_RESULT=result) == 0

    def _command(self, name: str, **environment: str) -> int:
        arguments = shlex.split(self.service[name].removeprefix("-"))
        assert arguments[0].startswith("/")
        # $$ is a dollar sign and %% a percent sign; neither may stand alone here.
        assert not re.search(r"(?<!\$)\$(?!\$)|(?<!%)%(?!%)", " ".join(arguments).replace("$$", ""))
        plain = [one.replace("$$", "$").replace("%%", "%") for one in arguments]
        return subprocess.run(
            plain, timeout=30, check=False, env={**os.environ, **environment}
        ).returncode


def test_a_script_that_tells_all(service: Service, application: dict[str, Any], job: Path) -> None:
    code = Snippets(documented("howto", application), job)["script"]
    _script(job, "echo 4,213 files", "echo trouble >&2", "exit 4")
    assert shell(code) == 4
    assert signals(service, application) == [("start", None), ("fail", 4)]
    [last, _] = service.api("GET", f"/applications/{application['id']}/heartbeats")
    assert last["body"] == "4,213 files\ntrouble"
    assert last["duration"] is not None
    # It does its work while the monitor is away.
    away = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9", code).replace("--retry 5 ", "")
    _script(job, "exit 0")
    assert shell(away) == 0


def test_runs_that_overlap(service: Service, application: dict[str, Any], job: Path) -> None:
    code = Snippets(documented("howto", application), job)["rid"]
    assert shell(code) == 0
    history = service.api("GET", f"/applications/{application['id']}/heartbeats")
    assert [one["kind"] for one in history] == ["success", "start"]
    assert history[0]["rid"] == history[1]["rid"] is not None
    assert history[0]["duration"] is not None


@pytest.mark.parametrize("page", ["howto", "readme"])
def test_every_other_curl_is_answered(
    service: Service, application: dict[str, Any], page: str
) -> None:
    text = (ROOT / PAGES[page]).read_text("utf-8")
    found = re.findall(r"^curl [^\n]*heartbeat/YOUR-APP-UUID[^\n]*$", text, re.M)
    assert found
    for command in found:
        command = command.replace(
            "http://localhost:5000/heartbeat/YOUR-APP-UUID", application["heartbeat_url"]
        )
        assert shell(command) == 0, command
    assert len(signals(service, application)) == len(found)


def test_the_readme(service: Service, application: dict[str, Any], job: Path) -> None:
    found = documented("readme", application)
    assert shell(healthcheck_command(found["docker"], "")) == 0
    assert signals(service, application) == [("success", None)]
    line = found["cron"].replace("/usr/local/bin/backup.sh", str(job))
    assert shell(crontab_command(line)) == 0
    assert signals(service, application)[1:] == [("success", 0)]


def test_the_health_check_of_the_migration(service: Service, application: dict[str, Any]) -> None:
    with HttpReceiver() as own:
        command = healthcheck_command(documented("migrate", application)["docker"], own.url)
        assert shell(command) == 0
        assert signals(service, application) == [("success", None)]
        own.answer = respond(503)
        assert shell(command) == 1
        assert len(signals(service, application)) == 1


def test_the_how_to_page_shows_what_the_dashboard_shows(service: Service, visitor: Visitor) -> None:
    made = service.api("POST", "/applications", {"name": "Job", "expected_interval": 60})
    page = visitor.get(f"/applications/{made['id']}")
    howto = documented("howto", made)
    for name in ("curl", "python", "docker", "systemd"):
        assert howto[name].strip() == page.one(f"#snippet-{name}").get_text().strip()
    shown = page.one("#snippet-cron").get_text()
    assert howto["cron"].split(None, 5)[5].strip() == shown.split(None, 5)[5].strip()
