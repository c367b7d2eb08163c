"""`python -m bench [TOPIC …] [--quick | --full]`: measure, and write RESULTS.md."""

import argparse
import importlib
import sys
import time

from bench import machine, report, scale
from bench.running import Bench, running_postgres

TOPICS = [
    "recording",
    "growth",
    "write_lock",
    "processes",
    "noticing",
    "telling",
    "isolation",
    "reading",
    "resources",
]
"""In the order of RESULTS.md."""


def main() -> None:
    arguments = _arguments()
    sizes = {"quick": scale.QUICK, "full": scale.FULL}.get(arguments.scale, scale.DEFAULT)
    with running_postgres() as postgres:
        bench = Bench(postgres, sizes)
        for name in arguments.topics or TOPICS:
            about = machine.about(sizes.name)
            begun = time.monotonic()
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            topic = importlib.import_module(f"bench.topics.{name}").measure(bench)
            print(f"{name} took {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            print(report.show(topic), "\n", flush=True)
            if not arguments.dry:
                report.save(name, topic, about=about)
    if not arguments.dry:
        report.write_markdown(TOPICS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)}; all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", dest="scale", action="store_const", const="quick", help="does it all work?"
    )
    size.add_argument(
        "--full", dest="scale", action="store_const", const="full", help="all that the budgets ask"
    )
    parser.add_argument("--dry", action="store_true", help="print only; leave RESULTS.md as it is")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.topics) - set(TOPICS))
    if unknown:
        parser.error(f"no such topic: {', '.join(unknown)}; there are {', '.join(TOPICS)}")
    return arguments


if __name__ == "__main__":
    main()
