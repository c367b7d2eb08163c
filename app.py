"""`python app.py` starts the service, like `heartbeat-central serve`, without installing the package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from heartbeat_central.cli.main import main

if __name__ == "__main__":
    main(["serve", *sys.argv[1:]])
