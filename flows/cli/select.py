"""`vexpress pick`."""

from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import DatasetArgument, plain_errors

if TYPE_CHECKING:
    from vexpress.schemas.selection import Pick


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
    from vexpress.schemas.errors import PickError
    from vexpress.tasks.curate.selections import make_pick, read_picks

    with plain_errors():
        data = Dataset(dataset)
        if sql is None and name is None:
            list_picks(read_picks(data))
            return
        if not sql or not name:
            raise PickError('expected both a question and its name: "SELECT clip_id …" --name NAME')
        made = make_pick(data, name, sql, replace=replace)
        typer.echo(f"{made.name}: {made.clips:,} clips, {made.seconds / 60:,.1f} minutes")


def list_picks(picks: "list[Pick]") -> None:
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
            p.picked_at[:19].replace("T", " "),
            p.sql,
        )
        for p in picks
    ]
    print_table(["name", "clips", "minutes", "picked (UTC)", "sql"], rows)
