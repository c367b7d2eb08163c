"""The service and its commands, without installing the package.

`python app.py` is `heartbeat-central serve`; `python app.py user add …` is `heartbeat-central user add …`.
"""

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - nothing was installed that could refuse
    sys.exit("Heartbeat Central needs Python 3.11 or newer; start app.py with one.")

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "src"))


def run() -> None:
    """Run the command that the arguments begin with; `serve` when they begin with an option of it."""
    from heartbeat_central.cli.main import main

    arguments = sys.argv[1:]
    first = arguments[0] if arguments else "--"
    names_a_command = not first.startswith("-") or first in ("-h", "--help", "--version")
    main(arguments if names_a_command else ["serve", *arguments])


if __name__ == "__main__":
    try:
        run()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("heartbeat_central"):
            raise
        sys.exit(
            f"Heartbeat Central needs the package {error.name}, which {sys.executable} has not; "
            f"install all it needs with `{sys.executable} -m pip install -r "
            f"{ROOT / 'requirements.txt'}`, or start it with `make run`."
        )
