"""A real PgBouncer before the tests' PostgreSQL."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.support.ports import free_port
from tests.support.proxies import running

_SETTINGS = """
[databases]
{database} = host={host} port={port} user={user} {password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listens}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
"""


@contextlib.contextmanager
def pgbouncer(folder: Path, postgres_url: str, mode: str) -> Iterator[str]:
    """Run PgBouncer in this pool mode; yield the URL of the same database through it."""
    url = urlsplit(postgres_url)
    port, database = free_port(), url.path.lstrip("/")
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        _SETTINGS.format(
            database=database,
            host=url.hostname,
            port=url.port or 5432,
            user=url.username,
            password=f"password={unquote(url.password)}" if url.password else "",
            listens=port,
            mode=mode,
        )
    )
    # It refuses to run as root, reads its settings before it changes to the other account, and looks at
    # them no more.
    account = ("-u", "nobody") if os.geteuid() == 0 else ()
    with running("pgbouncer", *account, str(settings), port=port):
        yield f"postgresql://{url.username}@127.0.0.1:{port}/{database}"
