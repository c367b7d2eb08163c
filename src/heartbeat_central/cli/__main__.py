"""`python -m heartbeat_central.cli` is the `heartbeat-central` command."""

from heartbeat_central.cli.main import main

if __name__ == "__main__":
    main()
