"""`vexpress query`."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from vexpress.flows.cli.options import DatasetArgument, given, plain_errors, setting
from vexpress.flows.cli.running import GRACE_S, stopping
from vexpress.schemas.query_limits import QueryLimits
from vexpress.schemas.text import for_spreadsheet, for_terminal

WIDTH = 200
"""Width of a table that is not printed on a terminal, characters."""
READABLE = 16
"""Characters of a column that is worth reading though its texts wrap."""


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"


def query(
    dataset: DatasetArgument,
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="One statement that answers with rows.")
    ],
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
    timeout_s: Annotated[float | None, setting(QueryLimits, "timeout_s")] = None,
    max_rows: Annotated[int | None, setting(QueryLimits, "max_rows")] = None,
    memory_gb: Annotated[float | None, setting(QueryLimits, "memory_gb")] = None,
) -> None:
    """Ask a data set in SQL (DuckDB). Nothing is written, and only the data set is read.

    `vexpress columns` describes tables and columns, docs/data-set.md the views, too. Rows too wide
    for the terminal are printed one value a line.

    Examples:

        vexpress query dataset/ "SELECT * FROM funnel"

        vexpress query dataset/ "SELECT reason, count(*) FROM rejected GROUP BY reason"

        vexpress query dataset/ "SELECT * FROM kept LIMIT 1"
    """
    from vexpress.schemas.dataset import Dataset
    from vexpress.schemas.query import run_query
    from vexpress.schemas.settings import load_settings

    with plain_errors():
        options = given(timeout_s=timeout_s, max_rows=max_rows, memory_gb=memory_gb)
        limits = load_settings(QueryLimits, options=options)
        with stopping.end_after(limits.timeout_s + GRACE_S, str(limits.too_slow())):
            answer = run_query(Dataset(dataset), sql, limits)
        columns, rows = answer.columns, answer.rows
    if format is Format.json:
        import json

        records = [dict(zip(columns, row, strict=True)) for row in rows]
        typer.echo(json.dumps(records, default=str, ensure_ascii=False))
    elif format is Format.csv:
        import csv

        cells = [[for_spreadsheet(value) for value in row] for row in [columns, *rows]]
        csv.writer(sys.stdout).writerows(cells)
    else:
        print_table(columns, rows)


def print_table(columns: list[str], rows: list[tuple[object, ...]]) -> None:
    """Print rows as a table, or one value a line where the columns have no room side by side.

    Long texts wrap, nothing is left out.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else WIDTH, markup=False)
    cells = [[as_text(value) for value in row] for row in rows]
    if needed_width(columns, cells) > console.width:
        print_lines(columns, cells)
        return
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console.print(table)


def needed_width(columns: list[str], cells: list[list[str]]) -> int:
    """Return how many characters a table needs at least: long texts may wrap in `READABLE`."""
    longest = [max(map(len, texts)) for texts in zip(columns, *cells, strict=True)]
    return 1 + sum(min(length, READABLE) + 3 for length in longest)


def print_lines(columns: list[str], cells: list[list[str]]) -> None:
    """Print each row as lines of a name and its value, as `\\x` of psql does."""
    width = max(map(len, columns))
    if not cells:
        typer.echo("no rows")
    for number, row in enumerate(cells, start=1):
        typer.echo(f"row {number}")
        for name, text in zip(columns, row, strict=True):
            typer.echo(f"  {name:<{width}}  {text}".rstrip())


def as_text(value: object) -> str:
    """Return a cell as text: numbers short, nothing as nothing."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else for_terminal(str(value))
