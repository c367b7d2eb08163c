"""`python -m bench.flame`: draw who holds the interpreter while heartbeats come in.

py-spy samples the thread that holds Python's lock, so that waiting for the database, the disk and the
network is left out: what is drawn is what recording costs of the one thing that all threads share.
"""

import html
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import data
from bench.load import beating
from bench.running import ROOT, Bench, running_postgres, service
from bench.scale import APPLICATIONS, DEFAULT

CONNECTIONS = 64
SECONDS = 10
SAMPLES_PER_SECOND = 200
IMAGES = ROOT / "docs/images"
PICTURES = {
    "recording-edge": ("postgresql", "MainThread"),
    "recording-writer-postgresql": ("postgresql", "heartbeat-writer"),
    "recording-writer-sqlite": ("sqlite", "heartbeat-writer"),
}
"""Files, and the database and the thread that each shows; the edge is the same on both databases."""
BEGINNINGS = {
    "MainThread": "asyncio.runners.Runner.run",
    "heartbeat-writer": "heartbeat_central.ingest.batcher.Batcher._write",
}
"""What all stacks of a thread go through; what called it says nothing."""

WIDTH, ROW, LETTER = 1000, 17, 6.6
"""Pixels: of the picture, of a line, of a letter of its text."""
NARROWEST = 0.004
"""Share of the whole below which a frame isn't drawn."""
OURS, OTHERS = "#e8833a", "#f2c14e"


@dataclass
class Frame:
    """A function and what it called."""

    name: str
    samples: int = 0
    calls: dict[str, "Frame"] = field(default_factory=dict)


def main() -> None:
    with running_postgres() as postgres:
        bench = Bench(postgres, DEFAULT)
        for dialect in ("postgresql", "sqlite"):
            with bench.empty_database(dialect) as url:
                with bench.opened(url) as database:
                    data.add_applications(database, data.migrated(database), APPLICATIONS)
                stacks = _sampled(url)
            whole = sum(stacks.values())
            for name, (on, thread) in PICTURES.items():
                if on == dialect:
                    drawn = IMAGES / f"{name}.svg"
                    drawn.write_text(_picture(_tree(stacks, thread), whole), "utf-8")
                    print(drawn.relative_to(ROOT), file=sys.stderr)


def _sampled(url: str) -> dict[str, int]:
    """Return how often each stack of the service was seen, under load."""
    load = {"applications": APPLICATIONS, "connections": CONNECTIONS}
    with (
        service(url) as server,
        tempfile.NamedTemporaryFile(suffix=".txt") as raw,
        beating(server.url, seconds=SECONDS + 4, **load),
    ):
        subprocess.run(
            [
                *(
                    str(Path(sys.executable).parent / "py-spy"),
                    "record",
                    "--pid",
                    str(server.pid),
                    "--output",
                    raw.name,
                ),
                *("--format", "raw", "--gil", "--threads", "--function"),
                *("--rate", str(SAMPLES_PER_SECOND), "--duration", str(SECONDS)),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        lines = Path(raw.name).read_text("utf-8").splitlines()
    return {stack: int(count) for stack, _, count in (line.rpartition(" ") for line in lines)}


def _tree(stacks: Mapping[str, int], thread: str) -> Frame:
    root = Frame(thread)
    for stack, count in stacks.items():
        named, *frames = stack.split(";")
        names = [_short(frame) for frame in frames]
        if thread not in named or BEGINNINGS[thread] not in names:
            continue
        frame = root
        frame.samples += count
        for name in names[names.index(BEGINNINGS[thread]) + 1 :]:
            frame = frame.calls.setdefault(name, Frame(name))
            frame.samples += count
    return root


def _short(frame: str) -> str:
    """Return `module.function` of py-spy's `function (path/module.py)`."""
    function, _, place = frame.partition(" (")
    path = place.removesuffix(")").partition(":")[0].removesuffix(".py")
    parts = [part for part in Path(path).parts if part != "/"]
    kept = parts[parts.index("heartbeat_central") :] if "heartbeat_central" in parts else parts[-2:]
    return ".".join([*kept, function])


def _picture(root: Frame, whole: int) -> str:
    boxes = list(_boxes(root, 0.0, 0, root.samples or 1))
    height = (1 + max(level for *_, level in boxes)) * ROW + 2 * ROW
    share = root.samples / (whole or 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="monospace" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fffdf7"/>',
        f'<text x="4" y="13">{html.escape(root.name)}: {share:.0%} of the time that the '
        "interpreter was held by any thread</text>",
    ]
    for frame, left, width, level in boxes:
        x, y, wide = left * WIDTH, (level + 1.3) * ROW, width * WIDTH
        colour = OURS if frame.name.startswith("heartbeat_central") else OTHERS
        label = frame.name.removeprefix("heartbeat_central.")
        shown = label[: int(wide / LETTER)] if wide > 4 * LETTER else ""
        lines.append(
            f'<g><title>{html.escape(label)} {width:.1%}</title><rect x="{x:.1f}" y="{y:.1f}" '
            f'width="{max(wide - 0.5, 0.5):.1f}" height="{ROW - 1}" fill="{colour}"/>'
            f'<text x="{x + 2:.1f}" y="{y + 12:.1f}">{html.escape(shown)}</text></g>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _boxes(
    frame: Frame, left: float, level: int, whole: int
) -> Iterator[tuple[Frame, float, float, int]]:
    for called in sorted(frame.calls.values(), key=lambda one: -one.samples):
        width = called.samples / whole
        if width >= NARROWEST:
            yield called, left, width, level
            yield from _boxes(called, left, level + 1, whole)
        left += width


if __name__ == "__main__":
    main()
