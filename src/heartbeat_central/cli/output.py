"""How results are shown: a table for people, tab-separated lines for a pipe."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import click


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
    Console().print(table)


def _text(cell: object) -> str:
    match cell:
        case None:
            return "-"
        case datetime():
            return cell.strftime("%Y-%m-%d %H:%M:%S UTC")
        case _:
            return str(cell)
