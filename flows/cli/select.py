"""`vexpress pick`."""

from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import DatasetArgument, plain_errors

if TYPE_CHECKING:
    from vexpress.schemas.selection import Selection


def pick(
    dataset: DatasetArgument,
    sql: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL",
            help="A question that answers with clip_id; without it, the picks are listed.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call it, such as hdtf-like.", show_default=False)
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="In place of the one there.")] = False,
) -> None:
    """Save a selection of kept clips under a name, for training and exports.

    It is a list: clips that come later are not in it, and it is the same tomorrow.

    Examples:

        vexpress pick dataset/ "SELECT clip_id FROM kept WHERE yaw_max_deg < 20" --name hdtf-like

        vexpress pick dataset/

        vexpress train dataset/ --out run/ --pick hdtf-like
    """
    from vexpress.schemas.dataset import Dataset
    from vexpress.schemas.errors import SelectionError
    from vexpress.tasks.curate.selections import make_selection, read_selections

    with plain_errors():
        data = Dataset(dataset)
        if sql is None and name is None:
            list_selections(read_selections(data))
            return
        if not sql or not name:
            raise SelectionError(
                'expected both a question and its name: "SELECT clip_id …" --name NAME'
            )
        made = make_selection(data, name, sql, replace=replace)
        typer.echo(f"{made.name}: {made.clips:,} clips, {made.seconds / 60:,.1f} minutes")


def list_selections(picks: "list[Selection]") -> None:
    """Print the picks of a data set."""
    from vexpress.flows.cli.query import print_table

    if not picks:
        typer.echo('no picks yet; make one with: vexpress pick DATASET "SELECT clip_id …" --name …')
        return
    rows: list[tuple[object, ...]] = [
        (
            p.name,
            f"{p.clips:,}",
            f"{p.seconds / 60:,.1f}",
            p.selected_at[:19].replace("T", " "),
            p.sql,
        )
        for p in picks
    ]
    print_table(["name", "clips", "minutes", "picked (UTC)", "sql"], rows)
