"""The `vexpress` command.

Each command lives in `flows/cli/<name>.py`. Those files import only what their
options need; everything heavy is imported when the command runs, so that help and
`query` answer at once.
"""

from typing import Annotated

import typer

from vexpress.flows.cli.config import config
from vexpress.flows.cli.curate import curate, retry
from vexpress.flows.cli.doctor import doctor
from vexpress.flows.cli.down import down
from vexpress.flows.cli.evaluate import evaluate
from vexpress.flows.cli.export import export
from vexpress.flows.cli.extract_kps import extract_kps
from vexpress.flows.cli.funnel import funnel
from vexpress.flows.cli.generate import generate
from vexpress.flows.cli.generate_batch import generate_batch
from vexpress.flows.cli.pipeline import pipeline
from vexpress.flows.cli.query import query
from vexpress.flows.cli.report import report
from vexpress.flows.cli.running import stopping
from vexpress.flows.cli.select import pick, select
from vexpress.flows.cli.train import train
from vexpress.flows.cli.up import up
from vexpress.flows.server.environment import set_defaults

app = typer.Typer(
    name="vexpress",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    help="Raw talking-head videos to a data set you can query, train on and generate from.",
    epilog="Start with `vexpress doctor`, then `vexpress curate VIDEOS DATASET`.",
)


def print_version(wanted: bool) -> None:
    """Print the version and leave, where that is asked for."""
    if wanted:
        from vexpress import __version__

        typer.echo(f"vexpress {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the command itself."""


app.command()(doctor)
app.command()(curate)
app.command()(config)
app.command()(funnel)
app.command()(query)
app.command()(select)
app.command(hidden=True)(pick)
app.command()(report)
app.command()(retry)
app.command("extract-kps")(extract_kps)
app.command()(train)
app.command()(export)
app.command()(pipeline)
app.command()(up)
app.command()(down)
app.command()(evaluate)
# The published command spells its parameters with underscores.
app.command(context_settings={"token_normalize_func": lambda word: word.replace("_", "-")})(
    generate
)
app.command("generate-batch")(generate_batch)


def main() -> None:
    """Entry point of the `vexpress` script."""
    set_defaults()
    stopping.watch()
    app()


if __name__ == "__main__":
    main()
