"""A plugin in a package of its own: the one that the documentation shows, as it stands there."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.receivers.http import HttpReceiver, respond
from tests.support.service import OwnInterpreter, Service, wait_until

PAGE = (Path(__file__).parents[2] / "docs/howto/write-an-alert-plugin.md").read_text("utf-8")
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-broken"
version = "0.3"

[project.entry-points."heartbeat_central.alerts"]
missing = "acme_broken.missing:Plugin"
second-webhook = "acme_broken:Webhook"
"""
BROKEN = """
from heartbeat_central.alerts.webhook.plugin import WebhookPlugin

class Webhook(WebhookPlugin):
    label = "Not the real one"
"""


def documented_files() -> dict[str, str]:
    """Return the files that the page shows, by path."""
    return dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", PAGE, flags=re.M | re.S))


def install(files: Mapping[str, str], *, into: Path, built_in: Path) -> None:
    """Build a package of `files` and install it, from this machine alone."""
    for name, content in files.items():
        path = built_in / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--no-build-isolation", "--no-index", "--target", str(into), str(built_in),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the documented package and a broken one installed."""
    folder = tmp_path_factory.mktemp("third-party")
    target = folder / "site"
    files = documented_files()
    assert files.keys() == {"pyproject.toml", "acme_pager/__init__.py"}
    install(files, into=target, built_in=folder / "acme-pager")
    broken = {"pyproject.toml": PROJECT, "acme_broken/__init__.py": BROKEN}
    install(broken, into=target, built_in=folder / "acme-broken")
    return target


@pytest.fixture(scope="module")
def service(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with OwnInterpreter(folder, PYTHONPATH=str(packages)) as running:
        yield running


def test_the_service_knows_it_and_runs_without_the_broken_ones(service: Service) -> None:
    plugins = {plugin["type"]: plugin for plugin in service.api("GET", "/alert-plugins")}
    assert list(plugins) == ["email", "slack", "discord", "sms", "webhook", "apprise", "pager"]
    assert plugins["pager"]["label"] == "Acme pager"
    inputs = plugins["pager"]["config_schema"]["properties"]
    assert sorted(inputs, key=lambda name: inputs[name]["x-order"]) == ["url", "token", "urgent"]
    assert plugins["webhook"]["label"] == "Webhook"

    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    skipped = {
        line["plugin"]: line["problem"] for line in lines if line["event"] == "alert_plugin_skipped"
    }
    assert skipped.keys() == {"missing (acme-broken 0.3)", "second-webhook (acme-broken 0.3)"}
    assert "acme_broken.missing" in skipped["missing (acme-broken 0.3)"]
    assert "`webhook` already" in skipped["second-webhook (acme-broken 0.3)"]


def test_it_delivers_an_alert(service: Service) -> None:
    with HttpReceiver(respond(202, b"calling")) as pager:
        channel = service.api(
            "POST",
            "/channels",
            {
                "name": "Team 7",
                "type": "pager",
                "config": {"url": f"{pager.url}/teams/7", "token": "t0k3n-8d1f"},
            },
        )
        assert channel["config"]["token"] == "********"
        application = service.api(
            "POST",
            "/applications",
            {"name": "Nightly backup", "expected_interval": 3600, "channels": [channel["id"]]},
        )
        service.beat(application)
        service.beat(application, "/3")
        wait_until(lambda: pager.requests, "the page")

        [request] = pager.requests
        assert request.target == "/teams/7"
        assert request.headers["authorization"] == "Bearer t0k3n-8d1f"
        body = json.loads(request.body)
        assert body["title"] == "DOWN: Nightly backup"
        assert body["urgent"] is True
        assert "failed with exit status 3" in body["text"]


def test_its_own_rules_decide_what_a_refusal_means(service: Service) -> None:
    with HttpReceiver(respond(400, b"nobody on call")) as pager:
        channel = service.api(
            "POST",
            "/channels",
            {"name": "Team 8", "type": "pager", "config": {"url": pager.url, "token": "x" * 8}},
        )
        outcome = service.api("POST", f"/channels/{channel['id']}/test")
    assert outcome["ok"] is False
    assert "put someone on the rota" in outcome["detail"]
