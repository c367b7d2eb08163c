"""What the documentation names is there: files, headings, commands, settings, endpoints."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from heartbeat_central.cli.main import cli
from heartbeat_central.settings import variables
from tests.support.service import ROOT, Service

BUILT = {".venv", "_build", "node_modules"}
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "src/**/*.md", "bench/*.md", "deploy/**/*.md")
    for path in ROOT.glob(pattern)
    if not BUILT.intersection(path.parts)
)
EXAMPLES = [ROOT / name for name in ("compose.yaml", "Dockerfile", ".env.example")]
OTHERS = {
    # what Kubernetes sets for a service that is called like ours, of which the settings speak
    "HEARTBEAT_PORT",
    "HEARTBEAT_SERVICE_HOST",
    # what its own tests and tools read
    "TEST_DATABASE_URL",
}
"""Names that look like settings of the service and are none."""
SETTING = re.compile(
    r"\b(?:TEST_)?(?:(?:HEARTBEAT|SMTP|TWILIO|ADMIN|FLASK)_[A-Z][A-Z_]*[A-Z]"
    r"|SECRET_KEY|DATABASE_URL|BASE_URL|TRUSTED_PROXIES|WATCHDOG_URL)\b(?!_)"
)
COMMAND = re.compile(r"(?:\bheartbeat-central|\bpython app\.py)((?: +[^\s`|;)#>]+)*)")
ENDPOINT = re.compile(
    r"(?<![\w./}>-])/(?:api|health|metrics|heartbeat|events)\b(?:/[\w{}<>$.…*?-]*[\w{}<>$…*?])*"
)


def by_page(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "page", pages, ids=[str(page.relative_to(ROOT)) for page in pages]
    )


def code(text: str) -> str:
    """Return what stands in code, a line for each span and as it is for blocks."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)
    blocks += re.findall(r"(?:^(?: {4}|\t)[^\n]*\n)+", text, re.M)
    rest = re.sub(r"^```[^\n]*\n.*?^```", "", text, flags=re.M | re.S)
    return "\n".join([*blocks, *re.findall(r"`([^`]+)`", rest)])


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    text = re.sub(r"^```[^\n]*\n.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ +(.+?) *$", text, re.M)
    }


@by_page(PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    prose = re.sub(r"^```[^\n]*\n.*?^```", "", text, flags=re.M | re.S)
    for target in re.findall(r"\]\(<?([^)>\s]+)>?\)", prose):
        if re.match(r"[a-z]+:", target):
            assert target.startswith(("https://", "http://localhost", "mailto:")), target
            continue
        path, _, anchor = unquote(target).partition("#")
        there = (page.parent / path).resolve() if path else page
        if there == ROOT / "bench/RESULTS.md":
            continue  # made by `make bench`
        assert there.exists(), f"{target}: no such file"
        if anchor:
            assert anchor in anchors(there), f"{target}: no such heading"


@by_page([page for page in PAGES if page.is_relative_to(ROOT / "docs")])
def test_every_page_is_in_the_contents(page: Path) -> None:
    """Each folder's index lists all of its pages, by its own glob or by name."""
    if page.name == "index.md":
        return
    index = (page.parent / "index.md").read_text("utf-8")
    assert ":glob:" in index or page.stem in index


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    for line in code(text).splitlines():
        for found in COMMAND.finditer(line):
            yield found[0], found[1].split()


@by_page(PAGES)
def test_commands_are_there(page: Path) -> None:
    for whole, words in commands(page.read_text("utf-8")):
        command: click.Command = cli
        path = []
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name = words.pop(0)
            if not re.fullmatch(r"[a-z-]+", name):
                break
            assert name in command.commands, f"`{whole}`: no command {name}"
            command = command.commands[name]
            path.append(name)
        if not path:
            continue
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for word in words:
            if word.lstrip("[").startswith("--"):
                option = re.match(r"\[?(--[a-z-]+)", word)
                assert option is not None, whole
                assert option[1] in known, f"`{whole}`: {' '.join(path)} has no {option[1]}"


@by_page(PAGES)
def test_make_targets_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for target in re.findall(r"(?:^|`|&& )make ([a-z-]+)", code(page.read_text("utf-8")), re.M):
        assert target in targets


@by_page([*PAGES, *(path for path in EXAMPLES if path.exists())])
def test_settings_are_there(page: Path) -> None:
    named = set(SETTING.findall(page.read_text("utf-8")))
    assert named - set(variables()) - OTHERS == set()


@pytest.fixture(scope="session")
def endpoints(service: Service) -> list[re.Pattern[str]]:
    """The paths that are answered, with what may stand in their places."""
    described = service.api("GET", "/openapi.json")["paths"]
    known = [
        *described,
        "/api",
        "/api/docs",
        "/api/openapi.json",
        "/events",
        "/heartbeat",
        "/heartbeat/{uuid}",
        "/heartbeat/{uuid}/start",
        "/heartbeat/{uuid}/fail",
        "/heartbeat/{uuid}/log",
        "/heartbeat/{uuid}/{status}",
    ]
    return [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "/?") for path in known]


@by_page(PAGES)
def test_endpoints_are_there(page: Path, endpoints: list[re.Pattern[str]]) -> None:
    for path in ENDPOINT.findall(code(page.read_text("utf-8"))):
        plain = path.partition("?")[0].removesuffix("/*").removesuffix("/…")
        assert any(known.fullmatch(plain) for known in endpoints), f"{path} is not answered"


def test_the_tutorial_calls_everything_as_the_pages_do() -> None:
    folder = ROOT / "src/heartbeat_central/web"
    shown = "".join(path.read_text("utf-8") for path in folder.rglob("*.html"))
    shown += (folder / "rendering.py").read_text("utf-8")
    page = (ROOT / "docs/tutorial/first-heartbeat.md").read_text("utf-8")
    named = {" ".join(name.split()) for name in re.findall(r"\*\*(.+?)\*\*", page, re.S)}
    assert len(named) > 10
    assert [name for name in named if name not in shown] == []


def test_every_decision_has_a_number_of_its_own() -> None:
    pages = sorted(path.name for path in (ROOT / "docs/adr").glob("0*.md"))
    numbers = [name[:4] for name in pages]
    assert len(set(numbers)) == len(numbers), pages
    for name in pages:
        title = (ROOT / "docs/adr" / name).read_text("utf-8").splitlines()[0]
        assert title.startswith(f"# {name[:4]}. "), (name, title)
