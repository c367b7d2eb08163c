"""How results are shown: a table for people, tab-separated lines for a pipe."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import click

ROW_ID = click.IntRange(1, 2**31 - 1)
"""What may stand for an id; a database could not even look for a larger one."""

WIDEST = 10_000
"""Columns of the widest table; the terminal wraps what is wider than itself."""


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows to stdout. In a pipe: no heading, a line a row, so that `cut` and `while` work."""
    texts = [[_text(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in texts:
            click.echo("\t".join(" ".join(cell.split()) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in texts:
        # Text: a name such as [red] is no markup.
        table.add_row(*(Text(cell) for cell in row))
    # As wide as it takes: a URL that we broke over two lines could not be copied.
    Console(width=WIDEST).print(table)


def _text(cell: object) -> str:
    match cell:
        case None:
            return "-"
        case datetime():
            return cell.strftime("%Y-%m-%d %H:%M:%S UTC")
        case _:
            return str(cell)
