"""`vexpress select`, which was called `vexpress pick` in version 0.1."""

from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import DatasetArgument, plain_errors
from vexpress.schemas.text import counted

if TYPE_CHECKING:
    from vexpress.schemas.selection import Selection

SqlArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="SQL",
        help="A question that answers with clip_id; without it, the selections are listed.",
    ),
]
NameOption = Annotated[
    str | None, typer.Option(help="What to call it, such as hdtf-like.", show_default=False)
]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="In place of the one there.")]
MinutesOption = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        help="Most minutes of one person; clips are taken in the order of the answer.",
        show_default=False,
    ),
]


def select(
    dataset: DatasetArgument,
    sql: SqlArgument = None,
    name: NameOption = None,
    replace: ReplaceOption = False,
    per_person_minutes: MinutesOption = None,
) -> None:
    """Save a selection of kept clips under a name, for training and exports.

    It is a list: clips that come later are not in it, and it is the same tomorrow.

    Examples:

        vexpress select dataset/ "SELECT clip_id FROM kept WHERE yaw_max_deg < 20" --name frontal

        vexpress query dataset/ "SELECT * FROM balance WHERE dimension = 'person'"

        vexpress select dataset/ "FROM kept ORDER BY sharpness DESC" --name even \\
            --per-person-minutes 10

        vexpress select dataset/

        vexpress train dataset/ --out run/ --selection frontal
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
        made = make_selection(
            data, name, sql, replace=replace, per_person_minutes=per_person_minutes
        )
        typer.echo(f"{made.name}: {counted(made.clips, 'clip')}, {made.seconds / 60:,.1f} minutes")


def pick(
    dataset: DatasetArgument,
    sql: SqlArgument = None,
    name: NameOption = None,
    replace: ReplaceOption = False,
) -> None:
    """The name of `vexpress select` in version 0.1."""
    typer.echo("`vexpress pick` is called `vexpress select` now", err=True)
    select(dataset, sql, name, replace)


def list_selections(selections: "list[Selection]") -> None:
    """Print the selections of a data set."""
    from vexpress.flows.cli.query import print_table

    if not selections:
        typer.echo(
            'no selections yet; make one with: vexpress select DATASET "SELECT clip_id …" --name …'
        )
        return
    rows: list[tuple[object, ...]] = [
        (
            made.name,
            f"{made.clips:,}",
            f"{made.seconds / 60:,.1f}",
            made.selected_at[:19].replace("T", " "),
            made.sql,
        )
        for made in selections
    ]
    print_table(["name", "clips", "minutes", "selected (UTC)", "sql"], rows)
