"""`vexpress columns`."""

from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import plain_errors

if TYPE_CHECKING:
    from vexpress.schemas.columns import Table

OF_CLIPS = ("kept", "rejected", "filtered")
"""Views whose rows are those of the table `clips`."""


def columns(
    table: Annotated[
        str | None,
        typer.Argument(help="A table, such as clips; every table where none is named."),
    ] = None,
    find: Annotated[
        str,
        typer.Option(metavar="WORD", help="Only columns that have this word.", show_default=False),
    ] = "",
) -> None:
    """Show the columns of a data set's tables: type, unit and meaning.

    The same stands in docs/data-set.md, with views and reasons.

    Examples:

        vexpress columns clips

        vexpress columns --find speech
    """
    with plain_errors():
        tables = chosen_tables(table)
        say(tables, find.lower())


def chosen_tables(name: str | None) -> "list[Table]":
    """Return the table of a name, or all. Raises ConfigError where there is no such table."""
    from vexpress.schemas.columns import describe
    from vexpress.schemas.errors import ConfigError
    from vexpress.schemas.manifest import TABLES
    from vexpress.schemas.views import VIEWS

    tables = {row_type.TABLE: describe(row_type) for row_type in TABLES}
    if name is None:
        return list(tables.values())
    wanted = "clips" if name in OF_CLIPS else name
    if wanted in tables:
        return [tables[wanted]]
    view = next((view for view in VIEWS if view.name == name), None)
    if view and view.formerly:
        return chosen_tables(view.formerly)
    if view:
        raise ConfigError(
            f"{name} is a view ({view.comment}) See its columns with: vexpress query DATASET "
            f'"DESCRIBE {name}"'
        )
    raise ConfigError(f"columns: expected one of {', '.join(tables)}, found {name}")


def say(tables: "list[Table]", word: str) -> None:
    """Print the tables, and of them only columns with `word`, small letters."""
    from vexpress.flows.cli.query import print_table

    found = 0
    for table in tables:
        rows: list[tuple[object, ...]] = [
            (column.name, column.type, column.unit, column.description)
            for column in table.columns
            if word in f"{column.name} {column.description}".lower()
        ]
        if rows:
            typer.echo(f"{table.name}: {table.about}")
            print_table(["column", "type", "unit", "meaning"], rows)
        found += len(rows)
    if not found:
        typer.echo(f"no column has the word {word}; see all with: vexpress columns")
