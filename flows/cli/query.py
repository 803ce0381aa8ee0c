"""`vexpress query`."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from vexpress.flows.cli.options import DatasetArgument, plain_errors


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
) -> None:
    """Ask a data set in SQL (DuckDB). Nothing is written, and only the data set is read.

    Views: `videos` `scenes` `tracks` `clips` `kps` `runs` `kept` `rejected` `funnel` `hours`
    `picks` `picked`.

    Examples:

        vexpress query dataset/ "SELECT * FROM funnel"

        vexpress query dataset/ "SELECT reason, count(*) FROM rejected GROUP BY reason"

        vexpress query dataset/ "DESCRIBE clips"
    """
    from vexpress.schemas.dataset import Dataset
    from vexpress.schemas.query import query_errors, run_query

    with plain_errors(), query_errors():
        answer = run_query(Dataset(dataset), sql)
        columns, rows = list(answer.columns), answer.fetchall()
    if format is Format.json:
        import json

        records = [dict(zip(columns, row, strict=True)) for row in rows]
        typer.echo(json.dumps(records, default=str, ensure_ascii=False))
    elif format is Format.csv:
        import csv

        csv.writer(sys.stdout).writerows([columns, *rows])
    else:
        print_table(columns, rows)


def print_table(columns: list[str], rows: list[tuple[object, ...]]) -> None:
    """Print rows as a table; long texts wrap, nothing is left out."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(as_text(value) for value in row))
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table)


def as_text(value: object) -> str:
    """Return a cell as text: numbers short, nothing as nothing."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
